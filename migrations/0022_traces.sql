-- The trace that an event belongs to (W3C Trace Context): 16 bytes of the trace, 8 of the span that reported the event, 1 of flags.
-- NULL, as for most, takes no room.
ALTER TABLE tidings.events ADD COLUMN trace bytea;
-- It has these 25 bytes. Not validated, which would read every event: all of those before have none.
ALTER TABLE tidings.events ADD CONSTRAINT trace_form CHECK (octet_length(trace) = 25) NOT VALID;

-- The stored form of a `traceparent`; NULL where it is malformed, which is as if there were none.
CREATE FUNCTION tidings.parse_traceparent(traceparent text) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(traceparent) <= 512
                 AND traceparent ~ '^(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|(?!ff|00)[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?)$'
                 AND substr(traceparent, 4, 32) <> repeat('0', 32) AND substr(traceparent, 37, 16) <> repeat('0', 16)
           THEN decode(substr(traceparent, 4, 32) || substr(traceparent, 37, 16) || substr(traceparent, 54, 2), 'hex') END
$$;
REVOKE EXECUTE ON FUNCTION tidings.parse_traceparent(text) FROM PUBLIC;

-- Accept: stores events and owes each matching webhook a delivery. The REST and the SQL way are this one function.
--
-- One element of each array is one event. `dispatcher`, where given, gets the lease on each delivery that can be sent at
-- once; deliveries to the webhooks in `crowded` are left for anyone to claim.
-- `traces` are what the events belong to, as events.trace keeps it; NULL where none of them has one.
--
-- Returns a row for each delivery made, and a row for each event that was not stored because its idempotency key was used in
-- the last 24 hours: `existing` is the event that used it, and `same_content` says whether this is a repetition of it.
CREATE FUNCTION tidings.accept(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[],
    at timestamptz, dispatcher integer, crowded uuid[], traces bytea[]
) RETURNS TABLE (place integer, delivery_id uuid, webhook_id uuid, dialect_revision integer, leased boolean,
                 existing uuid, same_content boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    fresh boolean[];
    target_tenants uuid[];
    target_types text[];
    target_webhooks uuid[];
    target_ordinals integer[];
    target_dialects integer[];
    target_sendable boolean[];
BEGIN
    IF array_remove(keys, NULL) <> '{}' THEN
        -- In the order of the keys, so that two transactions never wait for each other.
        INSERT INTO tidings.idempotency_keys AS known (tenant_id, key, event_id, digest, created_at)
        SELECT DISTINCT ON (e.tenant_id, e.key) e.tenant_id, e.key, e.id, tidings.content_digest(e.type, e.occurred_at, e.data), at
        FROM unnest(tenant_ids, event_ids, types, occurred, datas, keys) WITH ORDINALITY
            AS e (tenant_id, id, type, occurred_at, data, key, place)
        WHERE e.key IS NOT NULL
        ORDER BY e.tenant_id, e.key, e.place
        ON CONFLICT (tenant_id, key) DO UPDATE
            SET event_id = excluded.event_id, digest = excluded.digest, created_at = excluded.created_at
            WHERE known.created_at <= at - interval '24 hours';

        RETURN QUERY
        SELECT e.place::integer, NULL::uuid, NULL::uuid, NULL::integer, false, known.event_id,
               known.digest = tidings.content_digest(e.type, e.occurred_at, e.data)
        FROM unnest(tenant_ids, event_ids, types, occurred, datas, keys) WITH ORDINALITY
            AS e (tenant_id, id, type, occurred_at, data, key, place)
        JOIN tidings.idempotency_keys AS known ON known.tenant_id = e.tenant_id AND known.key = e.key
        WHERE known.event_id <> e.id;

        SELECT array_agg(e.key IS NULL OR EXISTS (
                   SELECT FROM tidings.idempotency_keys AS known
                   WHERE known.tenant_id = e.tenant_id AND known.key = e.key AND known.event_id = e.id) ORDER BY e.place)
        INTO fresh
        FROM unnest(tenant_ids, event_ids, keys) WITH ORDINALITY AS e (tenant_id, id, key, place);
    END IF;

    INSERT INTO tidings.events (tenant_id, id, occurred_at, type, data, trace)
    SELECT e.tenant_id, e.id, e.occurred_at, e.type, e.data, e.trace
    FROM unnest(tenant_ids, event_ids, types, occurred, datas, traces) WITH ORDINALITY
        AS e (tenant_id, id, type, occurred_at, data, trace, place)
    WHERE fresh IS NULL OR fresh[e.place];

    -- Webhooks are looked up once for each tenant and type, however many events there are of it. One that was never verified
    -- gets nothing; one that is not active now has its events held, by not leasing them.
    SELECT array_agg(t.tenant_id), array_agg(t.type), array_agg(t.webhook_id), array_agg(t.ordinal),
           array_agg(t.revision), array_agg(t.sendable)
    INTO target_tenants, target_types, target_webhooks, target_ordinals, target_dialects, target_sendable
    FROM (
        SELECT kind.tenant_id, kind.type, w.id AS webhook_id, d.revision,
               row_number() OVER (PARTITION BY kind.tenant_id, kind.type ORDER BY w.id)::integer AS ordinal,
               w.state = 'active' AND (w.parked_until IS NULL OR w.parked_until <= at) AND w.rate_limit IS NULL
                   AND w.id <> ALL (crowded) AS sendable
        FROM (SELECT DISTINCT e.tenant_id, e.type FROM unnest(tenant_ids, types) AS e (tenant_id, type)) AS kind
        CROSS JOIN LATERAL (
            SELECT DISTINCT s.webhook_id FROM tidings.subscriptions AS s
            WHERE s.tenant_id = kind.tenant_id AND s.pattern = ANY (tidings.patterns(kind.type))
        ) AS subscribed
        JOIN tidings.webhooks AS w ON w.tenant_id = kind.tenant_id AND w.id = subscribed.webhook_id
        JOIN tidings.dialects AS d ON d.name = w.dialect
        WHERE w.verified_at IS NOT NULL AND (d.event_types IS NULL OR kind.type = ANY (d.event_types))
    ) AS t;

    RETURN QUERY
    WITH owed AS (
        SELECT e.place::integer AS place, e.tenant_id, tidings.delivery_id(e.id, t.ordinal) AS id, t.webhook_id, t.dialect_revision,
               dispatcher IS NOT NULL AND t.sendable AS leased
        FROM unnest(tenant_ids, event_ids, types) WITH ORDINALITY AS e (tenant_id, id, type, place)
        JOIN unnest(target_tenants, target_types, target_webhooks, target_ordinals, target_dialects, target_sendable)
            AS t (tenant_id, type, webhook_id, ordinal, dialect_revision, sendable)
            ON t.tenant_id = e.tenant_id AND t.type = e.type
        WHERE fresh IS NULL OR fresh[e.place]
    ), stored AS (
        INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, holder, attempts)
        SELECT o.tenant_id, o.id, o.webhook_id, at, o.dialect_revision,
               CASE WHEN o.leased THEN dispatcher END, CASE WHEN o.leased THEN 1 ELSE 0 END
        FROM owed AS o
    )
    SELECT o.place, o.id, o.webhook_id, o.dialect_revision, o.leased, NULL::uuid, NULL::boolean FROM owed AS o;
END
$$;

-- As the version before calls it: without traces.
CREATE OR REPLACE FUNCTION tidings.accept(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[],
    at timestamptz, dispatcher integer, crowded uuid[]
) RETURNS TABLE (place integer, delivery_id uuid, webhook_id uuid, dialect_revision integer, leased boolean,
                 existing uuid, same_content boolean)
LANGUAGE sql AS $$
    SELECT * FROM tidings.accept(tenant_ids, event_ids, types, occurred, datas, keys, at, dispatcher, crowded, NULL)
$$;

-- The SQL way to report an event, inside the producer's own transaction: it is accepted if and only if that commits. `traceparent`
-- is the producer's place in a trace; a malformed one is ignored.
--
-- One function, not a second beside the old: a call that leaves the last arguments out would fit both.
DROP FUNCTION tidings.enqueue(text, text, json, text, timestamptz);
CREATE FUNCTION tidings.enqueue(
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
    IF NOT EXISTS (SELECT FROM tidings.tenants WHERE id = tenant_id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'there is no tenant %', tenant USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM tidings.check_type(tenant_id, type);

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
REVOKE EXECUTE ON FUNCTION tidings.accept(uuid[], uuid[], text[], timestamptz[], bytea[], text[], timestamptz, integer, uuid[], bytea[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION tidings.enqueue(text, text, json, text, timestamptz, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tidings.enqueue(text, text, json, text, timestamptz, text) TO tidings_producer;
