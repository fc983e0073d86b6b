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

/// What `tidings.accept_batch` says, side by side: for each delivery made and each key used before, one element in every column.
struct Columns {
    places: Vec<i32>,
    deliveries: Vec<Option<DeliveryId>>,
    webhooks: Vec<Option<WebhookId>>,
    revisions: Vec<Option<i32>>,
    leased: Vec<bool>,
    existing: Vec<Option<EventId>>,
    same_content: Vec<Option<bool>>,
}

/// One of them.
struct Row {
    /// Of the event in its batch, from 1.
    place: i32,
    delivery_id: Option<DeliveryId>,
    webhook_id: Option<WebhookId>,
    dialect_revision: Option<i32>,
    leased: bool,
    existing: Option<EventId>,
    same_content: Option<bool>,
}

impl Columns {
    fn rows(&self) -> impl Iterator<Item = Row> {
        (0..self.places.len()).map(|index| Row {
            place: self.places[index],
            delivery_id: self.deliveries[index],
            webhook_id: self.webhooks[index],
            dialect_revision: self.revisions[index],
            leased: self.leased[index],
            existing: self.existing[index],
            same_content: self.same_content[index],
        })
    }
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
    // One row of arrays: a row for each delivery costs more to bring here than to make.
    let columns = sqlx::query_as!(
        Columns,
        r#"SELECT coalesce(array_agg(place), '{}') AS "places!",
                  coalesce(array_agg(delivery_id), '{}') AS "deliveries!: Vec<Option<DeliveryId>>",
                  coalesce(array_agg(webhook_id), '{}') AS "webhooks!: Vec<Option<WebhookId>>",
                  coalesce(array_agg(dialect_revision), '{}') AS "revisions!: Vec<Option<i32>>",
                  coalesce(array_agg(leased), '{}') AS "leased!",
                  coalesce(array_agg(existing), '{}') AS "existing!: Vec<Option<EventId>>",
                  coalesce(array_agg(same_content), '{}') AS "same_content!: Vec<Option<bool>>"
           FROM tidings.accept_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"#,
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
    .fetch_one(executor)
    .await?;

    let mut accepted = vec![Accepted::Stored { deliveries: 0 }; events.len()];
    let mut claimed = Vec::with_capacity(if hand_off.is_some() { columns.places.len() } else { 0 });
    for row in columns.rows() {
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
