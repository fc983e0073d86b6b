-- Retention drops whole days of events and attempts. What is still needed of them, which is every event with a delivery that is
-- pending or dead, all its attempts included, is kept in one partition below the days: `events_kept` and `attempts_kept`, from
-- the beginning of time to the first day that is kept whole. So whoever reads by id finds it where it always was.
--
-- A round makes the kept partitions anew: the needed rows are copied beside (`…_next`) while everything goes on; one short
-- transaction changes the partitions (`swap_kept`), in which no row is copied; what was missed, because it came about meanwhile,
-- is gleaned from the detached tables (`…_gone_…`), and those are dropped. A round that is cut short is taken up by the next.

-- The tables that were detached and are not yet dropped.
CREATE FUNCTION tidings.gone_tables(parent text) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'tidings'::regnamespace AND relkind = 'r' AND starts_with(relname::text, parent || '_gone_') ORDER BY relname
$$;

-- The days of events or attempts that have a partition of their own.
CREATE FUNCTION tidings.partitioned_days(parent text) RETURNS SETOF date
LANGUAGE sql STABLE AS $$
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD')
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = ('tidings.' || parent)::regclass AND c.relname ~ ('^' || parent || '_[0-9]{8}$')
$$;

-- The first day that a round leaves, where there is anything to drop before `first_day`; a round drops so many days at most.
CREATE FUNCTION tidings.next_round(first_day date, most integer) RETURNS date
LANGUAGE plpgsql STABLE AS $$
DECLARE
    oldest date;
    horizon CONSTANT uuid := tidings.first_id_at(first_day::timestamp AT TIME ZONE 'UTC');
BEGIN
    SELECT min(day) INTO oldest
    FROM (SELECT tidings.partitioned_days('events') AS day UNION ALL SELECT tidings.partitioned_days('attempts')) AS days;
    IF oldest < first_day THEN
        RETURN least(first_day, oldest + most);
    ELSIF EXISTS (SELECT FROM tidings.events_rest WHERE id < horizon)
        OR EXISTS (SELECT FROM tidings.attempts_rest WHERE delivery_id < horizon) THEN
        RETURN first_day;
    END IF;
    RETURN NULL;
END
$$;

-- The next few events that have a delivery pending or dead, below an id and after a place, in the order of tenant and id.
CREATE FUNCTION tidings.needed_events(below uuid, after_tenant uuid, after_event uuid, most integer)
RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT t.id, tidings.event_of(needed.id)
    FROM (
        SELECT t.id, CASE WHEN t.id = after_tenant THEN tidings.delivery_id(after_event, 1048575)
                          ELSE '00000000-0000-0000-0000-000000000000' END AS after
        FROM tidings.tenants AS t WHERE t.id >= after_tenant
    ) AS t
    CROSS JOIN LATERAL (
        (SELECT o.id FROM tidings.outbox AS o WHERE o.tenant_id = t.id AND o.id > t.after AND o.id < below ORDER BY o.id LIMIT most)
        UNION ALL
        (SELECT d.id FROM tidings.dead_letters AS d
         WHERE d.tenant_id = t.id AND d.id > t.after AND d.id < below ORDER BY d.id LIMIT most)
        ORDER BY 1 LIMIT most
    ) AS needed
    ORDER BY 1, 2 LIMIT most
$$;

-- Begins a round: empty tables for what is kept. Returns the oldest transaction that is under way, after which a deletion of data
-- may miss what is copied from here on.
CREATE FUNCTION tidings.begin_round(first_day date) RETURNS xid8
LANGUAGE plpgsql AS $$
DECLARE
    below CONSTANT uuid := tidings.first_id_at(first_day::timestamp AT TIME ZONE 'UTC');
BEGIN
    DROP TABLE IF EXISTS tidings.events_next, tidings.attempts_next;
    -- Postgres believes the CHECK, so that nothing is read when they become partitions.
    EXECUTE format('CREATE TABLE tidings.events_next (LIKE tidings.events INCLUDING ALL, CHECK (id < %L))', below);
    EXECUTE format('CREATE TABLE tidings.attempts_next (LIKE tidings.attempts INCLUDING ALL, CHECK (delivery_id < %L))', below);
    RETURN pg_snapshot_xmin(pg_current_snapshot());
END
$$;

-- Copies the next few needed events, and says how far it came; without a row there are no more.
CREATE FUNCTION tidings.keep_events(
    target text, source text, below uuid, after_tenant uuid, after_event uuid, most integer
) RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    tenants uuid[];
    events uuid[];
BEGIN
    -- A deletion of data comes before or after, so that either this or that sees to it.
    PERFORM pg_advisory_xact_lock(hashtext('tidings.erasure'));
    SELECT array_agg(n.tenant_id ORDER BY n.tenant_id, n.id), array_agg(n.id ORDER BY n.tenant_id, n.id) INTO tenants, events
    FROM tidings.needed_events(below, after_tenant, after_event, most) AS n;
    IF tenants IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format(
        'INSERT INTO tidings.%I SELECT e.* FROM unnest($1, $2) AS n (tenant_id, id)
         JOIN tidings.%I AS e ON e.tenant_id = n.tenant_id AND e.id = n.id ON CONFLICT DO NOTHING', target, source) USING tenants, events;
    EXECUTE format(
        'UPDATE tidings.%I AS e SET data = ''null'' FROM unnest($1, $2) AS n (tenant_id, id)
         JOIN tidings.erasures AS x ON x.tenant_id = n.tenant_id AND x.event_id = n.id
         WHERE e.tenant_id = n.tenant_id AND e.id = n.id AND e.data <> ''null''', target) USING tenants, events;
    RETURN QUERY SELECT tenants[cardinality(tenants)], events[cardinality(events)];
END
$$;

-- Copies all attempts of the next few events in a table, and says how far it came; without a row there are no more.
CREATE FUNCTION tidings.keep_attempts(
    target text, source text, kept text, after_tenant uuid, after_event uuid, most integer
) RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    tenants uuid[];
    events uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tidings.erasure'));
    EXECUTE format(
        'SELECT array_agg(tenant_id ORDER BY tenant_id, id), array_agg(id ORDER BY tenant_id, id) FROM (
             SELECT tenant_id, id FROM tidings.%I WHERE (tenant_id, id) > ($1, $2) ORDER BY tenant_id, id LIMIT $3) AS n', kept)
        INTO tenants, events USING after_tenant, after_event, most;
    IF tenants IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format(
        'INSERT INTO tidings.%I SELECT a.* FROM unnest($1, $2) AS n (tenant_id, id) CROSS JOIN LATERAL (
             SELECT * FROM tidings.%I AS own WHERE own.tenant_id = n.tenant_id
                AND own.delivery_id > n.id AND own.delivery_id <= tidings.delivery_id(n.id, 1048575)) AS a
         ON CONFLICT DO NOTHING', target, source) USING tenants, events;
    EXECUTE format(
        'UPDATE tidings.%I AS a SET response_headers = NULL, response_body = NULL FROM unnest($1, $2) AS n (tenant_id, id)
         JOIN tidings.erasures AS x ON x.tenant_id = n.tenant_id AND x.event_id = n.id
         WHERE a.tenant_id = n.tenant_id AND a.delivery_id > n.id AND a.delivery_id <= tidings.delivery_id(n.id, 1048575)
           AND (a.response_headers IS NOT NULL OR a.response_body IS NOT NULL)', target) USING tenants, events;
    RETURN QUERY SELECT tenants[cardinality(tenants)], events[cardinality(events)];
END
$$;

-- Puts the tables of this round in the place of what was kept and of the days before `first_day`. It needs everybody out of events
-- and attempts for as long as it takes: milliseconds, since it copies nothing. Its caller bounds how long it waits for that.
CREATE FUNCTION tidings.swap_kept(first_day date, begun xid8) RETURNS void
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
    -- Copied as well; `clear_rest` has left nothing else.
    DELETE FROM tidings.events_rest WHERE id < below;
    DELETE FROM tidings.attempts_rest WHERE delivery_id < below;
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

-- Deletes a few events that nobody needs, and attempts of events that are gone, from where rows lie that belonged to no day. Says
-- how many.
CREATE FUNCTION tidings.clear_rest(first_day date, most integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    below CONSTANT uuid := tidings.first_id_at(first_day::timestamp AT TIME ZONE 'UTC');
    nobodys uuid[];
    gone bigint;
    deleted bigint;
BEGIN
    SELECT array_agg(id) INTO nobodys FROM (
        SELECT e.id FROM tidings.events_rest AS e WHERE e.id < below AND NOT tidings.is_needed(e.tenant_id, e.id)
        LIMIT most FOR UPDATE SKIP LOCKED
    ) AS e;
    -- Once more: a resend may have been committed before the lock was had.
    DELETE FROM tidings.events_rest AS e WHERE e.id = ANY (nobodys) AND NOT tidings.is_needed(e.tenant_id, e.id);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM tidings.attempts_rest WHERE ctid = ANY (ARRAY(
        SELECT a.ctid FROM tidings.attempts_rest AS a
        WHERE a.delivery_id < below AND NOT EXISTS (
            SELECT FROM tidings.events AS e WHERE e.tenant_id = a.tenant_id AND e.id = tidings.event_of(a.delivery_id))
        LIMIT most));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN deleted + gone;
END
$$;

-- Whether an event has a delivery that is pending or dead.
CREATE FUNCTION tidings.is_needed(tenant uuid, event uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM tidings.outbox WHERE tenant_id = tenant AND id > event AND id <= tidings.delivery_id(event, 1048575))
        OR EXISTS (SELECT FROM tidings.dead_letters WHERE tenant_id = tenant AND id > event AND id <= tidings.delivery_id(event, 1048575))
$$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA tidings FROM PUBLIC;
