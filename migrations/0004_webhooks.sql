-- Webhooks: registrations.
CREATE TABLE tidings.webhooks (
    -- Whose it is.
    tenant_id uuid NOT NULL REFERENCES tidings.tenants (id) ON DELETE CASCADE,
    -- wh_…
    id uuid NOT NULL,
    -- Where to POST, in canonical form.
    url text NOT NULL CHECK (octet_length(url) <= 2048),
    -- Exact event types, `*`, or prefixes ending in `.*`.
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    -- The wire language.
    dialect text NOT NULL REFERENCES tidings.dialects (name),
    -- For people.
    description text NOT NULL DEFAULT '',
    -- Names of the custom headers; their values are sealed in webhook_revisions.
    header_names text[] NOT NULL DEFAULT '{}',
    -- Its own retry rules in place of the dialect's.
    retry jsonb,
    -- Seconds for an attempt, in place of the dialect's.
    timeout_seconds smallint CHECK (timeout_seconds BETWEEN 1 AND 30),
    -- Requests a second across all processes; NULL is without limit.
    rate_limit integer CHECK (rate_limit > 0),
    -- Requests under way in one process; NULL is the default.
    max_in_flight smallint CHECK (max_in_flight > 0),
    -- The tenant's own notes.
    metadata jsonb NOT NULL DEFAULT '{}',
    -- Where it stands.
    state text NOT NULL CHECK (state IN ('pending_verification', 'active', 'inactive', 'disabled')),
    -- Why Tidings disabled it.
    disabled_reason text,
    -- When its receiver first passed the challenge (at creation, where the dialect has none): before that it gets no deliveries.
    verified_at timestamptz,
    -- The URL whose receiver last passed it: with another URL the webhook must be verified again before it is active.
    verified_url text,
    -- The receiver asked for quiet until then.
    parked_until timestamptz,
    -- Counts changes; attempts name the one they were sent under.
    revision integer NOT NULL DEFAULT 1,
    -- The transaction that last changed it: dispatchers read what is newer than their last look.
    changed xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- When it was registered.
    created_at timestamptz NOT NULL,
    -- When it was last changed.
    updated_at timestamptz NOT NULL,
    -- When it was deleted: it has no secrets and no subscriptions then, and nobody is shown it.
    deleted_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    -- A reason exactly where Tidings disabled it.
    CONSTRAINT disabled_has_reason CHECK ((state = 'disabled') = (disabled_reason IS NOT NULL)),
    -- An active webhook has been verified.
    CONSTRAINT active_is_verified CHECK (state <> 'active' OR verified_at IS NOT NULL)
);
CREATE INDEX webhooks_changed ON tidings.webhooks (changed);

-- What each revision of a webhook sent to, so that an attempt can be shown as it was sent.
CREATE TABLE tidings.webhook_revisions (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The webhook; it may have been deleted since.
    webhook_id uuid NOT NULL,
    -- The webhook's `revision`.
    revision integer NOT NULL,
    -- The URL at that revision.
    url text NOT NULL,
    -- The custom headers at that revision, sealed as JSON; NULL where there were none or the webhook was deleted.
    headers_sealed bytea,
    -- The master key that sealed them.
    headers_key_id text,
    PRIMARY KEY (tenant_id, webhook_id, revision)
);

-- Signing secrets and static tokens, sealed with the master key.
CREATE TABLE tidings.webhook_secrets (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The webhook it belongs to; deleted with it.
    webhook_id uuid NOT NULL,
    -- What it is for.
    kind text NOT NULL CHECK (kind IN ('signing', 'token')),
    -- From when on it signs.
    valid_from timestamptz NOT NULL,
    -- Until when it signs; NULL for the newest.
    valid_until timestamptz,
    -- The master key that sealed it.
    key_id text NOT NULL,
    -- Nonce, ciphertext and tag.
    sealed bytea NOT NULL,
    PRIMARY KEY (tenant_id, webhook_id, kind, valid_from),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES tidings.webhooks (tenant_id, id) ON DELETE CASCADE
);

-- The patterns of each webhook's `events`, one a row: fan-out finds webhooks by the patterns that match a type.
CREATE TABLE tidings.subscriptions (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- An exact type, `*`, or a prefix ending in `.*`.
    pattern text NOT NULL,
    -- The webhook that wants it.
    webhook_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, pattern, webhook_id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES tidings.webhooks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX subscriptions_of_webhook ON tidings.subscriptions (tenant_id, webhook_id);

-- The patterns that match an event type: the type itself, `*`, and `prefix.*` for each dot in it.
CREATE FUNCTION tidings.patterns(event_type text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ARRAY[event_type, '*'] || ARRAY(
        SELECT array_to_string(parts[1:place], '.') || '.*'
        FROM (SELECT string_to_array(event_type, '.') AS parts) AS split, generate_series(1, cardinality(parts) - 1) AS place
    )
$$;
