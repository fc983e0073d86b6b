//! Accept: events and the deliveries that they owe, in one statement however many they are.

mod statements;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::routes::Plan;
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
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

/// What a statement is asked to store, side by side.
#[derive(Default)]
struct Owed {
    /// Of the events in their batch, from 1.
    places: Vec<i32>,
    deliveries: Vec<DeliveryId>,
    webhooks: Vec<WebhookId>,
    revisions: Vec<i32>,
    leases: Vec<bool>,
}

impl Owed {
    fn new(events: &[NewEvent], plan: &Plan, now: DateTime<Utc>, hand_off: Option<&HandOff>) -> Self {
        let crowded: HashSet<_> = hand_off.iter().flat_map(|to| &to.crowded).collect();
        let mut owed = Self::default();
        for ((place, new), routes) in (1..).zip(events).zip(&plan.routes) {
            for (ordinal, route) in (1..).zip(&**routes) {
                owed.places.push(place);
                owed.deliveries.push(new.event.id.delivery(ordinal));
                owed.webhooks.push(route.webhook_id);
                owed.revisions.push(route.dialect.0);
                owed.leases.push(hand_off.is_some() && route.takes(now) && !crowded.contains(&route.webhook_id));
            }
        }
        owed
    }

    /// What came of it, but for events that were known by their keys.
    fn done(
        &self,
        events: &[NewEvent],
        plan: &Plan,
        known: &HashMap<i32, Accepted>,
        now: DateTime<Utc>,
        hand_off: Option<&HandOff>,
    ) -> Done {
        let stored = plan.routes.iter().map(|routes| Accepted::Stored { deliveries: routes.len() });
        let accepted = (1..).zip(stored).map(|(place, stored)| known.get(&place).copied().unwrap_or(stored)).collect();
        let mut claimed = Vec::with_capacity(if hand_off.is_some() { self.places.len() } else { 0 });
        let Some(to) = hand_off else { return (accepted, claimed) };
        for (index, place) in self.places.iter().enumerate() {
            let event = usize::try_from(place - 1).ok().and_then(|place| events.get(place));
            let Some(new) = event.filter(|_| self.leases[index] && !known.contains_key(place)) else { continue };
            claimed.push(Claimed {
                tenant_id: new.event.tenant_id,
                delivery_id: self.deliveries[index],
                webhook_id: self.webhooks[index],
                dialect: DialectRevision(self.revisions[index]),
                holder: to.holder.clone(),
                attempt: 1,
                attempts_before: 0,
                lapses: 0,
                event: Arc::clone(&new.event),
                trace: new.trace,
                claimed_at: now,
            });
        }
        (accepted, claimed)
    }
}

/// What became of each event, and what was leased.
type Done = (Vec<Accepted>, Vec<Claimed>);

impl Store {
    /// Stores events and their deliveries, atomically. What was leased to the dispatcher of `hand_off` comes back as claimed.
    pub async fn accept(
        &self,
        events: &[NewEvent],
        now: DateTime<Utc>,
        hand_off: Option<&HandOff>,
    ) -> Result<Done, StoreError> {
        let mut plan = self.plan(events).await?;
        loop {
            let mut session = self.hot.acquire().await?;
            if session.era() == Some(plan.era)
                && let Some(done) = store(&mut session, events, &plan, now, hand_off).await?
            {
                return Ok(done);
            }
            drop(session);
            plan = self.renewed_plan(events).await?;
        }
    }

    /// Which of a tenant's events, by their index, repeat one that was accepted: the same key, within its time, and the same content.
    pub async fn repetitions(
        &self,
        tenant_id: TenantId,
        events: &[NewEvent],
        now: DateTime<Utc>,
    ) -> Result<HashSet<usize>, StoreError> {
        let keyed = || {
            events.iter().zip(0_i32..).filter_map(|(new, index)| Some((new, index, new.idempotency_key.as_deref()?)))
        };
        let keys: Vec<_> = keyed().map(|(.., key)| key).collect();
        let indices: Vec<_> = keyed().map(|(_, index, _)| index).collect();
        let types: Vec<_> = keyed().map(|(new, ..)| new.event.event_type.as_str()).collect();
        let occurred: Vec<_> = keyed().map(|(new, ..)| new.event.occurred_at).collect();
        let data: Vec<&[u8]> = keyed().map(|(new, ..)| &*new.event.data).collect();
        let repeated = sqlx::query_scalar!(
            r#"SELECT e.index AS "index!"
               FROM (SELECT unnest($2::text[]) AS key, unnest($3::integer[]) AS index, unnest($4::text[]) AS type,
                            unnest($5::timestamptz[]) AS occurred_at, unnest($6::bytea[]) AS data) AS e
               CROSS JOIN LATERAL (
                   SELECT k.digest FROM tidings.idempotency_keys AS k
                   WHERE k.tenant_id = $1 AND k.key = e.key AND k.created_at > $7::timestamptz - interval '24 hours' OFFSET 0
               ) AS known
               WHERE known.digest = tidings.content_digest(e.type, e.occurred_at, e.data)"#,
            tenant_id as TenantId,
            &keys as _,
            &indices,
            &types as _,
            &occurred as _,
            &data as _,
            now,
        )
        .fetch_all(&self.hot)
        .await?;
        Ok(repeated.into_iter().filter_map(|index| usize::try_from(index).ok()).collect())
    }

    /// As [`Store::accept`], but where one idempotency key conflicts, nothing at all is stored.
    pub async fn accept_all_or_nothing(
        &self,
        events: &[NewEvent],
        now: DateTime<Utc>,
        hand_off: Option<&HandOff>,
    ) -> Result<Done, StoreError> {
        if events.iter().all(|new| new.idempotency_key.is_none()) {
            // Nothing can conflict, and the statement is a transaction of its own.
            return self.accept(events, now, hand_off).await;
        }
        let mut plan = self.plan(events).await?;
        loop {
            let session = self.hot.acquire().await?;
            let is_good = session.era() == Some(plan.era);
            let mut transaction = session.begin().await?;
            let done = if is_good { store(&mut *transaction, events, &plan, now, hand_off).await? } else { None };
            let Some((accepted, claimed)) = done else {
                transaction.rollback().await?;
                plan = self.renewed_plan(events).await?;
                continue;
            };
            if accepted.iter().any(|one| matches!(one, Accepted::Conflict(_))) {
                transaction.rollback().await?;
                return Ok((accepted, Vec::new()));
            }
            failpoint!("accept.stored");
            transaction.commit().await?;
            return Ok((accepted, claimed));
        }
    }
}

/// `None`, and nothing is stored, where who is owed the events has changed since the plan was made.
async fn store(
    executor: impl PgExecutor<'_>,
    events: &[NewEvent],
    plan: &Plan,
    now: DateTime<Utc>,
    hand_off: Option<&HandOff>,
) -> Result<Option<Done>, StoreError> {
    let owed = Owed::new(events, plan, now, hand_off);
    let holder = hand_off.map(|to| to.holder.id());
    let known = statements::store(executor, events, &owed, now, holder, plan.seen.as_ref()).await?;
    Ok(known.map(|known| owed.done(events, plan, &known, now, hand_off)))
}
