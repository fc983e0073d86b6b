-- Who is owed an event changes when a webhook does, which is rare; it was worked out for every statement that stores events, which was a
-- third of its time. Now a process asks once for each tenant and type, and remembers it with the snapshot of what it has seen. The
-- statement that stores says whether a webhook of these tenants has changed since: then nothing is stored, and the process asks again.

-- A dialect decides with its current revision, and the types that it lists, what its webhooks are owed.
ALTER TABLE tidings.dialects
    -- The transaction that last changed it: what was remembered before is asked for again.
    ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();

-- Every process publishes its dialects when it starts, mostly those that are there.
CREATE FUNCTION tidings.date_dialect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := pg_current_xact_id();
    RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION tidings.date_dialect() FROM PUBLIC;
CREATE TRIGGER date_dialect BEFORE UPDATE OF revision, event_types ON tidings.dialects FOR EACH ROW
    WHEN ((OLD.revision, OLD.event_types) IS DISTINCT FROM (NEW.revision, NEW.event_types))
    EXECUTE FUNCTION tidings.date_dialect();

-- One that was never verified gets nothing; for one that is not open, or parked, deliveries are stored and not leased. Webhooks are
-- looked up once for each tenant and type, and patterns made once for each type, however often it is asked for. This is part of the query
-- that calls it.
CREATE FUNCTION tidings.routes(tenant_ids uuid[], types text[])
RETURNS TABLE (tenant_id uuid, type text, ordinal integer, webhook_id uuid, dialect_revision integer, is_open boolean,
               parked_until timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT kind.tenant_id, kind.type, row_number() OVER (PARTITION BY kind.tenant_id, kind.type ORDER BY w.id)::integer,
           w.id, d.revision, w.state = 'active' AND w.rate_limit IS NULL, w.parked_until
    FROM (SELECT DISTINCT unnest(tenant_ids) AS tenant_id, unnest(types) AS type) AS kind
    -- `OFFSET 0` keeps the planner from calling the function, or reading the webhook, once for each that the tenant has.
    JOIN (
        SELECT e.type, tidings.patterns(e.type) AS patterns FROM (SELECT DISTINCT unnest(types) AS type) AS e OFFSET 0
    ) AS wanted ON wanted.type = kind.type
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
$$;
COMMENT ON FUNCTION tidings.routes IS 'The webhooks that are owed events of these tenants and types, side by side; numbered from 1 in each.';
REVOKE EXECUTE ON FUNCTION tidings.routes(uuid[], text[]) FROM PUBLIC;

-- Events come first, side by side; then the deliveries that they owe, each with the place of its event, from 1.
CREATE FUNCTION tidings.store_events(
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
        LEFT JOIN tidings.idempotency_keys AS known ON known.tenant_id = e.tenant_id AND known.key = e.key;
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
COMMENT ON FUNCTION tidings.store_events IS
    'Stores events and the deliveries they are owed, unless who is owed them has changed since a snapshot. For connections that plan generically and prefer indexes.';
REVOKE EXECUTE ON FUNCTION tidings.store_events(
    uuid[], uuid[], text[], timestamptz[], bytea[], text[], bytea[], integer[], uuid[], uuid[], integer[], boolean[],
    timestamptz, integer, pg_snapshot) FROM PUBLIC;

-- As before, for who does not remember: `accept`, through which producers enqueue, and the version before this one.
CREATE OR REPLACE FUNCTION tidings.accept_batch(
    tenant_ids uuid[], event_ids uuid[], types text[], occurred timestamptz[], datas bytea[], keys text[],
    at timestamptz, dispatcher integer, crowded uuid[], traces bytea[]
) RETURNS TABLE (place integer, delivery_id uuid, webhook_id uuid, dialect_revision integer, leased boolean,
                 existing uuid, same_content boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    places integer[];
    delivery_ids uuid[];
    webhook_ids uuid[];
    revisions integer[];
    leases boolean[];
    stored record;
BEGIN
    SELECT coalesce(array_agg(e.place), '{}'), array_agg(tidings.delivery_id(e.id, r.ordinal)), array_agg(r.webhook_id),
           array_agg(r.dialect_revision),
           array_agg(dispatcher IS NOT NULL AND r.is_open AND (r.parked_until IS NULL OR r.parked_until <= at)
                     AND r.webhook_id <> ALL (crowded))
    INTO places, delivery_ids, webhook_ids, revisions, leases
    FROM (SELECT unnest(tenant_ids) AS tenant_id, unnest(event_ids) AS id, unnest(types) AS type,
                 generate_subscripts(event_ids, 1) AS place) AS e
    JOIN tidings.routes(tenant_ids, types) AS r ON r.tenant_id = e.tenant_id AND r.type = e.type;

    SELECT * INTO stored FROM tidings.store_events(
        tenant_ids, event_ids, types, occurred, datas, keys, traces, places, delivery_ids, webhook_ids, revisions, leases,
        at, dispatcher, NULL);

    RETURN QUERY
    SELECT d.place, d.id, d.webhook_id, d.revision, d.leased, NULL::uuid, NULL::boolean
    FROM (SELECT unnest(places) AS place, unnest(delivery_ids) AS id, unnest(webhook_ids) AS webhook_id,
                 unnest(revisions) AS revision, unnest(leases) AS leased) AS d
    WHERE stored.known_places IS NULL OR d.place <> ALL (stored.known_places)
    UNION ALL
    SELECT k.place, NULL, NULL, NULL, false, k.event_id, k.same_content
    FROM (SELECT unnest(stored.known_places) AS place, unnest(stored.known_events) AS event_id,
                 unnest(stored.same_content) AS same_content) AS k;
END
$$;
