//! Settle: the results of many attempts in one transaction, each only if its lease is still held.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::attempt::Attempt;
use crate::domain::delivery::DeadReason;
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::lease::Claimed;
use crate::domain::retry::{Verdict, WebhookEffect};
use crate::failpoint::failpoint;
use crate::store::{Store, StoreError};

/// A claimed delivery with what came of it.
#[derive(Debug)]
pub struct Settlement {
    /// The lease.
    pub claimed: Claimed,
    /// What was sent and answered; `None` where nothing could be sent.
    pub attempt: Option<Attempt>,
    /// What becomes of the delivery.
    pub verdict: Verdict,
    /// More about a reason to give up, for people.
    pub detail: Option<String>,
}

/// The columns of a batch, side by side as the statement takes them.
#[derive(Default)]
struct Columns<'a> {
    tenants: Vec<TenantId>,
    deliveries: Vec<DeliveryId>,
    numbers: Vec<i16>,
    holders: Vec<i32>,
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
    fn push(&mut self, settlement: &'a Settlement) {
        let claimed = &settlement.claimed;
        self.tenants.push(claimed.tenant_id);
        self.deliveries.push(claimed.delivery_id);
        self.numbers.push(claimed.attempt.cast_signed());
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

impl Store {
    /// Settles a batch at `now` and returns those deliveries whose lease was still held; of the others nothing is
    /// recorded, since whoever holds the lease now will. Doing it twice is the same as once.
    ///
    /// Each row is looked up by its key in a LATERAL of its own: a plain join would be planned by what the outbox was like when it
    /// was last analysed, and a plan made for an empty one reads a full one whole. A row that another transaction changes
    /// in between has moved, so its lease is lost. Postgres before the end of 2025 follows one that moved to its new place without asking
    /// whether that is the place it was told, so the holder and the attempt are asked of the row once more.
    pub async fn settle(
        &self,
        settlements: &[Settlement],
        now: DateTime<Utc>,
    ) -> Result<HashSet<DeliveryId>, StoreError> {
        settle(&self.hot, settlements.iter().collect(), now).await
    }

    /// As [`Store::settle`], but nobody is waited for: what another transaction has locked, such as the deletion of its webhook, is left,
    /// and named beside what was settled.
    pub async fn settle_unlocked(
        &self,
        settlements: &[Settlement],
        now: DateTime<Utc>,
    ) -> Result<(HashSet<DeliveryId>, HashSet<DeliveryId>), StoreError> {
        let mut columns = Columns::default();
        for settlement in settlements {
            columns.push(settlement);
        }
        let mut transaction = self.hot.begin().await?;
        let rows = sqlx::query!(
            r#"WITH result AS (
                   SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::uuid[]) AS delivery_id, unnest($3::smallint[]) AS number,
                       unnest($4::integer[]) AS holder
               )
               SELECT result.delivery_id AS "id!: DeliveryId", free.is_free IS NOT NULL AS "is_free!"
               FROM result CROSS JOIN LATERAL (
                   SELECT FROM tidings.outbox AS o
                   WHERE o.tenant_id = result.tenant_id AND o.id = result.delivery_id
                     AND o.attempts = result.number AND o.holder = result.holder
                   LIMIT 1
               ) AS held LEFT JOIN LATERAL (
                   SELECT true AS is_free FROM tidings.outbox AS o
                   WHERE o.tenant_id = result.tenant_id AND o.id = result.delivery_id
                     AND o.attempts = result.number AND o.holder = result.holder
                   LIMIT 1 FOR UPDATE SKIP LOCKED
               ) AS free ON true"#,
            &columns.tenants as _,
            &columns.deliveries as _,
            &columns.numbers,
            &columns.holders,
        )
        .fetch_all(&mut *transaction)
        .await?;
        let locked: HashSet<_> = rows.into_iter().filter(|row| !row.is_free).map(|row| row.id).collect();
        let free: Vec<_> = settlements.iter().filter(|one| !locked.contains(&one.claimed.delivery_id)).collect();
        let settled = if free.is_empty() { HashSet::new() } else { settle(&mut *transaction, free, now).await? };
        transaction.commit().await?;
        Ok((settled, locked))
    }

    /// Carries out what an outcome said about its webhook, unless that was changed since the revision that was sent to.
    pub async fn affect_webhook(
        &self,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        revision: i32,
        effect: WebhookEffect,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (parked_until, disabled_reason) = match effect {
            WebhookEffect::ParkUntil(until) => (Some(until), None),
            WebhookEffect::Disable => (None, Some("the receiver answered 410 Gone")),
        };
        sqlx::query!(
            "UPDATE tidings.webhooks SET
                 parked_until = coalesce(greatest(parked_until, $3), parked_until),
                 state = CASE WHEN $4::text IS NULL THEN state ELSE 'disabled' END,
                 disabled_reason = coalesce($4, disabled_reason),
                 revision = revision + CASE WHEN $4 IS NULL THEN 0 ELSE 1 END,
                 updated_at = CASE WHEN $4 IS NULL THEN updated_at ELSE $5 END,
                 changed = pg_current_xact_id()
             WHERE tenant_id = $1 AND id = $2 AND revision = $6 AND state = 'active' AND deleted_at IS NULL
                 AND ($4::text IS NOT NULL OR parked_until IS NULL OR parked_until < $3)",
            tenant_id as TenantId,
            webhook_id as WebhookId,
            parked_until,
            disabled_reason,
            now,
            revision,
        )
        .execute(&self.hot)
        .await?;
        Ok(())
    }
}

async fn settle(
    executor: impl PgExecutor<'_>,
    settlements: Vec<&Settlement>,
    now: DateTime<Utc>,
) -> Result<HashSet<DeliveryId>, StoreError> {
    let mut columns = Columns::default();
    for settlement in settlements {
        columns.push(settlement);
    }
    failpoint!("settle.before", if columns.verdicts.contains(&"dead") { "dead" } else { "" });
    let settled = sqlx::query_scalar!(
        r#"WITH result AS (
               SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::uuid[]) AS delivery_id, unnest($3::smallint[]) AS number,
                   unnest($4::integer[]) AS holder, unnest($5::text[]) AS verdict, unnest($6::timestamptz[]) AS due_at,
                   unnest($7::text[]) AS reason, unnest($8::text[]) AS detail, unnest($9::timestamptz[]) AS started_at,
                   unnest($10::integer[]) AS duration_us, unnest($11::integer[]) AS webhook_revision,
                   unnest($12::text[]) AS outcome, unnest($13::smallint[]) AS status, unnest($14::text[]) AS response_headers,
                   unnest($15::bytea[]) AS response_body
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
                   number - CASE WHEN outcome IS NULL THEN 1 ELSE 0 END, CASE WHEN outcome IS NULL THEN number END, detail
               FROM finished WHERE verdict = 'dead'
           ), recorded AS (
               INSERT INTO tidings.attempts (tenant_id, delivery_id, webhook_id, started_at, duration_us, webhook_revision,
                   dialect_revision, outcome, verdict, number, status, response_headers, response_body)
               SELECT tenant_id, delivery_id, webhook_id, started_at, duration_us, webhook_revision, dialect_revision,
                   outcome::tidings.outcome, verdict::tidings.verdict, number, status, response_headers, response_body
               FROM settled WHERE outcome IS NOT NULL
           )
           SELECT coalesce(array_agg(delivery_id), '{}') AS "settled!: Vec<DeliveryId>" FROM settled"#,
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
    )
    .fetch_one(executor)
    .await?;
    failpoint!("settle.after", if columns.verdicts.contains(&"dead") { "dead" } else { "" });
    Ok(settled.into_iter().collect())
}
