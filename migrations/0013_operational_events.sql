-- Operational events: what Tidings itself tells a tenant of its webhooks and deliveries. They are ordinary events, stored and owed in
-- the transaction of what they report, but only where some other webhook wants them: what nobody is told is not kept.

-- As before, but `*` does not mean Tidings' own types: a receiver of business events is not surprised by them.
CREATE OR REPLACE FUNCTION tidings.patterns(event_type text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN tidings.is_operational(event_type) THEN ARRAY[event_type] ELSE ARRAY[event_type, '*'] END || ARRAY(
        SELECT array_to_string(parts[1:place], '.') || '.*'
        FROM (SELECT string_to_array(event_type, '.') AS parts) AS split, generate_series(1, cardinality(parts) - 1) AS place
    )
$$;

-- A time as the API writes it.
CREATE FUNCTION tidings.rfc3339(at timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Host and port of a URL; its path may be a secret.
CREATE FUNCTION tidings.host_of(url text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT substring(url FROM '^[a-z]+://([^/?#]+)')
$$;

-- Tells a tenant's webhooks of facts; one element of each array is one fact, and `about` the webhook it concerns, which is not told of
-- itself. A small sister of `accept`: nothing is leased, since the caller may be any process.
CREATE FUNCTION tidings.report(tenant_ids uuid[], about uuid[], types text[], datas text[], ats timestamptz[]) RETURNS void
LANGUAGE sql AS $$
    WITH fact AS MATERIALIZED (
        SELECT f.tenant_id, f.about, f.type, f.data, f.at, tidings.new_event_id(f.at) AS id
        FROM unnest(tenant_ids, about, types, datas, ats) AS f (tenant_id, about, type, data, at)
    ), owed AS MATERIALIZED (
        SELECT fact.tenant_id, fact.id AS event_id, fact.at, w.id AS webhook_id, d.revision,
               row_number() OVER (PARTITION BY fact.id ORDER BY w.id)::integer AS ordinal
        FROM fact
        CROSS JOIN LATERAL (
            SELECT DISTINCT s.webhook_id FROM tidings.subscriptions AS s
            WHERE s.tenant_id = fact.tenant_id AND s.pattern = ANY (tidings.patterns(fact.type)) AND s.webhook_id <> fact.about
        ) AS subscribed
        JOIN tidings.webhooks AS w ON w.tenant_id = fact.tenant_id AND w.id = subscribed.webhook_id
        JOIN tidings.dialects AS d ON d.name = w.dialect
        WHERE w.verified_at IS NOT NULL AND (d.event_types IS NULL OR fact.type = ANY (d.event_types))
    ), stored AS (
        INSERT INTO tidings.events (tenant_id, id, type, data)
        SELECT tenant_id, id, type, convert_to(data, 'UTF8') FROM fact WHERE EXISTS (SELECT FROM owed WHERE owed.event_id = fact.id)
    )
    INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, attempts)
    SELECT tenant_id, tidings.delivery_id(event_id, ordinal), webhook_id, at, revision, 0 FROM owed
$$;

-- `delivery.dead`, for each new dead letter; not for those of operational events, or a receiver that is down would be told of itself
-- without end. It runs once a statement, however many there are; where the tenant has nobody to tell, it ends after one look.
CREATE FUNCTION tidings.report_dead_letters() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    -- Nearly every batch of results buries nothing.
    IF NOT EXISTS (SELECT FROM fresh) THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (
        SELECT FROM (SELECT DISTINCT tenant_id FROM fresh) AS own CROSS JOIN LATERAL (
            SELECT FROM tidings.subscriptions AS s
            WHERE s.tenant_id = own.tenant_id AND s.pattern = ANY (tidings.patterns('delivery.dead')) LIMIT 1
        ) AS wanted
    ) THEN
        RETURN NULL;
    END IF;
    PERFORM tidings.report(array_agg(f.tenant_id), array_agg(f.webhook_id), array_agg('delivery.dead'::text),
        array_agg((SELECT row_to_json(told)::text FROM (
            SELECT 'dlv_' || tidings.ulid_text(f.id) AS delivery_id, 'evt_' || tidings.ulid_text(e.id) AS event_id,
                   e.type AS event_type, 'wh_' || tidings.ulid_text(f.webhook_id) AS webhook_id, f.reason, f.detail, f.attempts,
                   last.outcome AS last_outcome, last.status AS last_status, tidings.rfc3339(f.died_at) AS died_at
        ) AS told)), array_agg(f.died_at))
    FROM fresh AS f
    CROSS JOIN LATERAL (
        SELECT id, type FROM tidings.events WHERE tenant_id = f.tenant_id AND id = tidings.event_of(f.id) LIMIT 1
    ) AS e
    LEFT JOIN LATERAL (
        SELECT outcome, status FROM tidings.attempts
        WHERE tenant_id = f.tenant_id AND delivery_id = f.id ORDER BY number DESC LIMIT 1
    ) AS last ON true
    WHERE NOT tidings.is_operational(e.type);
    RETURN NULL;
END
$$;
CREATE TRIGGER report_dead_letters AFTER INSERT ON tidings.dead_letters
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION tidings.report_dead_letters();

-- `webhook.disabled`, whatever disabled it.
CREATE FUNCTION tidings.report_disabled() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tidings.report(ARRAY[new.tenant_id], ARRAY[new.id], ARRAY['webhook.disabled'], ARRAY[(
        SELECT row_to_json(told)::text FROM (
            SELECT 'wh_' || tidings.ulid_text(new.id) AS webhook_id, tidings.host_of(new.url) AS host,
                   new.disabled_reason AS reason, tidings.rfc3339(new.updated_at) AS disabled_at
        ) AS told
    )], ARRAY[new.updated_at]);
    RETURN NULL;
END
$$;
CREATE TRIGGER report_disabled AFTER UPDATE ON tidings.webhooks FOR EACH ROW
WHEN (old.state <> 'disabled' AND new.state = 'disabled' AND new.deleted_at IS NULL)
EXECUTE FUNCTION tidings.report_disabled();

-- `webhook.verified`: its receiver passed the dialect's challenge. No trigger: a dialect without a challenge takes every receiver to want
-- events, which is nothing to tell.
CREATE FUNCTION tidings.report_verified(tenant uuid, webhook uuid, at timestamptz) RETURNS void
LANGUAGE sql AS $$
    SELECT tidings.report(ARRAY[w.tenant_id], ARRAY[w.id], ARRAY['webhook.verified'], ARRAY[(
        SELECT row_to_json(told)::text FROM (
            SELECT 'wh_' || tidings.ulid_text(w.id) AS webhook_id, tidings.host_of(w.url) AS host, w.state,
                   tidings.rfc3339(at) AS verified_at
        ) AS told
    )], ARRAY[at])
    FROM tidings.webhooks AS w WHERE w.tenant_id = tenant AND w.id = webhook
$$;

REVOKE EXECUTE ON FUNCTION tidings.rfc3339(timestamptz) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION tidings.host_of(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION tidings.report(uuid[], uuid[], text[], text[], timestamptz[]) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION tidings.report_dead_letters() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION tidings.report_disabled() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION tidings.report_verified(uuid, uuid, timestamptz) FROM PUBLIC;
