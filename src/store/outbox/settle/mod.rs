//! Settle: the results of many attempts in one transaction, each only if its lease is still held.

mod statements;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::domain::attempt::Attempt;
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::lease::Claimed;
use crate::domain::outcome::Class;
use crate::domain::retry::{Verdict, WebhookEffect};
use crate::store::{Store, StoreError};
use statements::Columns;

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

impl Settlement {
    /// Whether it was delivered, and so tried.
    fn has_arrived(&self) -> bool {
        self.verdict == Verdict::Delivered
            && self.attempt.as_ref().is_some_and(|attempt| attempt.outcome.class == Class::Success)
    }
}

impl Store {
    /// Settles a batch at `now` and returns those deliveries whose lease was still held; of the others nothing is
    /// recorded, since whoever holds the lease now will. Doing it twice is the same as once.
    pub async fn settle(
        &self,
        settlements: &[Settlement],
        now: DateTime<Utc>,
    ) -> Result<HashSet<DeliveryId>, StoreError> {
        let attempted = self.attempted(settlements).await?;
        statements::settle(&self.hot, &settlements.iter().collect::<Vec<_>>(), &attempted, now).await
    }

    /// As [`Store::settle`], but nobody is waited for: what another transaction has locked, such as the deletion of its webhook, is left,
    /// and named beside what was settled.
    pub async fn settle_unlocked(
        &self,
        settlements: &[Settlement],
        now: DateTime<Utc>,
    ) -> Result<(HashSet<DeliveryId>, HashSet<DeliveryId>), StoreError> {
        let attempted = self.attempted(settlements).await?;
        let columns = Columns::new(settlements, &attempted);
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
        let settled = if free.is_empty() {
            HashSet::new()
        } else {
            statements::settle(&mut *transaction, &free, &attempted, now).await?
        };
        transaction.commit().await?;
        Ok((settled, locked))
    }

    /// The last attempts of those that are given up without one, which are few: a number under which nothing was sent is used up, and is
    /// no attempt. Asked apart, because the statement that settles would otherwise lock every day of attempts.
    async fn attempted(&self, settlements: &[Settlement]) -> Result<HashMap<DeliveryId, i16>, StoreError> {
        let unsent = settlements.iter().filter(|one| one.attempt.is_none() && one.claimed.attempt > 1);
        let (tenants, ids): (Vec<_>, Vec<_>) =
            unsent.map(|one| (one.claimed.tenant_id, one.claimed.delivery_id)).unzip();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query!(
            r#"SELECT unsent.id AS "id!: DeliveryId", last.number
               FROM (SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::uuid[]) AS id) AS unsent
               CROSS JOIN LATERAL (
                   SELECT a.number FROM tidings.attempts AS a
                   WHERE a.tenant_id = unsent.tenant_id AND a.delivery_id = unsent.id ORDER BY a.number DESC LIMIT 1
               ) AS last"#,
            &tenants as _,
            &ids as _,
        )
        .fetch_all(&self.hot)
        .await?;
        Ok(rows.into_iter().map(|row| (row.id, row.number)).collect())
    }

    /// Carries out what an outcome said about its webhook, unless the webhook has had another URL, or was not active, since the revision
    /// that was sent to. Each revision has a row of its own, except one that disables the webhook, and the number that is left out when it
    /// comes back to `active`. A revision that is being made this moment is not seen, and counts as another URL.
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
             WHERE tenant_id = $1 AND id = $2 AND state = 'active' AND deleted_at IS NULL
                 AND ($4::text IS NOT NULL OR parked_until IS NULL OR parked_until < $3)
                 AND (revision = $6 OR revision - $6 + 1 = (
                     SELECT count(*) FROM tidings.webhook_revisions AS r
                     WHERE r.tenant_id = $1 AND r.webhook_id = $2 AND r.revision BETWEEN $6 AND webhooks.revision
                       AND r.url = webhooks.url))",
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
