-- Accept: stores events and owes each matching webhook a delivery. The REST and the SQL way are this one function.
--
-- One element of each array is one event. `dispatcher`, where given, gets the lease on each delivery that can be sent at
-- once; deliveries to the webhooks in `crowded` are left for anyone to claim.
--
-- Returns a row for each delivery made, and a row for each event that was not stored because its idempotency key was used in
-- the last 24 hours: `existing` is the event that used it, and `same_content` says whether this is a repetition of it.
CREATE FUNCTION tidings.accept(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[],
    at timestamptz, dispatcher integer, crowded uuid[]
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

    INSERT INTO tidings.events (tenant_id, id, occurred_at, type, data)
    SELECT e.tenant_id, e.id, e.occurred_at, e.type, e.data
    FROM unnest(tenant_ids, event_ids, types, occurred, datas) WITH ORDINALITY AS e (tenant_id, id, type, occurred_at, data, place)
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

-- What makes two events with one idempotency key the same: type, time and the bytes of the data.
CREATE FUNCTION tidings.content_digest(type text, occurred_at timestamptz, data bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(type || E'\n' || coalesce((extract(epoch FROM occurred_at) * 1000000)::bigint::text, '') || E'\n', 'UTF8') || data)
$$;
