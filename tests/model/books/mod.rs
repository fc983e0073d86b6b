//! The books: what the tables must hold after each step, kept without any of Tidings' code but for its nouns.

mod dispatching;
mod lines;
mod operators;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use tidings::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use tidings::domain::webhook::State;
use tidings::store::outbox::accept::Accepted;

pub use operators::Replay;

pub type Time = DateTime<Utc>;
/// When deliveries are due.
pub type Dues = BTreeMap<DeliveryId, Time>;
pub type Check = Result<(), String>;

/// How long an idempotency key is taken.
const KEYS: TimeDelta = TimeDelta::hours(24);
/// How long after its lease a dispatcher is forgotten.
pub const GRACE: TimeDelta = TimeDelta::seconds(5);

#[derive(Debug, Clone)]
pub struct Webhook {
    pub tenant: TenantId,
    pub id: WebhookId,
    pub pattern: &'static str,
    pub has_limit: bool,
    pub state: State,
    pub parked_until: Option<Time>,
    pub revision: i32,
    /// The revision under which it last came to be active.
    pub active_since: i32,
    pub is_deleted: bool,
}

impl Webhook {
    pub fn is_active(&self) -> bool {
        self.state == State::Active && !self.is_deleted
    }

    /// Whether an answer to a request of this revision still says something of it.
    pub fn heeds(&self, revision: i32) -> bool {
        self.is_active() && revision >= self.active_since
    }

    fn may_be_sent_to(&self, now: Time) -> bool {
        self.is_active() && self.parked_until.is_none_or(|until| until <= now)
    }
}

/// An event that is reported.
#[derive(Debug, Clone)]
pub struct New {
    pub tenant: TenantId,
    pub id: EventId,
    pub kind: &'static str,
    pub data: String,
    pub key: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Event {
    pub tenant: TenantId,
    pub data: String,
    pub erased_at: Option<Time>,
    /// Counts them, for people.
    pub place: usize,
}

#[derive(Debug, Clone)]
pub struct Key {
    event: EventId,
    /// `None` once the event's data was deleted.
    content: Option<(&'static str, String)>,
    at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Pending { due: Time, holder: Option<i32> },
    Delivered { at: Time },
    Dead { at: Time, reason: &'static str },
    Cancelled { at: Time, cause: &'static str },
}

#[derive(Debug, Clone)]
pub struct Delivery {
    pub webhook: WebhookId,
    pub attempts: u16,
    pub before: u16,
    /// Numbers of leases since its last attempt under which nothing was sent, where it died of one.
    pub unsent: u16,
    /// How often in a row its lease ended without a result.
    pub lapses: u16,
    pub fate: Fate,
}

/// What tells a lease from every other.
pub type Lease = (DeliveryId, u16, i32);

#[derive(Debug, Clone, Default)]
pub struct Books {
    pub webhooks: BTreeMap<WebhookId, Webhook>,
    pub events: BTreeMap<EventId, Event>,
    pub deliveries: BTreeMap<DeliveryId, Delivery>,
    pub keys: BTreeMap<(TenantId, String), Key>,
    /// Verdict and time.
    pub attempts: BTreeMap<(DeliveryId, u16), (&'static str, Time)>,
    pub leases: BTreeMap<i32, Time>,
    pub replay: Option<Replay>,
    /// Leases whose attempt was settled: none is settled twice.
    settled: HashSet<Lease>,
}

impl Books {
    /// Returns what became of each, and what `holder` has got.
    pub fn accept(
        &mut self,
        new: &[New],
        at: Time,
        holder: Option<i32>,
        crowded: &[WebhookId],
        all_or_nothing: bool,
    ) -> (Vec<Accepted>, BTreeSet<DeliveryId>) {
        let before = self.clone();
        let (mut accepted, mut leased) = (Vec::new(), BTreeSet::new());
        for one in new {
            accepted.push(match self.known(one, at) {
                Some(known) => known,
                None => Accepted::Stored { deliveries: self.owe(one, at, holder, crowded, &mut leased) },
            });
        }
        if all_or_nothing && accepted.iter().any(|one| matches!(one, Accepted::Conflict(_))) {
            *self = before;
            leased.clear();
        }
        (accepted, leased)
    }

    fn known(&mut self, one: &New, at: Time) -> Option<Accepted> {
        let content = Some((one.kind, one.data.clone()));
        let place = (one.tenant, one.key.clone()?);
        if let Some(known) = self.keys.get(&place).filter(|known| known.at > at - KEYS) {
            let is_same = known.content == content;
            return Some(if is_same { Accepted::Duplicate(known.event) } else { Accepted::Conflict(known.event) });
        }
        self.keys.insert(place, Key { event: one.id, content, at });
        None
    }

    fn owe(
        &mut self,
        one: &New,
        at: Time,
        holder: Option<i32>,
        crowded: &[WebhookId],
        leased: &mut BTreeSet<DeliveryId>,
    ) -> usize {
        let place = self.events.len() + 1;
        self.events.insert(one.id, Event { tenant: one.tenant, data: one.data.clone(), erased_at: None, place });
        let wants = |webhook: &&Webhook| {
            webhook.tenant == one.tenant && !webhook.is_deleted && ["*", one.kind].contains(&webhook.pattern)
        };
        let mut count = 0;
        for (webhook, ordinal) in self.webhooks.values().filter(wants).zip(1..) {
            let can_be_leased = webhook.may_be_sent_to(at) && !webhook.has_limit && !crowded.contains(&webhook.id);
            let holder = holder.filter(|_| can_be_leased);
            let (id, attempts) = (one.id.delivery(ordinal), u16::from(holder.is_some()));
            leased.extend(holder.map(|_| id));
            let fate = Fate::Pending { due: at, holder };
            self.deliveries
                .insert(id, Delivery { webhook: webhook.id, attempts, before: 0, unsent: 0, lapses: 0, fate });
            count += 1;
        }
        count
    }
}

impl Delivery {
    fn free(&mut self) {
        if let Fate::Pending { holder, .. } = &mut self.fate {
            *holder = None;
        }
    }

    /// When it came to its end.
    pub fn ended_at(&self) -> Option<Time> {
        match self.fate {
            Fate::Pending { .. } => None,
            Fate::Delivered { at } | Fate::Dead { at, .. } | Fate::Cancelled { at, .. } => Some(at),
        }
    }
}

/// Says what differs.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Check {
    if found == expected { Ok(()) } else { Err(format!("{what}: found {found:?}, expected {expected:?}")) }
}
