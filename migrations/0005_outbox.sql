-- Events: append-only, partitioned by the time in their ids; retention drops a partition.
CREATE TABLE tidings.events (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- evt_…, which also tells when it was accepted.
    id uuid NOT NULL,
    -- When it happened, where its reporter said so; else the time in its id.
    occurred_at timestamptz,
    -- Its type.
    type text NOT NULL,
    -- Any JSON value, byte for byte as it came.
    data bytea NOT NULL,
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

-- Idempotency keys of the last 24 hours.
CREATE TABLE tidings.idempotency_keys (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- As its producer chose it.
    key text NOT NULL,
    -- The event that it made.
    event_id uuid NOT NULL,
    -- SHA-256 of that event's content, to tell a repetition from a mistake.
    digest bytea NOT NULL,
    -- When; after 24 hours the key is free again.
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_by_age ON tidings.idempotency_keys (created_at);

-- The processes that dispatch. Each renews one lease; every delivery that names it as holder is leased until then.
CREATE TABLE tidings.dispatchers (
    -- Small number that leased deliveries carry.
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Until when the process may settle what it holds, unless it renews.
    lease_until timestamptz NOT NULL,
    -- What the process had seen when it last took over changes of webhooks: a change visible here is in force there. At first, nothing.
    caught_up pg_snapshot NOT NULL DEFAULT '1:1:'
);

-- The outbox: pending deliveries and nothing else. A row is deleted when its delivery is settled for good.
CREATE TABLE tidings.outbox (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- dlv_…, which contains its event's id.
    id uuid NOT NULL,
    -- The webhook it is owed to.
    webhook_id uuid NOT NULL,
    -- When to attempt it; for a leased row, when it became due.
    due_at timestamptz NOT NULL,
    -- The dialect revision it was accepted under.
    dialect_revision integer NOT NULL,
    -- The dispatcher that holds the lease; NULL while nobody does.
    holder integer,
    -- Attempts so far, the one under way included; with the holder, what tells a lease from a later one.
    attempts smallint NOT NULL,
    -- Attempts made before the last resend, which do not count against the schedule.
    attempts_before smallint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id)
) WITH (
    fillfactor = 90,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2
);

-- What can be claimed, lane by lane. A delivery that is handed over in memory at accept never enters it.
CREATE INDEX outbox_lanes ON tidings.outbox (webhook_id, due_at) WHERE holder IS NULL;
