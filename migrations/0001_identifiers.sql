-- Everything of Tidings lies in one schema. Identifiers are ULIDs stored as uuid; texts carry a prefix that names the noun.
CREATE SCHEMA tidings;

-- The 26 characters of a ULID, lowercase.
CREATE FUNCTION tidings.ulid_text(id uuid) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', substring(bits FROM place * 5 + 1 FOR 5)::integer + 1, 1), '' ORDER BY place)
    FROM (SELECT B'00' || ('x' || replace(id::text, '-', ''))::bit(128) AS bits) AS number, generate_series(0, 25) AS place
$$;

-- The uuid of an identifier with the given prefix; an error where the text is none.
CREATE FUNCTION tidings.parse_id(prefix text, id text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    bits bit varying;
BEGIN
    IF id IS NULL OR id !~ ('^' || prefix || '[0-7][0-9a-hjkmnp-tv-z]{25}$') THEN
        RAISE EXCEPTION '% is not an id: expected % followed by 26 lowercase characters of a ULID', quote_nullable(id), prefix
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg((strpos('0123456789abcdefghjkmnpqrstvwxyz', digit) - 1)::bit(5)::text, '' ORDER BY place)::bit varying
    INTO bits
    FROM regexp_split_to_table(substr(id, length(prefix) + 1), '') WITH ORDINALITY AS digits (digit, place);
    RETURN (SELECT string_agg(to_hex(substring(bits FROM nibble * 4 + 3 FOR 4)::bit(4)::integer), '' ORDER BY nibble)::uuid
            FROM generate_series(0, 31) AS nibble);
END
$$;

-- A fresh event id: 48 bits of milliseconds, 60 of chance, 20 of zero.
CREATE FUNCTION tidings.new_event_id(at timestamptz) RETURNS uuid
LANGUAGE sql VOLATILE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
            || left(encode(sha256(uuid_send(gen_random_uuid())), 'hex'), 15) || '00000')::uuid
$$;

-- The id of an event's delivery: the event's id with the ordinal in its last 20 bits.
CREATE FUNCTION tidings.delivery_id(event_id uuid, ordinal integer) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (left(event_id::text, 31) || lpad(to_hex(ordinal), 5, '0'))::uuid
$$;

-- The id of the event that a delivery is of.
CREATE FUNCTION tidings.event_of(delivery_id uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (left(delivery_id::text, 31) || '00000')::uuid
$$;

-- The smallest identifier made at or after a time: where a partition begins, what a list's `from` means.
CREATE FUNCTION tidings.first_id_at(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
