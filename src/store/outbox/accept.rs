//! Accept: events and the deliveries they are owed, in one statement however many they are.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::domain::lease::{Claimed, DialectRevision, Holder};
use crate::domain::trace::TraceParent;
use crate::failpoint::failpoint;
use crate::store::{Store, StoreError};

/// An event on its way in.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event, under the id it will have if it is new.
    pub event: Arc<Event>,
    /// What its producer recognises it by.
    pub idempotency_key: Option<String>,
    /// The trace that it belongs to.
    pub trace: Option<TraceParent>,
}

/// Who may be given the deliveries at once.
#[derive(Debug, Clone)]
pub struct HandOff {
    /// The dispatcher that gets the leases, under this number.
    pub holder: Holder,
    /// Webhooks with enough waiting; their deliveries are left for the next claim.
    pub crowded: Vec<WebhookId>,
}

/// What became of one new event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It was stored, and owes this many deliveries.
    Stored {
        /// How many webhooks matched.
        deliveries: usize,
    },
    /// Its idempotency key was used before for the same content, by this event.
    Duplicate(EventId),
    /// Its idempotency key was used before for other content, by this event.
    Conflict(EventId),
}

impl Store {
    /// Stores events and their deliveries, atomically. What was leased to the dispatcher of `hand_off` comes back as claimed.
    pub async fn accept(
        &self,
        events: &[NewEvent],
        now: DateTime<Utc>,
        hand_off: Option<&HandOff>,
    ) -> Result<(Vec<Accepted>, Vec<Claimed>), StoreError> {
        accept(&self.hot, events, now, hand_off).await
    }

    /// As [`Store::accept`], but where one idempotency key conflicts, nothing at all is stored.
    pub async fn accept_all_or_nothing(
        &self,
        events: &[NewEvent],
        now: DateTime<Utc>,
        hand_off: Option<&HandOff>,
    ) -> Result<(Vec<Accepted>, Vec<Claimed>), StoreError> {
        let mut transaction = self.hot.begin().await?;
        let (accepted, claimed) = accept(&mut *transaction, events, now, hand_off).await?;
        if accepted.iter().any(|one| matches!(one, Accepted::Conflict(_))) {
            transaction.rollback().await?;
            return Ok((accepted, Vec::new()));
        }
        failpoint!("accept.stored");
        transaction.commit().await?;
        Ok((accepted, claimed))
    }
}

async fn accept(
    executor: impl PgExecutor<'_>,
    events: &[NewEvent],
    now: DateTime<Utc>,
    hand_off: Option<&HandOff>,
) -> Result<(Vec<Accepted>, Vec<Claimed>), StoreError> {
    let tenants: Vec<_> = events.iter().map(|new| new.event.tenant_id).collect();
    let ids: Vec<_> = events.iter().map(|new| new.event.id).collect();
    let types: Vec<_> = events.iter().map(|new| new.event.event_type.as_str()).collect();
    let occurred: Vec<_> = events.iter().map(|new| new.event.occurred_at).collect();
    let data: Vec<&[u8]> = events.iter().map(|new| &*new.event.data).collect();
    let keys: Vec<_> = events.iter().map(|new| new.idempotency_key.as_deref()).collect();
    // Most batches have no trace at all.
    let is_traced = events.iter().any(|new| new.trace.is_some());
    let traces = is_traced.then(|| events.iter().map(|new| new.trace.map(TraceParent::to_bytes)).collect::<Vec<_>>());
    let traces = traces
        .as_ref()
        .map(|traces| traces.iter().map(|trace| trace.as_ref().map(|bytes| &bytes[..])).collect::<Vec<_>>());
    let rows = sqlx::query!(
        r#"SELECT place AS "place!", delivery_id AS "delivery_id: DeliveryId", webhook_id AS "webhook_id: WebhookId",
                  dialect_revision, leased AS "leased!", existing AS "existing: EventId", same_content
           FROM tidings.accept($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
        &tenants as _,
        &ids as _,
        &types as _,
        &occurred as _,
        &data as _,
        &keys as _,
        now,
        hand_off.map(|to| to.holder.id().0),
        hand_off.map_or(&[][..], |to| &to.crowded) as _,
        traces as _,
    )
    .fetch_all(executor)
    .await?;

    let mut accepted = vec![Accepted::Stored { deliveries: 0 }; events.len()];
    let mut claimed = Vec::with_capacity(if hand_off.is_some() { rows.len() } else { 0 });
    for row in rows {
        let place = usize::try_from(row.place - 1).unwrap_or_default();
        let (Some(slot), Some(new)) = (accepted.get_mut(place), events.get(place)) else { continue };
        if let Some(existing) = row.existing {
            let same = row.same_content == Some(true);
            *slot = if same { Accepted::Duplicate(existing) } else { Accepted::Conflict(existing) };
            continue;
        }
        if let Accepted::Stored { deliveries } = slot {
            *deliveries += 1;
        }
        if let (true, Some(to), Some(delivery_id), Some(webhook_id), Some(revision)) =
            (row.leased, hand_off, row.delivery_id, row.webhook_id, row.dialect_revision)
        {
            claimed.push(Claimed {
                tenant_id: new.event.tenant_id,
                delivery_id,
                webhook_id,
                dialect: DialectRevision(revision),
                holder: to.holder.clone(),
                attempt: 1,
                attempts_before: 0,
                event: Arc::clone(&new.event),
                trace: new.trace,
                claimed_at: now,
            });
        }
    }
    Ok((accepted, claimed))
}
