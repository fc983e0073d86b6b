-- When webhooks with a rate limit may next be sent to: one row each, shared by all dispatchers.
CREATE TABLE tidings.rate_gates (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The webhook.
    webhook_id uuid NOT NULL,
    -- The gate is open from then on; each request moves it on by the time that the limit leaves between two.
    open_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, webhook_id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES tidings.webhooks (tenant_id, id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- Lets up to `wanted` requests of a webhook begin at a time, and returns how many may: those that `rate` a second has room for.
-- After a pause a fifth of a second's worth may begin together (the generic cell rate algorithm).
CREATE FUNCTION tidings.pass_gate(tenant uuid, webhook uuid, rate integer, wanted integer, at timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    apart CONSTANT interval := interval '1 second' / rate;
    earliest CONSTANT timestamptz := at - greatest(interval '200 milliseconds' - apart, interval '0');
    gate timestamptz;
    passed integer := 0;
BEGIN
    INSERT INTO tidings.rate_gates (tenant_id, webhook_id, open_at) VALUES (tenant, webhook, earliest) ON CONFLICT DO NOTHING;
    SELECT greatest(open_at, earliest) INTO gate
    FROM tidings.rate_gates WHERE tenant_id = tenant AND webhook_id = webhook FOR UPDATE;
    IF gate <= at THEN
        passed := least(wanted, floor(extract(epoch FROM at - gate) * rate)::integer + 1);
        UPDATE tidings.rate_gates SET open_at = gate + passed * apart WHERE tenant_id = tenant AND webhook_id = webhook;
    END IF;
    RETURN passed;
END
$$;
REVOKE EXECUTE ON FUNCTION tidings.pass_gate(uuid, uuid, integer, integer, timestamptz) FROM PUBLIC;
