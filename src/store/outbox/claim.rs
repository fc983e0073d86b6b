//! Claim: which webhooks have something due, and taking the lease on some of it. A webhook's due deliveries are its lane.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use crate::domain::lease::{Claimed, DialectRevision, Holder};
use crate::domain::trace::TraceParent;
use crate::store::{Store, StoreError};

/// A webhook with something due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueLane {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Requests a second that it takes, over all processes; `None` without limit.
    pub rate_limit: Option<i32>,
    /// Since when its oldest delivery has been due.
    pub due_at: DateTime<Utc>,
}

/// How much to claim from one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneQuota {
    /// The lane.
    pub lane: DueLane,
    /// At most this many deliveries.
    pub quota: u16,
}

impl Store {
    /// The webhooks that have a delivery due and may be sent to, found by skipping from lane to lane: the cost grows with
    /// the lanes, not with what lies in them. `OFFSET 0` makes Postgres look a webhook up by its key, and in the claim an event, too. A
    /// plain join is planned when the connection first asks; if there are few rows then, it reads them all, even once there are many.
    pub async fn due_lanes(&self, now: DateTime<Utc>) -> Result<Vec<DueLane>, StoreError> {
        let lanes = sqlx::query_as!(
            DueLane,
            r#"WITH RECURSIVE lane AS (
                   (SELECT tenant_id, webhook_id, due_at FROM tidings.outbox
                    WHERE holder IS NULL ORDER BY webhook_id, due_at LIMIT 1)
                   UNION ALL
                   SELECT next.* FROM lane CROSS JOIN LATERAL (
                       SELECT tenant_id, webhook_id, due_at FROM tidings.outbox
                       WHERE holder IS NULL AND webhook_id > lane.webhook_id ORDER BY webhook_id, due_at LIMIT 1
                   ) AS next
               )
               SELECT lane.tenant_id AS "tenant_id!: TenantId", lane.webhook_id AS "webhook_id!: WebhookId", w.rate_limit,
                      lane.due_at AS "due_at!"
               FROM lane CROSS JOIN LATERAL (
                   SELECT o.rate_limit FROM tidings.webhooks AS o
                   WHERE o.tenant_id = lane.tenant_id AND o.id = lane.webhook_id AND o.state = 'active' AND o.deleted_at IS NULL
                     AND (o.parked_until IS NULL OR o.parked_until <= $1)
                   OFFSET 0
               ) AS w
               WHERE lane.due_at <= $1"#,
            now,
        )
        .fetch_all(&self.hot)
        .await?;
        Ok(lanes)
    }

    /// Leases due deliveries of these lanes to a dispatcher, the longest due of each lane first, and counts an attempt
    /// for each. Rows that another dispatcher is claiming are passed over.
    pub async fn claim(
        &self,
        quotas: &[LaneQuota],
        holder: &Holder,
        now: DateTime<Utc>,
    ) -> Result<Vec<Claimed>, StoreError> {
        let tenants: Vec<_> = quotas.iter().map(|quota| quota.lane.tenant_id).collect();
        let webhooks: Vec<_> = quotas.iter().map(|quota| quota.lane.webhook_id).collect();
        let limits: Vec<_> = quotas.iter().map(|quota| i32::from(quota.quota)).collect();
        let rows = sqlx::query!(
            r#"WITH claimed AS (
                   UPDATE tidings.outbox AS o SET holder = $4, attempts = o.attempts + 1
                   WHERE o.ctid = ANY (ARRAY(
                       SELECT due.ctid FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS lane (tenant_id, webhook_id, quota)
                       CROSS JOIN LATERAL (
                           SELECT FROM tidings.webhooks AS w
                           WHERE w.tenant_id = lane.tenant_id AND w.id = lane.webhook_id AND w.state = 'active'
                             AND w.deleted_at IS NULL AND (w.parked_until IS NULL OR w.parked_until <= $5)
                           OFFSET 0
                       ) AS takes
                       CROSS JOIN LATERAL (
                           SELECT ctid FROM tidings.outbox AS row
                           WHERE row.webhook_id = lane.webhook_id AND row.holder IS NULL AND row.due_at <= $5
                             AND EXISTS (SELECT FROM tidings.events AS e
                                         WHERE e.tenant_id = row.tenant_id AND e.id = tidings.event_of(row.id) OFFSET 0)
                           ORDER BY row.due_at LIMIT lane.quota FOR UPDATE SKIP LOCKED
                       ) AS due
                   ))
                   RETURNING o.tenant_id, o.id, o.webhook_id, o.dialect_revision, o.attempts, o.attempts_before, o.lapses
               )
               SELECT c.tenant_id AS "tenant_id: TenantId", c.id AS "id: DeliveryId", c.webhook_id AS "webhook_id: WebhookId",
                      c.dialect_revision, c.attempts, c.attempts_before, c.lapses,
                      e.id AS "event_id: EventId", e.type AS event_type, e.data, e.trace,
                      CASE WHEN e.occurred_at BETWEEN '0001-01-01 00:00:00+00 BC' AND '9999-12-31 23:59:59.999999+00' THEN e.occurred_at END AS occurred_at
               FROM claimed AS c CROSS JOIN LATERAL (
                   SELECT * FROM tidings.events AS one
                   WHERE one.tenant_id = c.tenant_id AND one.id = tidings.event_of(c.id) OFFSET 0
               ) AS e"#,
            &tenants as _,
            &webhooks as _,
            &limits as _,
            holder.id().0,
            now,
        )
        .fetch_all(&self.hot)
        .await?;
        let claimed = rows.into_iter().map(|row| Claimed {
            tenant_id: row.tenant_id,
            delivery_id: row.id,
            webhook_id: row.webhook_id,
            dialect: DialectRevision(row.dialect_revision),
            holder: holder.clone(),
            attempt: row.attempts.cast_unsigned(),
            attempts_before: row.attempts_before.cast_unsigned(),
            lapses: row.lapses.cast_unsigned(),
            event: Arc::new(Event {
                tenant_id: row.tenant_id,
                id: row.event_id,
                event_type: row.event_type,
                occurred_at: row.occurred_at,
                data: Bytes::from(row.data),
            }),
            trace: row.trace.as_deref().and_then(TraceParent::from_bytes),
            claimed_at: now,
        });
        Ok(claimed.collect())
    }

    /// Gives leases back unused: the deliveries are due as before, and the attempt does not count. Returns those that another transaction
    /// has locked: nobody is waited for.
    pub async fn release(&self, claimed: &[Claimed]) -> Result<HashSet<DeliveryId>, StoreError> {
        let tenants: Vec<_> = claimed.iter().map(|one| one.tenant_id).collect();
        let ids: Vec<_> = claimed.iter().map(|one| one.delivery_id).collect();
        let attempts: Vec<_> = claimed.iter().map(|one| one.attempt.cast_signed()).collect();
        let holders: Vec<_> = claimed.iter().map(|one| one.holder.id().0).collect();
        let locked = sqlx::query_scalar!(
            r#"WITH lease AS MATERIALIZED (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::integer[]) AS lease (tenant_id, id, attempt, holder)
             ), held AS MATERIALIZED (
                 SELECT lease.id, free.place FROM lease CROSS JOIN LATERAL (
                     SELECT row.ctid AS place FROM tidings.outbox AS row
                     WHERE row.tenant_id = lease.tenant_id AND row.id = lease.id AND row.attempts = lease.attempt
                       AND row.holder = lease.holder
                     LIMIT 1 FOR UPDATE SKIP LOCKED
                 ) AS free
             ), released AS (
                 UPDATE tidings.outbox AS o SET holder = NULL, attempts = o.attempts - 1
                 WHERE o.ctid = ANY (ARRAY(SELECT held.place FROM held))
             )
             SELECT lease.id AS "id!: DeliveryId" FROM lease CROSS JOIN LATERAL (
                 SELECT FROM tidings.outbox AS row
                 WHERE row.tenant_id = lease.tenant_id AND row.id = lease.id AND row.attempts = lease.attempt AND row.holder = lease.holder
                 LIMIT 1
             ) AS still
             WHERE lease.id <> ALL (ARRAY(SELECT held.id FROM held))"#,
            &tenants as _,
            &ids as _,
            &attempts as _,
            &holders as _,
        )
        .fetch_all(&self.hot)
        .await?;
        Ok(locked.into_iter().collect())
    }
}
