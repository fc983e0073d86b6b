-- Why a delivery was cancelled: the data of its event was deleted.
ALTER TYPE tidings.cancel_cause ADD VALUE 'data_deleted';

-- Events whose data was deleted while the fact is kept. A table of its own, so that whoever copies an event can ask.
CREATE TABLE tidings.erasures (
    -- Whose it is.
    tenant_id uuid NOT NULL,
    -- The event.
    event_id uuid NOT NULL,
    -- When its data was deleted.
    deleted_at timestamptz NOT NULL,
    -- The transaction that deleted it: dispatchers drop what they hold of events deleted since their last look.
    changed xid8 NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX erasures_changed ON tidings.erasures (changed);

-- Deletes the data of an event wherever it is kept: in the event, in what receivers answered, in the digest of its idempotency
-- key, from which data that is easy to guess could be guessed. What was still owed of it is cancelled, pending or dead. Twice is
-- the same as once. Returns no row where the tenant has no such event.
CREATE FUNCTION tidings.erase(tenant uuid, event uuid, at timestamptz) RETURNS TABLE (deleted_at timestamptz, cancelled bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    last CONSTANT uuid := tidings.delivery_id(event, 1048575);
    accepted CONSTANT timestamptz := to_timestamp(('x' || substr(replace(event::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0);
    ended bigint;
    cancelled bigint := 0;
BEGIN
    -- Nobody copies rows to where this would not find them, and nobody owes the event anew, until this is committed.
    PERFORM pg_advisory_xact_lock_shared(hashtext('tidings.erasure'));
    PERFORM FROM tidings.events WHERE tenant_id = tenant AND id = event FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO tidings.erasures (tenant_id, event_id, deleted_at) VALUES (tenant, event, at) ON CONFLICT DO NOTHING;
    -- A result that is being recorded moves a delivery from the outbox to the dead letters, an operator's resend back.
    FOR round IN 1..2 LOOP
        WITH gone AS (
            DELETE FROM tidings.outbox WHERE tenant_id = tenant AND id > event AND id <= last RETURNING *
        )
        INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
        SELECT tenant_id, id, webhook_id, at, dialect_revision, 'data_deleted', attempts FROM gone;
        GET DIAGNOSTICS ended = ROW_COUNT;
        cancelled := cancelled + ended;
        WITH gone AS (
            DELETE FROM tidings.dead_letters WHERE tenant_id = tenant AND id > event AND id <= last RETURNING *
        )
        INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
        SELECT tenant_id, id, webhook_id, at, dialect_revision, 'data_deleted', attempts FROM gone;
        GET DIAGNOSTICS ended = ROW_COUNT;
        cancelled := cancelled + ended;
    END LOOP;
    UPDATE tidings.attempts SET response_headers = NULL, response_body = NULL
    WHERE tenant_id = tenant AND delivery_id > event AND delivery_id <= last
      AND (response_headers IS NOT NULL OR response_body IS NOT NULL);
    -- A JSON value, since a program of the version before shows it.
    UPDATE tidings.events SET data = 'null' WHERE tenant_id = tenant AND id = event AND data <> 'null';
    -- No digest is empty: the key stays taken, and its repetition is told what became of the event. A key is as old as its event,
    -- but for the time that accepting took.
    UPDATE tidings.idempotency_keys SET digest = ''
    WHERE tenant_id = tenant AND event_id = event AND created_at BETWEEN accepted - interval '1 second' AND accepted + interval '10 minutes';
    RETURN QUERY SELECT x.deleted_at, cancelled FROM tidings.erasures AS x WHERE x.tenant_id = tenant AND x.event_id = event;
END
$$;
REVOKE EXECUTE ON FUNCTION tidings.erase(uuid, uuid, timestamptz) FROM PUBLIC;
