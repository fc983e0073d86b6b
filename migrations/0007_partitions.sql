-- Takes what belongs to no daily partition: nothing, unless nobody made partitions for a week.
CREATE TABLE tidings.events_rest PARTITION OF tidings.events DEFAULT;
CREATE TABLE tidings.attempts_rest PARTITION OF tidings.attempts DEFAULT;

-- Makes the daily partitions from a day on, where they are missing. A day whose rows already fell into the rest keeps them there.
CREATE FUNCTION tidings.make_partitions(from_day date, days integer) RETURNS void
LANGUAGE plpgsql
-- Attaching a partition waits for everybody who reads the parent, and everybody after waits for that: rather try again later.
SET lock_timeout = '1s' AS $$
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
                    EXECUTE format('CREATE TABLE tidings.%I PARTITION OF tidings.%I FOR VALUES FROM (%L) TO (%L)', name, parent,
                        tidings.first_id_at(day::timestamp AT TIME ZONE 'UTC'), tidings.first_id_at((day + 1)::timestamp AT TIME ZONE 'UTC'));
                EXCEPTION WHEN check_violation THEN
                    RAISE NOTICE 'rows of % are kept in %_rest', name, parent;
                END;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
SELECT tidings.make_partitions((now() AT TIME ZONE 'UTC')::date, 8);
