//! Resend: a delivery is owed once more. A dead one is pending again, a pending one due now, one that came to its end gets a
//! successor.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use crate::domain::webhook::State;
use crate::failpoint::failpoint;
use crate::store::connections::Session;
use crate::store::{Store, StoreError};

/// Resends of the same event to the same webhook within this time are one: two clicks, two operators, a repeated request.
const ONE_RESEND: Duration = Duration::from_secs(2);

/// A delivery that was attempted so often is not made pending again: its attempts are counted in 15 bits, and a schedule has 50 at most.
pub const MOST_ATTEMPTS_EVER: i16 = 32_000;

/// Whether a webhook can receive, and if not, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub state: State,
    /// Whether its receiver ever passed the challenge.
    pub verified: bool,
    /// Why Tidings disabled it.
    pub disabled_reason: Option<String>,
}

/// What came of asking for another delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// It was made, and is due.
    Made(DeliveryId),
    /// The same was asked just before, and this came of it.
    Already(DeliveryId),
    /// The webhook cannot receive, or the event is gone or has no data any more.
    NotReady,
    /// The event has had half a million deliveries.
    NoRoom,
}

impl Store {
    /// Where a webhook stands; `None` where it was deleted.
    pub async fn standing(&self, tenant_id: TenantId, webhook_id: WebhookId) -> Result<Option<Standing>, StoreError> {
        let standing = sqlx::query_as!(
            Standing,
            r#"SELECT state AS "state: State", verified_at IS NOT NULL AS "verified!", disabled_reason FROM tidings.webhooks
               WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL"#,
            tenant_id as TenantId,
            webhook_id as WebhookId,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(standing)
    }

    /// Makes dead letters pending again, due now: their numbers of attempts go on, their schedules start afresh. Those
    /// whose webhook cannot receive, whose event is gone, or that had [`MOST_ATTEMPTS_EVER`], stay. Returns the ones that were made pending by this call.
    ///
    /// The webhooks are locked, so that one deleted meanwhile takes these deliveries along. One that could not be rendered, and of which
    /// nothing was ever sent, is in the dialect as it is now; the others keep theirs, and so their bytes.
    pub async fn revive(
        &self,
        tenant_id: TenantId,
        ids: &[DeliveryId],
        now: DateTime<Utc>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        revive(&self.pool, tenant_id, ids, now).await
    }

    /// Makes a pending delivery due now, unless it is or is being attempted. `false` where it is not pending.
    ///
    /// One that is leased is not touched: its row would be another one then, which whoever settles or releases it does not find.
    pub async fn hasten(&self, tenant_id: TenantId, id: DeliveryId, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let is_pending = sqlx::query_scalar!(
            r#"WITH hastened AS (
                   UPDATE tidings.outbox SET due_at = $3 WHERE tenant_id = $1 AND id = $2 AND holder IS NULL AND due_at > $3
               )
               SELECT EXISTS (SELECT FROM tidings.outbox WHERE tenant_id = $1 AND id = $2) AS "is_pending!""#,
            tenant_id as TenantId,
            id as DeliveryId,
            now,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(is_pending)
    }

    /// Owes the event of a delivery to its webhook once more, in the dialect as it is now.
    ///
    /// One event's resends wait for one another, so that each gets an id of its own.
    pub async fn deliver_again(
        &self,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        id: DeliveryId,
        now: DateTime<Utc>,
    ) -> Result<Successor, StoreError> {
        let event = id.event();
        let mut transaction = self.pool.begin().await?;
        lock_resends_of(&mut *transaction, &[event]).await?;
        if hold_events(&mut transaction, tenant_id, &[event]).await?.is_empty() {
            return Ok(Successor::NotReady);
        }
        let resends = sqlx::query!(
            r#"SELECT id AS "id!: DeliveryId",
                      webhook_id = $4 AND (state = 'pending' OR state = 'delivered' AND settled_at > $5) AS "the_same!"
               FROM tidings.deliveries WHERE tenant_id = $1 AND id >= $2 AND id <= $3 ORDER BY id DESC"#,
            tenant_id as TenantId,
            event.first_resend() as DeliveryId,
            event.last_delivery() as DeliveryId,
            webhook_id as WebhookId,
            now - ONE_RESEND,
        )
        .fetch_all(&mut *transaction)
        .await?;
        if let Some(same) = resends.iter().find(|resend| resend.the_same) {
            return Ok(Successor::Already(same.id));
        }
        let next = resends.first().map_or(Some(event.first_resend()), |latest| latest.id.next());
        let Some(next) = next else { return Ok(Successor::NoRoom) };
        let made = sqlx::query!(
            "INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, attempts)
             SELECT w.tenant_id, $3, w.id, $4, d.revision, 0
             FROM tidings.webhooks AS w JOIN tidings.dialects AS d ON d.name = w.dialect
             WHERE w.tenant_id = $1 AND w.id = $2 AND w.state = 'active' AND w.deleted_at IS NULL
             FOR SHARE OF w",
            tenant_id as TenantId,
            webhook_id as WebhookId,
            next as DeliveryId,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        failpoint!("resend.made");
        transaction.commit().await?;
        failpoint!("resend.committed");
        Ok(if made.rows_affected() == 1 { Successor::Made(next) } else { Successor::NotReady })
    }
}

/// As [`Store::revive`], within a transaction. `OFFSET 0`: each is looked up by its key, however many its webhook has, and however many
/// events' data its tenant deleted.
pub(in crate::store) async fn revive(
    executor: impl PgExecutor<'_>,
    tenant_id: TenantId,
    ids: &[DeliveryId],
    now: DateTime<Utc>,
) -> Result<Vec<DeliveryId>, StoreError> {
    let revived = sqlx::query_scalar!(
        r#"WITH letter AS MATERIALIZED (
               SELECT d.id, d.webhook_id, coalesce(d.number, d.attempts) AS attempts
               FROM (SELECT unnest($2::uuid[]) AS id) AS one CROSS JOIN LATERAL (
                   SELECT * FROM tidings.dead_letters WHERE tenant_id = $1 AND id = one.id OFFSET 0
               ) AS d
           ), ready AS (
               SELECT id, dialect FROM tidings.webhooks
               WHERE tenant_id = $1 AND state = 'active' AND deleted_at IS NULL AND id IN (SELECT webhook_id FROM letter)
               ORDER BY id FOR SHARE
           ), revived AS (
               DELETE FROM tidings.dead_letters WHERE tenant_id = $1 AND id = ANY (ARRAY(
                   SELECT letter.id FROM letter JOIN ready ON ready.id = letter.webhook_id
                   WHERE letter.attempts < $4
                     AND EXISTS (SELECT FROM tidings.events AS e
                                 WHERE e.tenant_id = $1 AND e.id = tidings.event_of(letter.id) OFFSET 0)
                     AND NOT EXISTS (SELECT FROM tidings.erasures AS x
                                     WHERE x.tenant_id = $1 AND x.event_id = tidings.event_of(letter.id) OFFSET 0)
               ))
               RETURNING *
           )
           INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, attempts, attempts_before)
           SELECT tenant_id, id, webhook_id, $3,
               CASE WHEN reason = 'unrenderable'
                       AND NOT EXISTS (SELECT FROM tidings.attempts AS a WHERE a.tenant_id = $1 AND a.delivery_id = revived.id)
                   THEN (SELECT d.revision FROM ready JOIN tidings.dialects AS d ON d.name = ready.dialect
                         WHERE ready.id = revived.webhook_id)
                   ELSE dialect_revision END,
               coalesce(number, attempts), coalesce(number, attempts)
           FROM revived
           RETURNING id AS "id: DeliveryId""#,
        tenant_id as TenantId,
        ids as _,
        now,
        MOST_ATTEMPTS_EVER,
    )
    // Planned anew each time: a plan that is kept may be from when there were few, and reads all.
    .persistent(false)
    .fetch_all(executor)
    .await?;
    Ok(revived)
}

/// Until the transaction ends, nobody else makes a delivery of these events. Several are to be given in the order of their ids,
/// so that nobody waits for somebody who waits for them.
pub(in crate::store) async fn lock_resends_of(
    executor: impl PgExecutor<'_>,
    events: &[EventId],
) -> Result<(), StoreError> {
    let names: Vec<_> = events.iter().map(ToString::to_string).collect();
    sqlx::query!(
        r#"SELECT pg_advisory_xact_lock(hashtextextended('tidings.resend ' || name, 0)) AS "locked!: ()"
           FROM unnest($1::text[]) AS name"#,
        &names as _
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Those of these events that can be owed once more: they are there, and so is their data. Until the transaction ends, neither
/// retention nor a deletion of data changes that.
pub(in crate::store) async fn hold_events(
    connection: &mut Session,
    tenant_id: TenantId,
    events: &[EventId],
) -> Result<HashSet<EventId>, StoreError> {
    let there = sqlx::query_scalar!(
        r#"SELECT id AS "id: EventId" FROM tidings.events WHERE tenant_id = $1 AND id = ANY ($2) ORDER BY id FOR KEY SHARE"#,
        tenant_id as TenantId,
        events as _,
    )
    .fetch_all(&mut *connection)
    .await?;
    // Asked for after the lock: a deletion that held it is seen.
    let deleted = sqlx::query_scalar!(
        r#"SELECT event_id AS "event_id: EventId" FROM tidings.erasures WHERE tenant_id = $1 AND event_id = ANY ($2)"#,
        tenant_id as TenantId,
        &there as _,
    )
    .fetch_all(connection)
    .await?;
    let mut there: HashSet<_> = there.into_iter().collect();
    for event in deleted {
        there.remove(&event);
    }
    Ok(there)
}
