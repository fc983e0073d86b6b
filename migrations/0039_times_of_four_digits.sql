-- A time that no other program can read, such as `infinity`, was taken from SQL, and whoever claimed the event ended. As in the REST API, a
-- year has four digits now; nothing else is changed.
CREATE OR REPLACE FUNCTION tidings.enqueue(
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
    IF occurred_at NOT BETWEEN '0001-01-01 00:00:00+00 BC' AND '9999-12-31 23:59:59.999999+00' THEN
        RAISE EXCEPTION 'occurred_at % is not a time of the years 0 to 9999', occurred_at USING ERRCODE = 'invalid_parameter_value';
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
