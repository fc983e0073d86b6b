-- What is only appended has nothing to clean, but autovacuum went after it all the same, whenever a fifth had come: to mark pages as
-- visible to everybody, which no list here profits from. It read every page again, wrote it again and logged the mark, for a twentieth of
-- all that Postgres does for a delivery. A day is dropped long before its transaction ids grow old; one that is not is frozen as ever.

-- As for analysing: who reads or writes waits neither for such a lock nor behind one that waits for it.
SET LOCAL lock_timeout = '5s';
-- Who makes partitions would have everybody wait behind it for the locks that are had here one after another.
SELECT pg_advisory_xact_lock(hashtext('tidings.make_partitions'));

ALTER TABLE tidings.idempotency_keys SET (autovacuum_vacuum_insert_threshold = -1);
-- Partitions do not take this over from their parents. What retention keeps of days that it drops is small, and left as it is.
DO $$
DECLARE
    part text;
BEGIN
    FOR part IN
        SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent IN ('tidings.events'::regclass, 'tidings.attempts'::regclass) ORDER BY c.oid
    LOOP
        -- Retention may have dropped it meanwhile.
        EXECUTE format('ALTER TABLE IF EXISTS tidings.%I SET (autovacuum_vacuum_insert_threshold = -1)', part);
    END LOOP;
END
$$;

-- As before, but for that, and patient for less long.
CREATE OR REPLACE FUNCTION tidings.make_partitions(from_day date, days integer) RETURNS void
LANGUAGE plpgsql
-- Attaching a partition waits for everybody who reads the parent, and everybody after waits for that, but for half a second at most: first
-- events are waited for, then attempts. Rather try again later.
SET lock_timeout = '200ms' AS $$
DECLARE
    day date;
    parent text;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tidings.make_partitions'));
    FOR day IN SELECT from_day + place FROM generate_series(0, days - 1) AS place LOOP
        FOREACH parent IN ARRAY ARRAY['events', 'attempts'] LOOP
            name := parent || '_' || to_char(day, 'YYYYMMDD');
            IF to_regclass('tidings.' || name) IS NULL THEN
                BEGIN
                    EXECUTE format('CREATE TABLE tidings.%I PARTITION OF tidings.%I FOR VALUES FROM (%L) TO (%L)
                                    WITH (autovacuum_vacuum_insert_threshold = -1)', name, parent,
                        tidings.first_id_at(day::timestamp AT TIME ZONE 'UTC'), tidings.first_id_at((day + 1)::timestamp AT TIME ZONE 'UTC'));
                    PERFORM tidings.analyse_sparingly(('tidings.' || name)::regclass);
                EXCEPTION WHEN check_violation THEN
                    RAISE NOTICE 'rows of % are kept in %_rest', name, parent;
                END;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
