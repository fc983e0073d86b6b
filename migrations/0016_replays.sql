-- Replays: operator jobs that resend many deliveries. The deliveries themselves are looked up page by page, so a replay is one row
-- however many it resends. Whoever works on one locks its row for one short transaction, in which a page is resent and the row moved on.
CREATE TABLE tidings.replays (
    -- Whose it is.
    tenant_id uuid NOT NULL REFERENCES tidings.tenants (id) ON DELETE CASCADE,
    -- rpl_…
    id uuid NOT NULL,
    -- What it goes through: dead letters, or every delivery that came to an end.
    source text NOT NULL CHECK (source IN ('dead_letters', 'deliveries')),
    -- Only what is owed to this webhook; NULL is any. It may have been deleted since.
    webhook_id uuid,
    -- Only deliveries of events of this type; NULL is any.
    event_type text CHECK (octet_length(event_type) BETWEEN 1 AND 128),
    -- Only deliveries of this event; NULL is any.
    event_id uuid,
    -- Only dead letters given up for this reason; NULL is any.
    reason tidings.dead_reason,
    -- Only deliveries that stand so; NULL is any of these.
    delivery_state text CHECK (delivery_state IN ('delivered', 'dead', 'cancelled')),
    -- Only events accepted at this time or later; NULL is any.
    from_at timestamptz,
    -- Only events accepted before this time; NULL is any.
    to_at timestamptz,
    -- Deliveries resent in a second at most, over all processes.
    rate_per_second integer NOT NULL CHECK (rate_per_second > 0),
    -- Where it stands.
    state text NOT NULL CHECK (state IN ('running', 'paused', 'completed', 'cancelled')),
    -- Only ids below this one are still to be counted: counting goes from the newest to the oldest.
    count_below uuid NOT NULL,
    -- Whether all are counted.
    counted boolean NOT NULL DEFAULT false,
    -- How many were found, as far as they are counted.
    total bigint NOT NULL DEFAULT 0 CHECK (total >= 0),
    -- Only ids below this one are still to be resent, from the newest to the oldest. What a resend makes has an id above that
    -- of what it resent, so a replay never meets its own work.
    resend_below uuid NOT NULL,
    -- How many were resent.
    resent bigint NOT NULL DEFAULT 0 CHECK (resent >= 0),
    -- How many were skipped, by reason.
    skipped jsonb NOT NULL DEFAULT '{}',
    -- The next one may be resent from then on; each moves it on by the time that the rate leaves between two.
    open_at timestamptz NOT NULL,
    -- When it was started: only what had come to its end by then is resent.
    created_at timestamptz NOT NULL,
    -- When it was last worked on, paused or resumed.
    updated_at timestamptz NOT NULL,
    -- When it was completed or cancelled.
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    -- Finished exactly where nothing more will happen.
    CONSTRAINT finished_by_state CHECK ((state IN ('completed', 'cancelled')) = (finished_at IS NOT NULL)),
    -- Reasons are those of dead letters.
    CONSTRAINT reason_of_dead_letters CHECK (reason IS NULL OR source = 'dead_letters'),
    -- States are those of deliveries.
    CONSTRAINT state_of_deliveries CHECK (delivery_state IS NULL OR source = 'deliveries')
) WITH (fillfactor = 50);
-- What dispatchers look through for something to do; the one that waited longest comes first.
CREATE INDEX replays_running ON tidings.replays (updated_at) WHERE state = 'running';
-- What retention purges.
CREATE INDEX replays_finished ON tidings.replays (finished_at) WHERE finished_at IS NOT NULL;
