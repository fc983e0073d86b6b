//! Deliveries, whichever table holds them: the outbox, the attempts, the dead letters or the cancellations.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Span;
use crate::domain::delivery::State;
use crate::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use crate::store::{Store, StoreError};

/// A delivery as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, which names its event.
    pub id: DeliveryId,
    /// The webhook it is owed to.
    pub webhook_id: WebhookId,
    /// The type of its event; `None` where the event is gone.
    pub event_type: Option<String>,
    /// The name of its dialect.
    pub dialect: String,
    /// Where it stands.
    pub state: State,
    /// Attempts so far, the one under way included.
    pub attempts: i16,
    /// When it is attempted next, where it is pending.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When it ended, where it did.
    pub settled_at: Option<DateTime<Utc>>,
    /// Why it is dead or cancelled.
    pub reason: Option<String>,
}

/// A delivery as its event lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryBrief {
    /// Its id.
    pub id: DeliveryId,
    /// The webhook it is owed to.
    pub webhook_id: WebhookId,
    /// Where it stands.
    pub state: State,
    /// Attempts so far.
    pub attempts: i16,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Of these times, of this event, after this cursor.
    pub span: Span,
    /// Owed to this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of events of this type.
    pub event_type: Option<String>,
    /// That stand so.
    pub state: Option<State>,
}

/// Reads a page from each table along an index and merges them. `$only` is put into each branch; it is part of the text
/// rather than a nullable parameter, so that one plan suits every execution of the text.
macro_rules! page {
    ($only:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Delivery,
            r#"WITH page AS (
                   (SELECT id, webhook_id, 'pending' AS state, attempts, dialect_revision, due_at AS next_attempt_at,
                           NULL::timestamptz AS settled_at, NULL::text AS reason
                    FROM tidings.outbox
                    WHERE tenant_id = $1 AND id >= $2 AND id < $3 AND ($5::text IS NULL OR $5 = 'pending')
                      AND ($6::text IS NULL OR $6 = (SELECT e.type FROM tidings.events AS e
                                                     WHERE e.tenant_id = $1 AND e.id = tidings.event_of(outbox.id)))"#
                + $only
                + r#"ORDER BY id DESC LIMIT $4)
                   UNION ALL
                   (SELECT delivery_id, webhook_id, 'delivered', number, dialect_revision, NULL,
                           started_at + duration_us * interval '1 microsecond', NULL
                    FROM tidings.attempts
                    WHERE tenant_id = $1 AND delivery_id >= $2 AND delivery_id < $3 AND verdict = 'delivered'
                      AND ($5::text IS NULL OR $5 = 'delivered')
                      AND ($6::text IS NULL OR $6 = (SELECT e.type FROM tidings.events AS e
                                                     WHERE e.tenant_id = $1 AND e.id = tidings.event_of(delivery_id)))"#
                + $only
                + r#"ORDER BY delivery_id DESC LIMIT $4)
                   UNION ALL
                   (SELECT id, webhook_id, 'dead', attempts, dialect_revision, NULL, died_at, reason::text
                    FROM tidings.dead_letters
                    WHERE tenant_id = $1 AND id >= $2 AND id < $3 AND ($5::text IS NULL OR $5 = 'dead')
                      AND ($6::text IS NULL OR $6 = (SELECT e.type FROM tidings.events AS e
                                                     WHERE e.tenant_id = $1 AND e.id = tidings.event_of(dead_letters.id)))"#
                + $only
                + r#"ORDER BY id DESC LIMIT $4)
                   UNION ALL
                   (SELECT id, webhook_id, 'cancelled', attempts, dialect_revision, NULL, cancelled_at, cause::text
                    FROM tidings.cancellations
                    WHERE tenant_id = $1 AND id >= $2 AND id < $3 AND ($5::text IS NULL OR $5 = 'cancelled')
                      AND ($6::text IS NULL OR $6 = (SELECT e.type FROM tidings.events AS e
                                                     WHERE e.tenant_id = $1 AND e.id = tidings.event_of(cancellations.id)))"#
                + $only
                + r#"ORDER BY id DESC LIMIT $4)
                   ORDER BY id DESC LIMIT $4
               )
               SELECT page.id AS "id!: DeliveryId", page.webhook_id AS "webhook_id!: WebhookId", e.type AS "event_type?",
                      r.name AS dialect, page.state AS "state!: State", page.attempts AS "attempts!", page.next_attempt_at,
                      page.settled_at, page.reason
               FROM page
               JOIN tidings.dialect_revisions AS r ON r.id = page.dialect_revision
               LEFT JOIN tidings.events AS e ON e.tenant_id = $1 AND e.id = tidings.event_of(page.id)
               ORDER BY page.id DESC"#,
            $($argument),+
        )
    };
}

impl Store {
    /// A tenant's deliveries, newest event first, at most `limit`.
    pub async fn list_deliveries(
        &self,
        tenant_id: TenantId,
        filter: &DeliveryFilter,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let _turn = if filter.event_type.is_some() { Some(self.search(tenant_id).await?) } else { None };
        if let Some(event_type) = &filter.event_type {
            // Most deliveries are delivered ones, so among all of them events of a type are the shorter way.
            let among_all = filter.webhook_id.is_none() && matches!(filter.state, None | Some(State::Delivered));
            if among_all || self.is_rare(tenant_id, filter.span, event_type).await? {
                return self.list_deliveries_of_type(tenant_id, filter, event_type, limit).await;
            }
        }
        let (first, end) = (filter.span.first(), filter.span.end());
        let (state, event_type) = (filter.state.map(State::as_str), filter.event_type.as_deref());
        let deliveries = match filter.webhook_id {
            None => {
                page!(" ", tenant_id as TenantId, first, end, limit, state, event_type).fetch_all(&self.pool).await?
            }
            Some(webhook_id) => {
                page!(
                    " AND webhook_id = $7 ",
                    tenant_id as TenantId,
                    first,
                    end,
                    limit,
                    state,
                    event_type,
                    webhook_id as WebhookId
                )
                .fetch_all(&self.pool)
                .await?
            }
        };
        Ok(deliveries)
    }

    /// By way of the events. The inner limit is also what keeps the planner from reading all deliveries and joining them.
    async fn list_deliveries_of_type(
        &self,
        tenant_id: TenantId,
        filter: &DeliveryFilter,
        event_type: &str,
        limit: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let deliveries = sqlx::query_as!(
            Delivery,
            r#"SELECT d.id AS "id!: DeliveryId", d.webhook_id AS "webhook_id!: WebhookId", e.type AS "event_type?",
                      r.name AS dialect, d.state AS "state!: State", d.attempts AS "attempts!", d.next_attempt_at,
                      d.settled_at, d.reason
               FROM tidings.events AS e
               CROSS JOIN LATERAL (
                   SELECT * FROM tidings.deliveries AS own
                   WHERE own.tenant_id = $1 AND own.id > e.id AND own.id <= tidings.delivery_id(e.id, 1048575)
                     AND own.id >= $2 AND own.id < $3 AND ($6::text IS NULL OR own.state = $6)
                     AND ($7::uuid IS NULL OR own.webhook_id = $7)
                   ORDER BY own.id DESC LIMIT $4
               ) AS d
               JOIN tidings.dialect_revisions AS r ON r.id = d.dialect_revision
               WHERE e.tenant_id = $1 AND e.type = $5 AND e.id >= tidings.event_of($2) AND e.id < $3
               ORDER BY e.id DESC, d.id DESC LIMIT $4"#,
            tenant_id as TenantId,
            filter.span.first(),
            filter.span.end(),
            limit,
            event_type,
            filter.state.map(State::as_str),
            filter.webhook_id as Option<WebhookId>,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(deliveries)
    }

    /// One delivery, where the tenant has it.
    pub async fn delivery(&self, tenant_id: TenantId, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let delivery = sqlx::query_as!(
            Delivery,
            r#"SELECT d.id AS "id!: DeliveryId", d.webhook_id AS "webhook_id!: WebhookId", e.type AS "event_type?",
                      r.name AS dialect, d.state AS "state!: State", d.attempts AS "attempts!", d.next_attempt_at,
                      d.settled_at, d.reason
               FROM tidings.deliveries AS d
               JOIN tidings.dialect_revisions AS r ON r.id = d.dialect_revision
               LEFT JOIN tidings.events AS e ON e.tenant_id = $1 AND e.id = tidings.event_of($2)
               WHERE d.tenant_id = $1 AND d.id = $2"#,
            tenant_id as TenantId,
            id as DeliveryId,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(delivery)
    }

    /// The deliveries of some events, in the order of their ids; at most 1,000 for each event.
    pub async fn deliveries_of(
        &self,
        tenant_id: TenantId,
        events: &[EventId],
    ) -> Result<Vec<DeliveryBrief>, StoreError> {
        let last: Vec<_> = events.iter().map(|event| event.last_delivery()).collect();
        let deliveries = sqlx::query_as!(
            DeliveryBrief,
            r#"SELECT d.id AS "id!: DeliveryId", d.webhook_id AS "webhook_id!: WebhookId", d.state AS "state!: State",
                      d.attempts AS "attempts!"
               FROM unnest($2::uuid[], $3::uuid[]) AS event (id, last)
               CROSS JOIN LATERAL (
                   SELECT * FROM tidings.deliveries AS own
                   WHERE own.tenant_id = $1 AND own.id > event.id AND own.id <= event.last ORDER BY own.id LIMIT 1000
               ) AS d
               ORDER BY d.id"#,
            tenant_id as TenantId,
            events as _,
            &last as _,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(deliveries)
    }

    /// How many deliveries each of some events owed when it was accepted, whatever became of them; resends do not count.
    pub async fn deliveries_owed(
        &self,
        tenant_id: TenantId,
        events: &[EventId],
    ) -> Result<HashMap<EventId, usize>, StoreError> {
        let ends: Vec<_> = events.iter().map(|event| event.first_resend()).collect();
        let rows = sqlx::query!(
            r#"SELECT event.id AS "id!: EventId", owed.number AS "owed!"
               FROM unnest($2::uuid[], $3::uuid[]) AS event (id, first_resend)
               CROSS JOIN LATERAL (
                   SELECT count(*) AS number FROM tidings.deliveries AS d
                   WHERE d.tenant_id = $1 AND d.id > event.id AND d.id < event.first_resend
               ) AS owed"#,
            tenant_id as TenantId,
            events as _,
            &ends as _,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.id, usize::try_from(row.owed).unwrap_or_default())).collect())
    }
}
