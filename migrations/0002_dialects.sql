-- Every text of a dialect's file that was ever used: a delivery keeps the revision it was accepted under.
CREATE TABLE tidings.dialect_revisions (
    -- Small number that deliveries and attempts carry.
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The dialect's name.
    name text NOT NULL,
    -- SHA-256 of the source, so that the same text is kept once.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    -- The TOML text.
    source text NOT NULL,
    -- When it was first seen.
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (name, digest)
);

-- The dialects on offer, each at its current revision.
CREATE TABLE tidings.dialects (
    -- The dialect's name, as webhooks and tenants refer to it.
    name text PRIMARY KEY,
    -- The revision that new deliveries are accepted under.
    revision integer NOT NULL REFERENCES tidings.dialect_revisions (id),
    -- The event types it lists; NULL means any.
    event_types text[]
);
