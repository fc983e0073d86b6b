//! Accept: events and the deliveries that they owe, in one statement however many they are.

mod statements;

use std::collections::HashSet;
use std::slice;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::routes::Plan;
use crate::domain::event::{Event, KEY_LASTS};
use crate::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use crate::domain::lease::{Claimed, DialectRevision, Holder};
use crate::domain::trace::TraceParent;
use crate::failpoint::failpoint;
use crate::store::connections::Session;
use crate::store::{MOST_OWED, Store, StoreError};

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
#[derive(Clone)]
pub struct HandOff {
    /// The dispatcher that gets the leases, under this number.
    pub holder: Holder,
    /// Webhooks with enough waiting; their deliveries are left for the next claim.
    pub crowded: Vec<WebhookId>,
    /// Who is told beforehand where they go, if anybody.
    pub expectant: Option<Arc<dyn Expectant>>,
}

/// Who prepares for deliveries while these are being stored.
pub trait Expectant: Send + Sync {
    /// Deliveries to these webhooks are about to be leased, unless they cannot be stored. A webhook may be named several times.
    fn foresee(self: Arc<Self>, webhooks: &mut dyn Iterator<Item = (TenantId, WebhookId)>);
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

    /// The webhooks of what is to be leased. Where several events in a row are owed to the same ones, these are named once.
    fn leased<'a>(
        &'a self,
        events: &'a [NewEvent],
        plan: &'a Plan,
    ) -> impl Iterator<Item = (TenantId, WebhookId)> + use<'a> {
        let deliveries = self.places.iter().zip(&self.webhooks).zip(&self.leases);
        deliveries.filter(|(_, leased)| **leased).filter_map(|((&place, &webhook_id), _)| {
            let event = usize::try_from(place - 1).ok()?;
            let is_repeated = event > 0 && Arc::ptr_eq(&plan.routes[event], &plan.routes[event - 1]);
            (!is_repeated).then(|| (events[event].event.tenant_id, webhook_id))
        })
    }

    /// What is leased of it, of events that are stored.
    fn claimed(
        &self,
        events: &[NewEvent],
        fresh: &Fresh,
        now: DateTime<Utc>,
        hand_off: Option<&HandOff>,
    ) -> Vec<Claimed> {
        let Some(to) = hand_off else { return Vec::new() };
        let mut claimed = Vec::with_capacity(self.places.len());
        for (index, place) in self.places.iter().enumerate() {
            let event = usize::try_from(place - 1).ok().and_then(|place| events.get(place));
            let Some(new) = event.filter(|new| self.leases[index] && fresh.has(new)) else { continue };
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
        claimed
    }
}

/// The events with an idempotency key that were stored.
struct Fresh(HashSet<EventId>);

impl Fresh {
    /// Whether this one of the statement's events was stored.
    fn has(&self, new: &NewEvent) -> bool {
        new.idempotency_key.is_none() || self.0.contains(&new.event.id)
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
                && let Some((accepted, mut claimed)) = store(&mut session, events, &plan, now, hand_off).await?
            {
                drop(session);
                let mut done = Vec::with_capacity(events.len());
                for (accepted, new) in accepted.into_iter().zip(events) {
                    if let Some(accepted) = accepted {
                        done.push(accepted);
                    } else {
                        let again = Box::pin(self.accept(slice::from_ref(new), now, hand_off)).await;
                        let (again, leased) = again.map_err(unsure)?;
                        done.extend(again);
                        claimed.extend(leased);
                    }
                }
                return Ok((done, claimed));
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
        let digests: Vec<_> = keyed().map(|(new, ..)| new.event.content_digest()).collect();
        let repeated = sqlx::query_scalar!(
            r#"SELECT e.index AS "index!"
               FROM (SELECT unnest($2::text[]) AS key, unnest($3::integer[]) AS index, unnest($4::bytea[]) AS digest) AS e
               CROSS JOIN LATERAL (
                   SELECT k.digest FROM tidings.idempotency_keys AS k
                   WHERE k.tenant_id = $1 AND k.key = e.key AND k.created_at > $5 OFFSET 0
               ) AS known
               WHERE known.digest = e.digest"#,
            tenant_id as TenantId,
            &keys as _,
            &indices,
            &digests as _,
            now - KEY_LASTS,
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
            let stored = if is_good { store(&mut transaction, events, &plan, now, hand_off).await? } else { None };
            let stored = stored
                .and_then(|(accepted, claimed)| Some((accepted.into_iter().collect::<Option<Vec<_>>>()?, claimed)));
            let Some((accepted, claimed)) = stored else {
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

/// The statement before is through, and the deliveries of its events may be leased.
fn unsure(later: StoreError) -> StoreError {
    StoreError::Unsure(Box::new(later))
}

/// `None`, and nothing is stored, where who is owed the events has changed since the plan was made, or may have and has to be known. Of an
/// event, `None` where its key was another's, whose time was over a moment later: it is to be stored once more.
async fn store(
    session: &mut Session,
    events: &[NewEvent],
    plan: &Plan,
    now: DateTime<Utc>,
    hand_off: Option<&HandOff>,
) -> Result<Option<(Vec<Option<Accepted>>, Vec<Claimed>)>, StoreError> {
    let deliveries = plan.routes.iter().map(|routes| routes.len()).sum();
    if deliveries > MOST_OWED && events.len() > 1 {
        // What is remembered may be out of date.
        return if plan.seen.is_some() { Ok(None) } else { Err(StoreError::OwesTooMuch { deliveries }) };
    }
    let owed = Owed::new(events, plan, now, hand_off);
    if let Some(expectant) = hand_off.and_then(|to| to.expectant.clone()) {
        expectant.foresee(&mut owed.leased(events, plan));
    }
    let holder = hand_off.map(|to| to.holder.id());
    let stored = statements::store(&mut *session, events, &owed, now, holder, plan.seen.as_ref()).await?;
    let Some(fresh) = stored.map(Fresh) else { return Ok(None) };
    let mut accepted: Vec<_> =
        plan.routes.iter().map(|routes| Some(Accepted::Stored { deliveries: routes.len() })).collect();
    let repeated: Vec<_> = events.iter().enumerate().filter(|(_, new)| !fresh.has(new)).collect();
    if !repeated.is_empty() {
        let owners = statements::owners(session, repeated.iter().map(|&(_, new)| new)).await.map_err(unsure)?;
        for ((index, _), owner) in repeated.into_iter().zip(owners) {
            accepted[index] = owner;
        }
    }
    let claimed = owed.claimed(events, &fresh, now, hand_off);
    Ok(Some((accepted, claimed)))
}
