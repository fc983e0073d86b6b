-- Retention keeps every event that has a delivery pending or dead. Where a tenant had more of those deliveries than are read at a time, and
-- events with several of them, what was read went on into the next tenant, whose place was then the one to go on from: the rest of the
-- first tenant's events were dropped. Tenants are gone through one after another now, and one that is not finished is the last.
CREATE OR REPLACE FUNCTION tidings.needed_events(below uuid, after_tenant uuid, after_event uuid, most integer)
RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    tenant uuid := after_tenant;
    after uuid := tidings.delivery_id(after_event, 1048575);
    deliveries uuid[];
    room integer := most;
BEGIN
    WHILE tenant IS NOT NULL AND room > 0 LOOP
        deliveries := ARRAY(
            (SELECT o.id FROM tidings.outbox AS o WHERE o.tenant_id = tenant AND o.id > after AND o.id < below ORDER BY o.id LIMIT room)
            UNION ALL
            (SELECT d.id FROM tidings.dead_letters AS d
             WHERE d.tenant_id = tenant AND d.id > after AND d.id < below ORDER BY d.id LIMIT room)
            ORDER BY 1 LIMIT room);
        RETURN QUERY SELECT DISTINCT tenant, tidings.event_of(needed.id) FROM unnest(deliveries) AS needed (id) ORDER BY 2;
        room := room - cardinality(deliveries);
        -- The next that has any, of however many tenants there are.
        tenant := least(
            (SELECT o.tenant_id FROM tidings.outbox AS o WHERE o.tenant_id > tenant ORDER BY o.tenant_id LIMIT 1),
            (SELECT d.tenant_id FROM tidings.dead_letters AS d WHERE d.tenant_id > tenant ORDER BY d.tenant_id LIMIT 1));
        after := '00000000-0000-0000-0000-000000000000';
    END LOOP;
END
$$;

-- As before, but whoever has the idempotency key in an open transaction is met before a delivery is locked, and is waited for
-- half a second: until then results of other deliveries that are recorded together with these would have to wait.
CREATE OR REPLACE FUNCTION tidings.erase(tenant uuid, event uuid, at timestamptz) RETURNS TABLE (deleted_at timestamptz, cancelled bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    last CONSTANT uuid := tidings.delivery_id(event, 1048575);
    accepted CONSTANT timestamptz := to_timestamp(('x' || substr(replace(event::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0);
    patience CONSTANT text := current_setting('lock_timeout');
    ended bigint;
    cancelled bigint := 0;
BEGIN
    -- Nobody copies rows to where this would not find them, and nobody owes the event anew, until this is committed.
    PERFORM pg_advisory_xact_lock_shared(hashtext('tidings.erasure'));
    PERFORM FROM tidings.events WHERE tenant_id = tenant AND id = event FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO tidings.erasures (tenant_id, event_id, deleted_at) VALUES (tenant, event, at) ON CONFLICT DO NOTHING;
    -- No digest is empty: the key stays taken, and its repetition is told what became of the event. A key is as old as its event,
    -- but for the time that accepting took.
    PERFORM set_config('lock_timeout', '500ms', true);
    UPDATE tidings.idempotency_keys SET digest = ''
    WHERE tenant_id = tenant AND event_id = event AND created_at BETWEEN accepted - interval '1 second' AND accepted + interval '10 minutes';
    PERFORM set_config('lock_timeout', patience, true);
    -- A result that is being recorded moves a delivery from the outbox to the dead letters, an operator's resend back.
    FOR round IN 1..2 LOOP
        WITH gone AS (
            DELETE FROM tidings.outbox WHERE tenant_id = tenant AND id > event AND id <= last RETURNING *
        )
        INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
        SELECT tenant_id, id, webhook_id, at, dialect_revision, 'data_deleted', attempts FROM gone;
        GET DIAGNOSTICS ended = ROW_COUNT;
        cancelled := cancelled + ended;
        WITH gone AS (
            DELETE FROM tidings.dead_letters WHERE tenant_id = tenant AND id > event AND id <= last RETURNING *
        )
        INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
        SELECT tenant_id, id, webhook_id, at, dialect_revision, 'data_deleted', attempts FROM gone;
        GET DIAGNOSTICS ended = ROW_COUNT;
        cancelled := cancelled + ended;
    END LOOP;
    UPDATE tidings.attempts SET response_headers = NULL, response_body = NULL
    WHERE tenant_id = tenant AND delivery_id > event AND delivery_id <= last
      AND (response_headers IS NOT NULL OR response_body IS NOT NULL);
    -- A JSON value, since a program of the version before shows it.
    UPDATE tidings.events SET data = 'null' WHERE tenant_id = tenant AND id = event AND data <> 'null';
    RETURN QUERY SELECT x.deleted_at, cancelled FROM tidings.erasures AS x WHERE x.tenant_id = tenant AND x.event_id = event;
END
$$;

-- As before, but what repeats an event that was accepted is answered with that, also where its type was taken out of the catalogue since;
-- and to many receivers there is no year 0.
CREATE OR REPLACE FUNCTION tidings.enqueue(
    tenant text, type text, data json, idempotency_key text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL,
    traceparent text DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- The producer's transaction may be long: what counts is when the event was reported, not when that began.
    at CONSTANT timestamptz := clock_timestamp();
    tenant_id CONSTANT uuid := tidings.parse_id('ten_', tenant);
    event_id CONSTANT uuid := tidings.new_event_id(at);
    -- White space around a value is not part of it.
    content CONSTANT text := btrim(data::text, E' \t\n\r');
    first_use record;
BEGIN
    IF type IS NULL OR type !~ '^[A-Za-z0-9_.:-]{1,128}$' THEN
        RAISE EXCEPTION 'type % is not an event type: 1 to 128 of A-Z a-z 0-9 _ . : -', quote_nullable(type)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF content IS NULL OR octet_length(content) > 1048576 THEN
        RAISE EXCEPTION 'data must be a JSON value of at most 1 MiB; for JSON''s own null write ''null''::json'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Few texts have so many brackets that it is worth counting levels.
    IF length(content) - length(translate(content, '[{', '')) > 64 AND tidings.json_depth(content) > 64 THEN
        RAISE EXCEPTION 'data nests arrays and objects more than 64 levels deep' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF idempotency_key !~ '^[\x21-\x7e]{1,255}$' THEN
        RAISE EXCEPTION 'idempotency_key must be 1 to 255 visible ASCII characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF occurred_at NOT BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 23:59:59.999999+00' THEN
        RAISE EXCEPTION 'occurred_at % is not a time of the years 1 to 9999', occurred_at USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM tidings.tenants WHERE id = tenant_id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'there is no tenant %', tenant USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF idempotency_key IS NULL OR NOT EXISTS (
        SELECT FROM tidings.idempotency_keys AS k
        WHERE k.tenant_id = tidings.parse_id('ten_', tenant) AND k.key = idempotency_key AND k.created_at > at - interval '24 hours'
          AND k.digest = tidings.content_digest(type, occurred_at, convert_to(content, 'UTF8'))
    ) THEN
        PERFORM tidings.check_type(tenant_id, type);
    END IF;

    SELECT accepted.existing, accepted.same_content INTO first_use
    FROM tidings.accept(ARRAY[tenant_id], ARRAY[event_id], ARRAY[type], ARRAY[occurred_at], ARRAY[convert_to(content, 'UTF8')],
                        ARRAY[idempotency_key], at, NULL, '{}', ARRAY[tidings.parse_traceparent(traceparent)]) AS accepted
    WHERE accepted.existing IS NOT NULL;
    IF first_use.same_content THEN
        RETURN 'evt_' || tidings.ulid_text(first_use.existing);
    ELSIF first_use.existing IS NOT NULL THEN
        RAISE EXCEPTION 'idempotency_key % was used in the last 24 hours for other content (evt_%)',
            quote_literal(idempotency_key), tidings.ulid_text(first_use.existing) USING ERRCODE = 'unique_violation';
    END IF;
    RETURN 'evt_' || tidings.ulid_text(event_id);
END
$$;
