-- An event costs what it owes, however many webhooks its tenant has.
--
-- `patterns` takes a text apart and builds an array: thousands of times the work of a comparison, which is what the planner took it
-- for. So it was called once for each subscription of the tenant, to save a few steps down an index.
ALTER FUNCTION tidings.patterns(text) COST 10000;

-- As before, and for each type of a tenant's events the patterns are made once and the webhooks looked up one by one.
CREATE OR REPLACE FUNCTION tidings.accept(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[],
    at timestamptz, dispatcher integer, crowded uuid[], traces bytea[]
) RETURNS TABLE (place integer, delivery_id uuid, webhook_id uuid, dialect_revision integer, leased boolean,
                 existing uuid, same_content boolean)
LANGUAGE plpgsql
-- Planning a statement takes longer than carrying it out, and each plan here is good for any arguments. Said here, it holds in the
-- connections of those who call `enqueue` too.
SET plan_cache_mode = force_generic_plan
AS $$
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
        -- `OFFSET 0` keeps the planner from calling the function, or reading the webhook, once for each that the tenant has.
        CROSS JOIN LATERAL (SELECT tidings.patterns(kind.type) AS patterns OFFSET 0) AS wanted
        CROSS JOIN LATERAL (
            SELECT DISTINCT s.webhook_id FROM tidings.subscriptions AS s
            WHERE s.tenant_id = kind.tenant_id AND s.pattern = ANY (wanted.patterns)
        ) AS subscribed
        CROSS JOIN LATERAL (
            SELECT o.id, o.dialect, o.state, o.parked_until, o.rate_limit, o.verified_at FROM tidings.webhooks AS o
            WHERE o.tenant_id = kind.tenant_id AND o.id = subscribed.webhook_id OFFSET 0
        ) AS w
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
