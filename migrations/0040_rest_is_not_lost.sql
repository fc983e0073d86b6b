-- What belongs to no day was deleted, needed or not, when the kept tables took their places: an event that a resend came to owe in these
-- moments was lost, and its delivery pending for ever.

-- Puts the tables of this round in the place of what was kept and of the days before `first_day`. It needs everybody out of events
-- and attempts for as long as it takes: milliseconds, since it copies nothing. Its caller bounds how long it waits for that.
CREATE OR REPLACE FUNCTION tidings.swap_kept(first_day date, begun xid8) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    below CONSTANT uuid := tidings.first_id_at(first_day::timestamp AT TIME ZONE 'UTC');
    parent text;
    part text;
BEGIN
    LOCK TABLE ONLY tidings.events, ONLY tidings.attempts IN ACCESS EXCLUSIVE MODE;
    -- Data that was deleted since it was copied.
    UPDATE tidings.events_next AS e SET data = 'null' FROM tidings.erasures AS x
    WHERE x.changed >= begun AND e.tenant_id = x.tenant_id AND e.id = x.event_id AND e.data <> 'null';
    UPDATE tidings.attempts_next AS a SET response_headers = NULL, response_body = NULL FROM tidings.erasures AS x
    WHERE x.changed >= begun AND a.tenant_id = x.tenant_id
      AND a.delivery_id > x.event_id AND a.delivery_id <= tidings.delivery_id(x.event_id, 1048575);
    -- Copied as well. Anything else came to be needed since, and waits for a round that has seen it.
    DELETE FROM tidings.events_rest AS e USING tidings.events_next AS n
    WHERE e.id < below AND n.tenant_id = e.tenant_id AND n.id = e.id;
    DELETE FROM tidings.attempts_rest AS a USING tidings.attempts_next AS n
    WHERE a.delivery_id < below AND n.tenant_id = a.tenant_id AND n.delivery_id = a.delivery_id AND n.number = a.number;
    IF EXISTS (SELECT FROM tidings.events_rest WHERE id < below)
        OR EXISTS (SELECT FROM tidings.attempts_rest WHERE delivery_id < below) THEN
        RAISE EXCEPTION 'something that belongs to no day came to be needed while it was cleared' USING ERRCODE = 'lock_not_available';
    END IF;
    FOREACH parent IN ARRAY ARRAY['events', 'attempts'] LOOP
        FOR part IN
            SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
            WHERE i.inhparent = ('tidings.' || parent)::regclass
              AND (c.relname = parent || '_kept'
                   OR c.relname ~ ('^' || parent || '_[0-9]{8}$') AND to_date(right(c.relname, 8), 'YYYYMMDD') < first_day)
        LOOP
            EXECUTE format('ALTER TABLE tidings.%I DETACH PARTITION tidings.%I', parent, part);
            EXECUTE format('ALTER TABLE tidings.%I RENAME TO %I', part, replace(part, parent, parent || '_gone'));
        END LOOP;
        EXECUTE format('ALTER TABLE tidings.%I RENAME TO %I', parent || '_next', parent || '_kept');
        EXECUTE format('ALTER TABLE tidings.%I ATTACH PARTITION tidings.%I FOR VALUES FROM (MINVALUE) TO (%L)',
            parent, parent || '_kept', below);
    END LOOP;
END
$$;
