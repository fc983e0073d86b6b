-- What belongs to an event is looked up by its key, however few rows a table had when the statement was planned. Joins of arrays with
-- a table were planned for a thousand rows of the one and few of the other, and read the other whole: up to 50,000 idempotency keys for
-- each statement with a key.

-- No other index of subscriptions begins with the tenant now, nor can be taken for their primary key's.
CREATE INDEX subscriptions_by_webhook ON tidings.subscriptions (webhook_id);
DROP INDEX tidings.subscriptions_of_webhook;

-- As before, but each pattern is looked up by itself. `OFFSET 0` keeps a part of the query from being joined in another way; the whole
-- is part of the query that calls it.
CREATE OR REPLACE FUNCTION tidings.routes(tenant_ids uuid[], types text[])
RETURNS TABLE (tenant_id uuid, type text, ordinal integer, webhook_id uuid, dialect_revision integer, is_open boolean,
               parked_until timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT kind.tenant_id, kind.type, row_number() OVER (PARTITION BY kind.tenant_id, kind.type ORDER BY w.id)::integer,
           w.id, d.revision, w.state = 'active' AND w.rate_limit IS NULL, w.parked_until
    FROM (SELECT DISTINCT unnest(tenant_ids) AS tenant_id, unnest(types) AS type) AS kind
    JOIN (
        SELECT e.type, tidings.patterns(e.type) AS patterns FROM (SELECT DISTINCT unnest(types) AS type) AS e OFFSET 0
    ) AS wanted ON wanted.type = kind.type
    CROSS JOIN LATERAL (
        SELECT DISTINCT s.webhook_id
        FROM unnest(wanted.patterns) AS one (pattern)
        CROSS JOIN LATERAL (
            SELECT o.webhook_id FROM tidings.subscriptions AS o
            WHERE o.tenant_id = kind.tenant_id AND o.pattern = one.pattern OFFSET 0
        ) AS s
    ) AS subscribed
    CROSS JOIN LATERAL (
        SELECT o.id, o.dialect, o.state, o.parked_until, o.rate_limit, o.verified_at FROM tidings.webhooks AS o
        WHERE o.tenant_id = kind.tenant_id AND o.id = subscribed.webhook_id OFFSET 0
    ) AS w
    JOIN tidings.dialects AS d ON d.name = w.dialect
    WHERE w.verified_at IS NOT NULL AND (d.event_types IS NULL OR kind.type = ANY (d.event_types))
$$;

-- As before, but for the keys.
CREATE OR REPLACE FUNCTION tidings.store_events(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[], traces bytea[],
    places integer[], delivery_ids uuid[], webhook_ids uuid[], revisions integer[], leases boolean[],
    at timestamptz, dispatcher integer, seen pg_snapshot,
    OUT is_stale boolean, OUT known_places integer[], OUT known_events uuid[], OUT same_content boolean[]
)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    fresh boolean[];
BEGIN
    is_stale := seen IS NOT NULL AND (
        EXISTS (
            -- `OFFSET 0`: whose webhook it is, is asked of the few that changed, and not which of a tenant's webhooks did.
            SELECT FROM (
                SELECT w.tenant_id FROM tidings.webhooks AS w
                WHERE w.changed >= pg_snapshot_xmin(seen) AND NOT pg_visible_in_snapshot(w.changed, seen) OFFSET 0
            ) AS changed WHERE changed.tenant_id = ANY (tenant_ids)
        )
        OR EXISTS (SELECT FROM tidings.dialects AS d WHERE NOT pg_visible_in_snapshot(d.changed, seen))
    );
    IF is_stale THEN
        RETURN;
    END IF;

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

        SELECT array_agg(known.event_id IS NULL OR known.event_id = e.id ORDER BY e.place),
               array_agg(e.place) FILTER (WHERE known.event_id <> e.id),
               array_agg(known.event_id) FILTER (WHERE known.event_id <> e.id),
               array_agg(known.digest = tidings.content_digest(e.type, e.occurred_at, e.data)) FILTER (WHERE known.event_id <> e.id)
        INTO fresh, known_places, known_events, same_content
        FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(types) AS type, unnest(occurred) AS occurred_at,
                     unnest(datas) AS data, unnest(keys) AS key, generate_subscripts(event_ids, 1) AS place) AS e
        LEFT JOIN LATERAL (
            SELECT k.event_id, k.digest FROM tidings.idempotency_keys AS k
            WHERE k.tenant_id = e.tenant_id AND k.key = e.key OFFSET 0
        ) AS known ON true;
    END IF;

    INSERT INTO tidings.events (tenant_id, id, occurred_at, type, data, trace)
    SELECT e.tenant_id, e.id, e.occurred_at, e.type, e.data, e.trace
    FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(occurred) AS occurred_at, unnest(types) AS type,
                 unnest(datas) AS data, unnest(traces) AS trace, generate_subscripts(event_ids, 1) AS place) AS e
    WHERE fresh IS NULL OR fresh[e.place];

    IF places <> '{}' THEN
        INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, holder, attempts)
        SELECT tenant_ids[d.place], d.id, d.webhook_id, at, d.revision,
               CASE WHEN d.leased THEN dispatcher END, CASE WHEN d.leased THEN 1 ELSE 0 END
        FROM (SELECT unnest(places) AS place, unnest(delivery_ids) AS id, unnest(webhook_ids) AS webhook_id,
                     unnest(revisions) AS revision, unnest(leases) AS leased) AS d
        WHERE fresh IS NULL OR fresh[d.place];
    END IF;
END
$$;
