-- What the feed of attempts is read by. Attempts are appended in about the order in which they started, so the least and the greatest
-- time of each stretch of 32 pages say where to look. Such an index has some pages for millions of rows. An insert writes into it only
-- where its stretch is described already; what is new is described by a chore, and read whole until then.
--
-- Made on the parent alone, which takes no time: partitions to come have it from the start.
CREATE INDEX attempts_by_time ON ONLY tidings.attempts USING brin (started_at) WITH (pages_per_range = 32);

-- Partitions that are there get it at once where that takes some milliseconds, which on a new database is all of them. A large one goes
-- without, since settling would have to wait: the feed reads it whole where it is asked for, until retention drops it.
DO $$
DECLARE
    part regclass;
    name text;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'tidings.attempts'::regclass LOOP
        IF pg_relation_size(part) < 64 * 1024 * 1024 THEN
            SELECT relname || '_by_time' INTO name FROM pg_class WHERE oid = part;
            EXECUTE format('CREATE INDEX %I ON %s USING brin (started_at) WITH (pages_per_range = 32)', name, part);
            EXECUTE format('ALTER INDEX tidings.attempts_by_time ATTACH PARTITION tidings.%I', name);
        END IF;
    END LOOP;
END
$$;

-- Describes what was appended since the last time; says how many stretches that were.
CREATE FUNCTION tidings.describe_attempts() RETURNS integer
LANGUAGE plpgsql
-- It makes way for a vacuum, which does the same, and for whoever makes partitions.
SET lock_timeout = '50ms' AS $$
DECLARE
    part regclass;
    described integer := 0;
BEGIN
    FOR part IN
        SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('tidings.attempts_by_time') ORDER BY inhrelid
    LOOP
        BEGIN
            described := described + brin_summarize_new_values(part);
        EXCEPTION WHEN lock_not_available THEN
            NULL;
        END;
    END LOOP;
    RETURN described;
END
$$;
REVOKE EXECUTE ON FUNCTION tidings.describe_attempts() FROM PUBLIC;
