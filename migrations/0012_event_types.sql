-- The catalogue: the event types that a tenant has described. While it has none, every type is taken.
CREATE TABLE tidings.event_types (
    -- Whose it is.
    tenant_id uuid NOT NULL REFERENCES tidings.tenants (id) ON DELETE CASCADE,
    -- The type, exactly as events name it.
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.:-]{1,128}$'),
    -- For people.
    description text NOT NULL DEFAULT '',
    -- The JSON Schema that an event's data must fit, as it was given; NULL takes any data.
    schema text,
    -- Data as an event of this type may have it, byte for byte as it was given.
    example text,
    -- Since when producers are told that it is on its way out; NULL while it is not.
    deprecated_at timestamptz,
    -- When it was described first.
    created_at timestamptz NOT NULL,
    -- When it was last described.
    updated_at timestamptz NOT NULL,
    -- Grows with each new type: the order of the list.
    number bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, name)
);

-- Which tenants have, or had, a catalogue, and when it changed: processes read what is newer than their last look.
CREATE TABLE tidings.catalogues (
    -- Whose it is.
    tenant_id uuid PRIMARY KEY REFERENCES tidings.tenants (id) ON DELETE CASCADE,
    -- The transaction that last changed it.
    changed xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX catalogues_changed ON tidings.catalogues (changed);

-- Whether a type is one of Tidings' own, by which it reports on webhooks and deliveries. `operational` in src/domain/event.rs
-- has the same list; a test compares the two.
CREATE FUNCTION tidings.is_operational(event_type text) RETURNS boolean
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT event_type IN ('webhook.failing', 'webhook.disabled', 'webhook.verified', 'delivery.dead')
$$;

-- Refuses an event type that a producer may not report: one of Tidings' own, or one that is not in the tenant's catalogue,
-- where there is one. A JSON Schema of the catalogue is not checked here, since Postgres cannot without an extension:
-- only the REST API holds data to its schema.
CREATE FUNCTION tidings.check_type(tenant uuid, event_type text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF tidings.is_operational(event_type) THEN
        RAISE EXCEPTION 'type % is reserved: only Tidings reports it', event_type USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM tidings.event_types WHERE tenant_id = tenant AND name = event_type)
       AND EXISTS (SELECT FROM tidings.event_types WHERE tenant_id = tenant) THEN
        RAISE EXCEPTION 'type % is not in the tenant''s catalogue: add it with PUT /v1/event-types/%, or use one that is',
            event_type, event_type USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
REVOKE EXECUTE ON FUNCTION tidings.is_operational(text) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION tidings.check_type(uuid, text) FROM PUBLIC;

-- As before, and the type is checked.
CREATE OR REPLACE FUNCTION tidings.enqueue(
    tenant text, type text, data json, idempotency_key text DEFAULT NULL, occurred_at timestamptz DEFAULT NULL
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
    IF NOT EXISTS (SELECT FROM tidings.tenants WHERE id = tenant_id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'there is no tenant %', tenant USING ERRCODE = 'invalid_parameter_value';
    END IF;

    PERFORM tidings.check_type(tenant_id, type);
    SELECT accepted.existing, accepted.same_content INTO first_use
    FROM tidings.accept(ARRAY[tenant_id], ARRAY[event_id], ARRAY[type], ARRAY[occurred_at], ARRAY[convert_to(content, 'UTF8')],
                        ARRAY[idempotency_key], at, NULL, '{}') AS accepted
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
