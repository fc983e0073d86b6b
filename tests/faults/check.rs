//! What must hold after every cycle, whatever was broken in it: SAFETY's invariants, from the database and from the receivers.

use std::collections::{BTreeMap, HashMap};
use std::ops::AddAssign;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tidings::domain::lease::VIEW_VALIDITY;
use tokio::time::Instant;
use uuid::Uuid;

use super::fleet::LEASE;
use super::ledger::{Fate, Item, Ledger, Window};
use super::receivers::{Arrival, Receivers, Temper};
use super::records::{AttemptRow, DeliveryRow, EventRow, Records, event_name, event_of};

/// From an answer to its place in the database, on a machine that has other things to do.
const LAG: Duration = Duration::from_secs(1);
/// What an orphan may wait for beyond the lease.
const BEYOND_LEASE: Duration = Duration::from_secs(5);

/// A webhook of the suite.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub tenant: usize,
    pub id: String,
    pub uuid: Uuid,
    pub receiver: usize,
    pub max_attempts: i16,
}

/// What the check has to know of a cycle.
pub struct Cycle<'a> {
    pub webhooks: &'a [Webhook],
    pub receivers: &'a Receivers,
    pub windows: &'a [Window],
    /// When nobody could see the database.
    pub blind: Option<Window>,
    /// How many times longer everything may take, because the machine has other things to do.
    pub strain: u32,
    /// The database's clock and ours, at once.
    pub clocks: (DateTime<Utc>, Instant),
    /// Deliveries that were resent, by webhook.
    pub resent: HashMap<(String, Uuid), usize>,
    /// Whether a replay resent deliveries of a webhook: any of them once.
    pub replayed: Option<(Uuid, u64)>,
}

/// What was found.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub events: usize,
    pub requests: usize,
    /// Requests whose result was never recorded.
    pub unrecorded: usize,
    /// Requests that came after one that their receiver had answered with success.
    pub duplicates: usize,
    pub dead: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        let Self { events, requests, unrecorded, duplicates, dead } = more;
        self.events += events;
        self.requests += requests;
        self.unrecorded += unrecorded;
        self.duplicates += duplicates;
        self.dead += dead;
    }
}

impl Cycle<'_> {
    /// Complains of everything that does not hold.
    pub fn check(&self, records: &Records, ledger: &Ledger) -> Tally {
        let mut tally = Tally { events: records.events.len(), ..Tally::default() };
        check_events(&records.events, ledger);
        self.check_blind(ledger);
        let mut arrived: HashMap<(String, usize), Vec<Arrival>> = HashMap::new();
        for arrival in self.receivers.arrivals() {
            arrived.entry((arrival.event.clone(), arrival.receiver)).or_default().push(arrival);
        }
        let mut owed: BTreeMap<(Uuid, Uuid), Vec<&DeliveryRow>> = BTreeMap::new();
        for row in &records.deliveries {
            owed.entry((event_of(row.id), row.webhook_id)).or_default().push(row);
        }
        let mut again = 0;
        for event in &records.events {
            for webhook in self.webhooks.iter().filter(|webhook| tenant_of(event) == Some(webhook.tenant)) {
                let own = owed.remove(&(event.id, webhook.uuid)).unwrap_or_default();
                let arrivals = arrived.remove(&(event_name(event.id), webhook.receiver)).unwrap_or_default();
                again += own.len().saturating_sub(1) as u64;
                tally += self.check_pair(event, webhook, &own, &arrivals, records, ledger);
            }
        }
        if let Some((event, webhook)) = owed.keys().next() {
            ledger.complain(format!("{} has a delivery that nobody is owed, to {webhook}", event_name(*event)));
        }
        if let Some((event, receiver)) = arrived.keys().next() {
            ledger.complain(format!("receiver {receiver} got {event}, which is not in the database or not owed to it"));
        }
        if let Some((_, resent)) = self.replayed.filter(|(_, resent)| *resent != again) {
            ledger.complain(format!("the replay says that it resent {resent}, and there are {again} more deliveries"));
        }
        tally
    }

    /// Whoever does not see the database sends nothing: neither what a webhook has become is known, nor can a result be recorded.
    fn check_blind(&self, ledger: &Ledger) {
        let Some(Window { from, to }) = self.blind else { return };
        let since = from + VIEW_VALIDITY + LAG / 2 * self.strain;
        let late = self.receivers.arrivals().into_iter().filter(|one| since < one.at && one.at < to);
        if let Some(one) = late.max_by_key(|one| one.at) {
            ledger.complain(format!(
                "{:?} after the database was lost to sight, {} was sent",
                one.at - from,
                one.event
            ));
        }
    }

    /// An event and a webhook that it is owed to.
    fn check_pair(
        &self,
        event: &EventRow,
        webhook: &Webhook,
        own: &[&DeliveryRow],
        arrivals: &[Arrival],
        records: &Records,
        ledger: &Ledger,
    ) -> Tally {
        let name = event_name(event.id);
        let temper = self.receivers.temper(webhook.receiver);
        let place = format!("{name} for receiver {} ({temper:?})", webhook.receiver);
        self.check_deliveries(&place, &name, webhook, own, ledger);
        for row in own {
            check_history(&place, row, records.attempts_of(row), ledger);
        }
        check_bodies(&place, event, arrivals, ledger);
        let recorded: Vec<&AttemptRow> = own.iter().flat_map(|row| records.attempts_of(row)).collect();
        let tally = self.check_arrivals(&place, own.len(), arrivals, &recorded, ledger);
        Tally { dead: own.iter().filter(|row| row.state == "dead").count(), ..tally }
    }

    /// Each delivery there is to be, in a state it may end in.
    fn check_deliveries(&self, place: &str, event: &str, webhook: &Webhook, own: &[&DeliveryRow], ledger: &Ledger) {
        let resent = self.resent.get(&(event.to_owned(), webhook.uuid)).copied().unwrap_or_default();
        let may_be_more = usize::from(self.replayed.is_some_and(|(of, _)| of == webhook.uuid));
        if own.len() < 1 + resent || own.len() > 1 + resent + may_be_more {
            ledger
                .complain(format!("LOST or made twice: {} deliveries of {place}, {resent} resent: {own:?}", own.len()));
        }
        let fits = |row: &DeliveryRow| match self.receivers.temper(webhook.receiver) {
            Temper::Hostile => row.state == "dead" && row.reason.as_deref() == Some("attempts_exhausted"),
            _ => row.state == "delivered",
        };
        if let Some(row) = own.iter().find(|row| !fits(row)) {
            ledger.complain(format!("{place} ended as {row:?}"));
        }
        // Where a process died of it, nobody knows of an attempt, and none is counted.
        if let Some(row) = own.iter().find(|row| row.attempts > webhook.max_attempts) {
            ledger.complain(format!("{place} has more attempts than its schedule: {row:?}"));
        }
    }

    fn check_arrivals(
        &self,
        place: &str,
        deliveries: usize,
        arrivals: &[Arrival],
        recorded: &[&AttemptRow],
        ledger: &Ledger,
    ) -> Tally {
        let mut left: Vec<&Arrival> = arrivals.iter().collect();
        for row in recorded.iter().filter(|row| row.status.is_some()) {
            let began = self.moment(row.started_at);
            let nearest = (0..left.len()).min_by_key(|place| distance(left[*place].at, began));
            match nearest {
                Some(nearest) => drop(left.remove(nearest)),
                None => ledger.complain(format!("{place} has an attempt that never arrived: {row:?}")),
            }
        }
        for one in &left {
            let over = one.answered.map_or(one.at + LAG, |(at, _)| at) + LAG * self.strain;
            let Some(window) = self.windows.iter().find(|window| one.at <= window.to && over >= window.from) else {
                ledger.complain(format!(
                    "{place}: the result of a request was not recorded, though nothing was broken then: {one:?}"
                ));
                continue;
            };
            let next = arrivals.iter().map(|other| other.at).filter(|at| *at > one.at).min();
            let limit = self.sent_again_by(*window);
            if next.is_some_and(|next| next > limit) {
                ledger.complain(format!(
                    "{place} was sent again {:?} after its process was lost",
                    next.map(|next| next - window.from)
                ));
            }
        }
        let taken = arrivals.iter().filter(|one| one.answered.is_some_and(|(_, status)| status < 300)).count();
        let duplicates = taken.saturating_sub(deliveries);
        if duplicates > left.len() {
            ledger.complain(format!("{place} was taken {taken} times, and {} results are missing", left.len()));
        }
        Tally { requests: arrivals.len(), unrecorded: left.len(), duplicates, ..Tally::default() }
    }

    /// When what was under way as something broke is sent again at the latest. Whoever has it then may be lost in its turn, before it
    /// sends anything.
    fn sent_again_by(&self, broken: Window) -> Instant {
        let after = |one: Window| one.to.max(one.from + Duration::from_secs(LEASE)) + BEYOND_LEASE * self.strain;
        let mut later: Vec<_> = self.windows.iter().filter(|other| other.from > broken.from).copied().collect();
        later.sort_by_key(|other| other.from);
        later.into_iter().fold(after(broken), |by, other| if other.from <= by { by.max(after(other)) } else { by })
    }

    fn moment(&self, at: DateTime<Utc>) -> Instant {
        moment(self.clocks, at)
    }
}

/// What was acknowledged is there, once and under its id; what was rolled back is not.
fn check_events(events: &[EventRow], ledger: &Ledger) {
    let mut stored: HashMap<&str, Vec<&EventRow>> = HashMap::new();
    for event in events {
        stored.entry(&event.data).or_default().push(event);
    }
    for Item { tenant, data, fate } in &ledger.items() {
        let own = stored.remove(data.as_str()).unwrap_or_default();
        let names: Vec<_> = own.iter().map(|event| event_name(event.id)).collect();
        match fate {
            Fate::Acknowledged { id, .. } if names != [id.as_str()] => {
                ledger.complain(format!("LOST: {id} was acknowledged, and {names:?} is stored of {data}"));
            }
            Fate::RolledBack if !own.is_empty() => {
                ledger.complain(format!("{names:?} was rolled back, and is there: {data}"));
            }
            Fate::Unknown if own.len() > 1 => {
                ledger.complain(format!("reported once, stored as {names:?}: {data}"));
            }
            _ => {}
        }
        if own.iter().any(|event| tenant_of(event) != Some(*tenant)) {
            ledger.complain(format!("{names:?} belongs to another tenant than {tenant}"));
        }
    }
    if let Some(data) = stored.keys().next() {
        ledger.complain(format!("an event that nobody reported, or whose report never ended: {data}"));
    }
}

/// The same bytes in every attempt, and the producer's own among them.
fn check_bodies(place: &str, event: &EventRow, arrivals: &[Arrival], ledger: &Ledger) {
    let Some(first) = arrivals.first() else { return };
    if arrivals.iter().any(|one| one.digest != first.digest) {
        ledger.complain(format!("{place} arrived with different bodies"));
    }
    let data = event.data.as_bytes();
    if !first.body.windows(data.len()).any(|part| part == data) {
        ledger.complain(format!("{place} arrived without its data"));
    }
}

fn tenant_of(event: &EventRow) -> Option<usize> {
    TENANTS.lock().unwrap().get(&event.tenant).copied()
}

/// The database's time by our watch.
pub fn moment(clocks: (DateTime<Utc>, Instant), at: DateTime<Utc>) -> Instant {
    let since = at - clocks.0;
    match since.to_std() {
        Ok(since) => clocks.1 + since,
        Err(_) => clocks.1.checked_sub((-since).to_std().unwrap_or_default()).unwrap_or(clocks.1),
    }
}

fn distance(left: Instant, right: Instant) -> Duration {
    left.max(right) - left.min(right)
}

/// A delivered one was delivered once, as its last attempt; a dead one never.
fn check_history(place: &str, row: &DeliveryRow, attempts: &[AttemptRow], ledger: &Ledger) {
    let delivered: Vec<_> = attempts.iter().filter(|one| one.verdict == "delivered").collect();
    let last = attempts.iter().map(|one| one.number).max();
    let fits = match row.state.as_str() {
        "delivered" => delivered.len() == 1 && delivered[0].number == last.unwrap_or_default(),
        "dead" => delivered.is_empty(),
        _ => true,
    };
    if !fits {
        ledger.complain(format!("{place}: {row:?} does not fit its attempts {attempts:?}"));
    }
}

/// Tenants by their uuids.
pub static TENANTS: std::sync::LazyLock<std::sync::Mutex<HashMap<Uuid, usize>>> =
    std::sync::LazyLock::new(Default::default);
