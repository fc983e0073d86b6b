-- Tenants: the isolation boundary.
CREATE TABLE tidings.tenants (
    -- ten_…
    id uuid PRIMARY KEY,
    -- For people.
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    -- Real traffic, or for trying things out (where plain HTTP is allowed).
    environment text NOT NULL CHECK (environment IN ('live', 'sandbox')),
    -- The dialect of webhooks that name none.
    default_dialect text NOT NULL REFERENCES tidings.dialects (name),
    -- When it was created.
    created_at timestamptz NOT NULL,
    -- When it was last changed.
    updated_at timestamptz NOT NULL,
    -- When it was deleted: its webhooks and keys are gone, what was delivered is kept until retention ends.
    deleted_at timestamptz
);

-- API keys. The key itself is shown once and not kept.
CREATE TABLE tidings.api_keys (
    -- key_…
    id uuid PRIMARY KEY,
    -- Whose key it is; NULL for a platform key.
    tenant_id uuid REFERENCES tidings.tenants (id) ON DELETE CASCADE,
    -- What it may do; empty for a platform key, which may do everything.
    roles text[] NOT NULL CHECK (roles <@ ARRAY['manager', 'producer', 'operator', 'viewer']),
    -- SHA-256 of the key.
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    -- For people.
    description text NOT NULL DEFAULT '',
    -- When it was made.
    created_at timestamptz NOT NULL,
    -- A tenant's key can do something; a platform key needs no roles.
    CONSTRAINT roles_by_kind CHECK ((tenant_id IS NULL) = (cardinality(roles) = 0))
);
CREATE INDEX api_keys_of_tenant ON tidings.api_keys (tenant_id, id);
