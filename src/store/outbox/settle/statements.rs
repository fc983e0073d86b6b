//! The statements that record results. Mostly everything in a batch was delivered, and needs neither the part that puts off nor the part
//! that gives up: the statement without them takes a sixth less of Postgres' time.
//!
//! Each row is looked up by its key in a LATERAL of its own: a plain join would be planned by what the outbox was like when it was last
//! analysed, and a plan made for an empty one reads a full one whole. A row that another transaction changes in between has moved, so its
//! lease is lost. Postgres before the end of 2025 follows a row that moved to its new place without asking whether that is the place it was
//! given, so the holder and the attempt are compared with the row's once more.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::Settlement;
use crate::domain::delivery::DeadReason;
use crate::domain::ids::{DeliveryId, TenantId};
use crate::domain::retry::Verdict;
use crate::failpoint::failpoint;
use crate::store::StoreError;

/// The columns of a batch, side by side as the statement takes them.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) tenants: Vec<TenantId>,
    pub(super) deliveries: Vec<DeliveryId>,
    pub(super) numbers: Vec<i16>,
    pub(super) holders: Vec<i32>,
    /// The number of the last attempt, this one where there was one.
    attempted: Vec<i16>,
    verdicts: Vec<&'static str>,
    due: Vec<Option<DateTime<Utc>>>,
    reasons: Vec<Option<&'static str>>,
    details: Vec<Option<&'a str>>,
    started: Vec<Option<DateTime<Utc>>>,
    durations: Vec<i32>,
    revisions: Vec<i32>,
    outcomes: Vec<Option<&'static str>>,
    statuses: Vec<Option<i16>>,
    headers: Vec<Option<&'a str>>,
    bodies: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(
        settlements: impl IntoIterator<Item = &'a Settlement>,
        attempted: &HashMap<DeliveryId, i16>,
    ) -> Self {
        let mut columns = Self::default();
        for settlement in settlements {
            let before = attempted.get(&settlement.claimed.delivery_id).copied().unwrap_or_default();
            columns.push(settlement, before);
        }
        columns
    }

    fn push(&mut self, settlement: &'a Settlement, attempted_before: i16) {
        let claimed = &settlement.claimed;
        self.tenants.push(claimed.tenant_id);
        self.deliveries.push(claimed.delivery_id);
        let number = claimed.attempt.cast_signed();
        self.numbers.push(number);
        self.attempted.push(if settlement.attempt.is_some() { number } else { attempted_before });
        self.holders.push(claimed.holder.id().0);
        let (due, reason) = match settlement.verdict {
            Verdict::Delivered => (None, None),
            Verdict::RetryAt(due) => (Some(due), None),
            Verdict::Dead(reason) => (None, Some(reason)),
        };
        self.verdicts.push(settlement.verdict.as_str());
        self.due.push(due);
        self.reasons.push(reason.map(DeadReason::as_str));
        self.details.push(settlement.detail.as_deref());
        let attempt = settlement.attempt.as_ref();
        let outcome = attempt.map(|attempt| &attempt.outcome);
        let answer = outcome.and_then(|outcome| outcome.answer.as_ref());
        self.started.push(attempt.map(|attempt| attempt.started_at));
        let micros = outcome.map_or(0, |outcome| outcome.duration.as_micros());
        self.durations.push(i32::try_from(micros).unwrap_or(i32::MAX));
        self.revisions.push(attempt.map_or(0, |attempt| attempt.webhook_revision));
        self.outcomes.push(outcome.map(|outcome| outcome.class.as_str()));
        self.statuses.push(answer.map(|answer| answer.status.cast_signed()));
        self.headers.push(answer.map(|answer| answer.headers.as_str()).filter(|headers| !headers.is_empty()));
        self.bodies.push(answer.map(|answer| &*answer.body).filter(|body| !body.is_empty()));
    }
}

/// Those whose lease was still held, and whose results are recorded.
pub(super) async fn settle(
    executor: impl PgExecutor<'_>,
    settlements: &[&Settlement],
    attempted: &HashMap<DeliveryId, i16>,
    now: DateTime<Utc>,
) -> Result<HashSet<DeliveryId>, StoreError> {
    let columns = Columns::new(settlements.iter().copied(), attempted);
    failpoint!("settle.before", if columns.verdicts.contains(&"dead") { "dead" } else { "" });
    let settled = if settlements.iter().all(|one| one.has_arrived()) {
        record_arrivals(executor, &columns).await?
    } else {
        record_results(executor, &columns, now).await?
    };
    failpoint!("settle.after", if columns.verdicts.contains(&"dead") { "dead" } else { "" });
    Ok(settled.into_iter().collect())
}

/// Of a batch in which all was delivered.
async fn record_arrivals(executor: impl PgExecutor<'_>, columns: &Columns<'_>) -> Result<Vec<DeliveryId>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"WITH result AS (
               SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::uuid[]) AS delivery_id, unnest($3::smallint[]) AS number,
                   unnest($4::integer[]) AS holder, unnest($5::timestamptz[]) AS started_at, unnest($6::integer[]) AS duration_us,
                   unnest($7::integer[]) AS webhook_revision, unnest($8::smallint[]) AS status,
                   unnest($9::text[]) AS response_headers, unnest($10::bytea[]) AS response_body
           ), finished AS (
               DELETE FROM tidings.outbox AS o USING (
                   SELECT result.*, lease.place FROM result CROSS JOIN LATERAL (
                       SELECT o.ctid AS place FROM tidings.outbox AS o
                       WHERE o.tenant_id = result.tenant_id AND o.id = result.delivery_id
                         AND o.attempts = result.number AND o.holder = result.holder
                       LIMIT 1
                   ) AS lease
               ) AS held
               WHERE o.ctid = held.place AND o.attempts = held.number AND o.holder = held.holder
               RETURNING held.*, o.webhook_id, o.dialect_revision
           ), recorded AS (
               INSERT INTO tidings.attempts (tenant_id, delivery_id, webhook_id, started_at, duration_us, webhook_revision,
                   dialect_revision, outcome, verdict, number, status, response_headers, response_body)
               SELECT tenant_id, delivery_id, webhook_id, started_at, duration_us, webhook_revision, dialect_revision,
                   'success', 'delivered', number, status, response_headers, response_body
               FROM finished
           )
           SELECT delivery_id AS "delivery_id!: DeliveryId" FROM finished"#,
        &columns.tenants as _,
        &columns.deliveries as _,
        &columns.numbers,
        &columns.holders,
        &columns.started as _,
        &columns.durations,
        &columns.revisions,
        &columns.statuses as _,
        &columns.headers as _,
        &columns.bodies as _,
    )
    .fetch_all(executor)
    .await?)
}

/// Of any batch.
async fn record_results(
    executor: impl PgExecutor<'_>,
    columns: &Columns<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<DeliveryId>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"WITH result AS (
               SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::uuid[]) AS delivery_id, unnest($3::smallint[]) AS number,
                   unnest($4::integer[]) AS holder, unnest($5::text[]) AS verdict, unnest($6::timestamptz[]) AS due_at,
                   unnest($7::text[]) AS reason, unnest($8::text[]) AS detail, unnest($9::timestamptz[]) AS started_at,
                   unnest($10::integer[]) AS duration_us, unnest($11::integer[]) AS webhook_revision,
                   unnest($12::text[]) AS outcome, unnest($13::smallint[]) AS status, unnest($14::text[]) AS response_headers,
                   unnest($15::bytea[]) AS response_body, unnest($17::smallint[]) AS attempted
           ), held AS MATERIALIZED (
               SELECT result.*, lease.place FROM result CROSS JOIN LATERAL (
                   SELECT o.ctid AS place FROM tidings.outbox AS o
                   WHERE o.tenant_id = result.tenant_id AND o.id = result.delivery_id
                     AND o.attempts = result.number AND o.holder = result.holder
                   LIMIT 1
               ) AS lease
           ), finished AS (
               DELETE FROM tidings.outbox AS o USING held
               WHERE held.verdict <> 'retry' AND o.ctid = held.place AND o.attempts = held.number AND o.holder = held.holder
               RETURNING held.*, o.webhook_id, o.dialect_revision
           ), postponed AS (
               UPDATE tidings.outbox AS o SET holder = NULL, due_at = held.due_at, lapses = 0 FROM held
               WHERE held.verdict = 'retry' AND o.ctid = held.place AND o.attempts = held.number AND o.holder = held.holder
               RETURNING held.*, o.webhook_id, o.dialect_revision
           ), settled AS (
               SELECT * FROM finished UNION ALL SELECT * FROM postponed
           ), buried AS (
               INSERT INTO tidings.dead_letters (tenant_id, id, webhook_id, died_at, dialect_revision, reason, attempts, number, detail)
               SELECT tenant_id, delivery_id, webhook_id, $16, dialect_revision, reason::tidings.dead_reason,
                   attempted, CASE WHEN outcome IS NULL THEN number END, detail
               FROM finished WHERE verdict = 'dead'
           ), recorded AS (
               INSERT INTO tidings.attempts (tenant_id, delivery_id, webhook_id, started_at, duration_us, webhook_revision,
                   dialect_revision, outcome, verdict, number, status, response_headers, response_body)
               SELECT tenant_id, delivery_id, webhook_id, started_at, duration_us, webhook_revision, dialect_revision,
                   outcome::tidings.outcome, verdict::tidings.verdict, number, status, response_headers, response_body
               FROM settled WHERE outcome IS NOT NULL
           )
           SELECT delivery_id AS "delivery_id!: DeliveryId" FROM settled"#,
        &columns.tenants as _,
        &columns.deliveries as _,
        &columns.numbers,
        &columns.holders,
        &columns.verdicts as _,
        &columns.due as _,
        &columns.reasons as _,
        &columns.details as _,
        &columns.started as _,
        &columns.durations,
        &columns.revisions,
        &columns.outcomes as _,
        &columns.statuses as _,
        &columns.headers as _,
        &columns.bodies as _,
        now,
        &columns.attempted,
    )
    .fetch_all(executor)
    .await?)
}
