-- A gate is asked by looks, some of which come a little late, and what passes may be late by no more than its tolerance, or the rest is lost.
-- That was a fifth of a second less the time between two requests: nothing below six requests a second. So a limit of four let three through.

-- Lets up to `wanted` requests of a webhook begin at a time, and returns how many may: those that `rate` a second has room for.
-- After a pause a fifth of a second's worth may begin together, and one (the generic cell rate algorithm).
CREATE OR REPLACE FUNCTION tidings.pass_gate(tenant uuid, webhook uuid, rate integer, wanted integer, at timestamptz) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    apart CONSTANT interval := interval '1 second' / rate;
    earliest CONSTANT timestamptz := at - interval '200 milliseconds';
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
