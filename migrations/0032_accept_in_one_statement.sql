-- What is the same for every batch costs less: half of accepting a lone event was spent on it.
--
-- A function in SQL with a query of its own is planned anew in each statement that calls it, which took longer than all else that was
-- done for an event; what is written in PL/pgSQL is planned once in each connection. And `FROM unnest(a, b, …)` writes each array to a
-- store of its own before it reads a row, which for the fifteen of a settlement took half of its time; `SELECT unnest(a), unnest(b), …`
-- goes through them side by side.
CREATE OR REPLACE FUNCTION tidings.patterns(event_type text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000 AS $$
DECLARE
    found text[] := CASE WHEN tidings.is_operational(event_type) THEN ARRAY[event_type] ELSE ARRAY[event_type, '*'] END;
    head text := '';
    rest text := event_type;
    dot integer := strpos(event_type, '.');
BEGIN
    WHILE dot > 0 LOOP
        head := head || left(rest, dot);
        rest := substr(rest, dot + 1);
        found := found || (head || '*');
        dot := strpos(rest, '.');
    END LOOP;
    RETURN found;
END
$$;

-- As `accept`, in one statement less, and with the settings of the caller: to set them here for each call costs a quarter of a lone
-- event. Tidings' own connections have them.
CREATE FUNCTION tidings.accept_batch(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[],
    at timestamptz, dispatcher integer, crowded uuid[], traces bytea[]
) RETURNS TABLE (place integer, delivery_id uuid, webhook_id uuid, dialect_revision integer, leased boolean,
                 existing uuid, same_content boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    fresh boolean[];
BEGIN
    IF array_remove(keys, NULL) <> '{}' THEN
        -- In the order of the keys, so that two transactions never wait for each other.
        INSERT INTO tidings.idempotency_keys AS known (tenant_id, key, event_id, digest, created_at)
        SELECT DISTINCT ON (e.tenant_id, e.key) e.tenant_id, e.key, e.id, tidings.content_digest(e.type, e.occurred_at, e.data), at
        FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(types) AS type, unnest(occurred) AS occurred_at,
                     unnest(datas) AS data, unnest(keys) AS key, generate_subscripts(event_ids, 1) AS place) AS e
        WHERE e.key IS NOT NULL
        ORDER BY e.tenant_id, e.key, e.place
        ON CONFLICT (tenant_id, key) DO UPDATE
            SET event_id = excluded.event_id, digest = excluded.digest, created_at = excluded.created_at
            WHERE known.created_at <= at - interval '24 hours';

        RETURN QUERY
        SELECT e.place, NULL::uuid, NULL::uuid, NULL::integer, false, known.event_id,
               known.digest = tidings.content_digest(e.type, e.occurred_at, e.data)
        FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(types) AS type, unnest(occurred) AS occurred_at,
                     unnest(datas) AS data, unnest(keys) AS key, generate_subscripts(event_ids, 1) AS place) AS e
        JOIN tidings.idempotency_keys AS known ON known.tenant_id = e.tenant_id AND known.key = e.key
        WHERE known.event_id <> e.id;

        SELECT array_agg(e.key IS NULL OR EXISTS (
                   SELECT FROM tidings.idempotency_keys AS known
                   WHERE known.tenant_id = e.tenant_id AND known.key = e.key AND known.event_id = e.id) ORDER BY e.place)
        INTO fresh
        FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(keys) AS key,
                     generate_subscripts(event_ids, 1) AS place) AS e;
    END IF;

    INSERT INTO tidings.events (tenant_id, id, occurred_at, type, data, trace)
    SELECT e.tenant_id, e.id, e.occurred_at, e.type, e.data, e.trace
    FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(occurred) AS occurred_at, unnest(types) AS type,
                 unnest(datas) AS data, unnest(traces) AS trace, generate_subscripts(event_ids, 1) AS place) AS e
    WHERE fresh IS NULL OR fresh[e.place];

    -- Webhooks are looked up once for each tenant and type, and patterns made once for each type, however many events there are of it.
    -- One that was never verified gets nothing; one that is not active now has its events held, by not leasing them.
    RETURN QUERY
    WITH target AS MATERIALIZED (
        SELECT kind.tenant_id, kind.type, w.id AS webhook_id, d.revision,
               row_number() OVER (PARTITION BY kind.tenant_id, kind.type ORDER BY w.id)::integer AS ordinal,
               w.state = 'active' AND (w.parked_until IS NULL OR w.parked_until <= at) AND w.rate_limit IS NULL
                   AND w.id <> ALL (crowded) AS sendable
        FROM (SELECT DISTINCT unnest(tenant_ids) AS tenant_id, unnest(types) AS type) AS kind
        -- `OFFSET 0` keeps the planner from calling the function, or reading the webhook, once for each that the tenant has.
        JOIN (
            SELECT e.type, tidings.patterns(e.type) AS patterns
            FROM (SELECT DISTINCT unnest(types) AS type) AS e OFFSET 0
        ) AS wanted USING (type)
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
    ), owed AS (
        SELECT e.place, e.tenant_id, tidings.delivery_id(e.id, t.ordinal) AS id, t.webhook_id, t.revision,
               dispatcher IS NOT NULL AND t.sendable AS leased
        FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(types) AS type,
                     generate_subscripts(event_ids, 1) AS place) AS e
        JOIN target AS t ON t.tenant_id = e.tenant_id AND t.type = e.type
        WHERE fresh IS NULL OR fresh[e.place]
    ), stored AS (
        INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, holder, attempts)
        SELECT o.tenant_id, o.id, o.webhook_id, at, o.revision,
               CASE WHEN o.leased THEN dispatcher END, CASE WHEN o.leased THEN 1 ELSE 0 END
        FROM owed AS o
    )
    SELECT o.place, o.id, o.webhook_id, o.revision, o.leased, NULL::uuid, NULL::boolean FROM owed AS o;
END
$$;

COMMENT ON FUNCTION tidings.accept_batch IS
    'Stores events and the deliveries they are owed. For connections that plan generically and prefer indexes.';
REVOKE EXECUTE ON FUNCTION tidings.accept_batch(uuid[], uuid[], text[], timestamptz[], bytea[], text[], timestamptz, integer, uuid[], bytea[]) FROM PUBLIC;

-- For the connections of those who call `enqueue`, and for the version before this one.
CREATE OR REPLACE FUNCTION tidings.accept(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[],
    at timestamptz, dispatcher integer, crowded uuid[], traces bytea[]
) RETURNS TABLE (place integer, delivery_id uuid, webhook_id uuid, dialect_revision integer, leased boolean,
                 existing uuid, same_content boolean)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    RETURN QUERY SELECT * FROM tidings.accept_batch(tenant_ids, event_ids, types, occurred, datas, keys, at, dispatcher, crowded, traces);
END
$$;
