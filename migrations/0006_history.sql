-- What came of an attempt; the classes that a tenant is told.
CREATE TYPE tidings.outcome AS ENUM
    ('success', 'http_status', 'timeout', 'connect', 'dns', 'tls', 'protocol', 'blocked_address');

-- What was decided after an attempt.
CREATE TYPE tidings.verdict AS ENUM ('delivered', 'retry', 'dead');

-- Why a delivery was given up.
CREATE TYPE tidings.dead_reason AS ENUM ('attempts_exhausted', 'terminal_status', 'webhook_disabled', 'unrenderable');

-- Why a delivery was cancelled.
CREATE TYPE tidings.cancel_cause AS ENUM ('operator', 'webhook_deleted', 'backlog_skipped');

-- Attempts: append-only, partitioned like their events.
CREATE TABLE tidings.attempts (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The delivery.
    delivery_id uuid NOT NULL,
    -- The webhook it went to.
    webhook_id uuid NOT NULL,
    -- When it started; the time that was signed.
    started_at timestamptz NOT NULL,
    -- From its start to its end, in microseconds.
    duration_us integer NOT NULL,
    -- The webhook's revision it was sent under.
    webhook_revision integer NOT NULL,
    -- The dialect revision that rendered and signed it.
    dialect_revision integer NOT NULL,
    -- What came of it.
    outcome tidings.outcome NOT NULL,
    -- What was decided then.
    verdict tidings.verdict NOT NULL,
    -- From 1 in each delivery.
    number smallint NOT NULL,
    -- The HTTP status, where one arrived.
    status smallint,
    -- Response headers, `name: value` a line.
    response_headers text,
    -- The first 16 KiB of the response body; NULL where it was empty.
    response_body bytea,
    PRIMARY KEY (tenant_id, delivery_id, number)
) PARTITION BY RANGE (delivery_id);

-- Dead letters: one row for each delivery given up and not yet resent or deleted.
CREATE TABLE tidings.dead_letters (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The delivery; its id is the dead letter's.
    id uuid NOT NULL,
    -- The webhook it was owed to.
    webhook_id uuid NOT NULL,
    -- When it was given up.
    died_at timestamptz NOT NULL,
    -- The dialect revision it was accepted under.
    dialect_revision integer NOT NULL,
    -- Why.
    reason tidings.dead_reason NOT NULL,
    -- Attempts so far.
    attempts smallint NOT NULL,
    -- More about the reason, for people: the member that could not be rendered, the status that was terminal.
    detail text,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX dead_letters_of_webhook ON tidings.dead_letters (tenant_id, webhook_id, id);

-- Deliveries that a person put an end to.
CREATE TABLE tidings.cancellations (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The delivery.
    id uuid NOT NULL,
    -- The webhook it was owed to.
    webhook_id uuid NOT NULL,
    -- When.
    cancelled_at timestamptz NOT NULL,
    -- The dialect revision it was accepted under.
    dialect_revision integer NOT NULL,
    -- Why.
    cause tidings.cancel_cause NOT NULL,
    -- Attempts made before.
    attempts smallint NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- Deliveries as a user sees them, whichever table holds them.
CREATE VIEW tidings.deliveries AS
    SELECT tenant_id, id, webhook_id, 'pending'::text AS state, attempts, dialect_revision,
           due_at AS next_attempt_at, NULL::timestamptz AS settled_at, NULL::text AS reason
    FROM tidings.outbox
    UNION ALL
    SELECT tenant_id, delivery_id, webhook_id, 'delivered', number, dialect_revision,
           NULL, started_at + duration_us * interval '1 microsecond', NULL
    FROM tidings.attempts WHERE verdict = 'delivered'
    UNION ALL
    SELECT tenant_id, id, webhook_id, 'dead', attempts, dialect_revision, NULL, died_at, reason::text
    FROM tidings.dead_letters
    UNION ALL
    SELECT tenant_id, id, webhook_id, 'cancelled', attempts, dialect_revision, NULL, cancelled_at, cause::text
    FROM tidings.cancellations;
