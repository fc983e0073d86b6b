-- How webhooks fare, as dispatchers tell every few seconds: statistics beside the outbox, which owes them nothing.

-- Each webhook's stretch of failures: those since its last success, whichever process saw them.
CREATE TABLE tidings.webhook_health (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The webhook.
    webhook_id uuid NOT NULL,
    -- The end of its last successful attempt.
    last_success_at timestamptz,
    -- The end of its last failed attempt.
    last_failure_at timestamptz,
    -- The end of the first failed attempt after the last success; NULL while it does not fail.
    failing_since timestamptz,
    -- Failed attempts since then.
    consecutive_failures integer NOT NULL,
    -- When `webhook.failing` was reported of this stretch; NULL where it was not.
    told_failing_at timestamptz,
    PRIMARY KEY (tenant_id, webhook_id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES tidings.webhooks (tenant_id, id) ON DELETE CASCADE,
    -- A stretch is made of failures.
    CONSTRAINT stretch_has_failures CHECK ((failing_since IS NULL) = (consecutive_failures = 0))
) WITH (fillfactor = 70);

-- The few that fail; a success of another one changes no index.
CREATE INDEX webhook_health_failing ON tidings.webhook_health (webhook_id) WHERE failing_since IS NOT NULL;

-- What was sent to a webhook in a quarter of an hour.
CREATE TABLE tidings.webhook_traffic (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The webhook; it may have been deleted since.
    webhook_id uuid NOT NULL,
    -- When the quarter began.
    began_at timestamptz NOT NULL,
    -- Attempts that ended in it.
    attempts integer NOT NULL,
    -- Those that succeeded.
    successes integer NOT NULL,
    -- How long receivers took, as a histogram: each class is a quarter longer than the one before (`Latencies` in src/domain/health.rs).
    latencies integer[] NOT NULL,
    PRIMARY KEY (tenant_id, webhook_id, began_at)
) WITH (fillfactor = 50);

-- What is old is deleted.
CREATE INDEX webhook_traffic_by_age ON tidings.webhook_traffic (began_at);

-- A webhook that a person lets have its events again, or sends elsewhere, starts afresh.
CREATE FUNCTION tidings.forget_health() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tidings.webhook_health WHERE tenant_id = new.tenant_id AND webhook_id = new.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER forget_health AFTER UPDATE ON tidings.webhooks FOR EACH ROW
WHEN (old.url <> new.url OR (old.state <> 'active' AND new.state = 'active') OR (old.deleted_at IS NULL AND new.deleted_at IS NOT NULL))
EXECUTE FUNCTION tidings.forget_health();

-- As before, with what is known of its failures.
CREATE OR REPLACE FUNCTION tidings.report_disabled() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM tidings.report(ARRAY[new.tenant_id], ARRAY[new.id], ARRAY['webhook.disabled'], ARRAY[(
        SELECT row_to_json(told)::text FROM (
            SELECT 'wh_' || tidings.ulid_text(new.id) AS webhook_id, tidings.host_of(new.url) AS host,
                   new.disabled_reason AS reason, tidings.rfc3339(new.updated_at) AS disabled_at,
                   tidings.rfc3339(h.failing_since) AS failing_since, coalesce(h.consecutive_failures, 0) AS consecutive_failures
            FROM (SELECT) AS one LEFT JOIN tidings.webhook_health AS h ON h.tenant_id = new.tenant_id AND h.webhook_id = new.id
        ) AS told
    )], ARRAY[new.updated_at]);
    RETURN NULL;
END
$$;

-- Reports `webhook.failing` of each active webhook whose stretch of failures has lasted this long, once for each stretch, and returns of
-- how many. `disable_after`, where webhooks are disabled at all, is what they are told of that. Whoever comes second finds them told.
CREATE FUNCTION tidings.report_failing(lasted interval, disable_after interval, at timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    news record;
BEGIN
    WITH told AS (
        UPDATE tidings.webhook_health AS h SET told_failing_at = at
        FROM tidings.webhooks AS w
        WHERE h.failing_since IS NOT NULL AND h.told_failing_at IS NULL AND h.last_failure_at - h.failing_since >= lasted
          AND w.tenant_id = h.tenant_id AND w.id = h.webhook_id AND w.state = 'active' AND w.deleted_at IS NULL
        RETURNING h.tenant_id, h.webhook_id, w.url, h.failing_since, h.consecutive_failures
    )
    SELECT count(*) AS webhooks, array_agg(told.tenant_id) AS tenant_ids, array_agg(told.webhook_id) AS ids,
           array_agg('webhook.failing'::text) AS types, array_agg(at) AS ats, array_agg((SELECT row_to_json(fact)::text FROM (
               SELECT 'wh_' || tidings.ulid_text(told.webhook_id) AS webhook_id, tidings.host_of(told.url) AS host,
                      tidings.rfc3339(told.failing_since) AS failing_since, told.consecutive_failures,
                      tidings.rfc3339(told.failing_since + disable_after) AS disabled_from
           ) AS fact)) AS datas
    INTO news FROM told;
    IF news.webhooks > 0 THEN
        PERFORM tidings.report(news.tenant_ids, news.ids, news.types, news.datas, news.ats);
    END IF;
    RETURN news.webhooks;
END
$$;
REVOKE EXECUTE ON FUNCTION tidings.forget_health() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION tidings.report_failing(interval, interval, timestamptz) FROM PUBLIC;
