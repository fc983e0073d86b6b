//! Lanes: what this process holds leases on, webhook by webhook, and whose turn it is.
//!
//! Each webhook has a lane of its own and lanes take turns, so neither a receiver that hangs nor a long backlog delays
//! another's fresh event. Three limits apply to what a lane has under way: the webhook's own `max_in_flight`; a pace that
//! falls when the receiver does not answer and grows back with its successes; and an eighth of what the process has free, so
//! that however many receivers hang, there is always room for one more lane.
//!
//! The same goes for what waits in a lane, in bytes. Its share is an eighth of the memory that is free: a lane that holds as much is
//! *crowded*, so nothing is offered to it by hand-off or claimed for it; one that holds two shares gives back what comes anyway; and one
//! that holds four, because others came after it, gives back half of what it holds. What a lane does not take waits in the database.

mod cramped;
mod lane;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use cramped::Cramped;
use lane::{Lane, Load, part};
pub(super) use lane::{Pace, Pushed};

use crate::domain::ids::WebhookId;
use crate::domain::lease::Claimed;

/// A lane that left something in the database asks for more when this little waits.
const LOW: usize = 64;
/// Deliveries of a lane that are claimed at once at most.
const AHEAD: usize = 512;
/// What may wait in all lanes, in bytes. Lanes that hold less than [`LEAST_SHARE`] may fill as much again.
const MEMORY: usize = 64 * 1024 * 1024;
/// A lane may use this part of the free capacity, and of the free memory.
const SHARE: usize = 8;
/// What a lane's share does not fall below, in bytes.
const LEAST_SHARE: usize = 8 * 1024;

/// All lanes of a process.
#[derive(Debug)]
pub(super) struct Lanes {
    by_webhook: HashMap<WebhookId, Lane>,
    /// Lanes that may have something to start, in the order of their turns; each at most once.
    turns: VecDeque<WebhookId>,
    /// Lanes whose turn came while the process had no room for more of them.
    cramped: Cramped,
    crowded: HashSet<WebhookId>,
    capacity: usize,
    in_flight: usize,
    /// Of all lanes together.
    load: Load,
    /// Workers that were hired and have not left; at most `capacity`.
    workers: usize,
}

impl Lanes {
    /// No lanes yet; at most `capacity` requests under way.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            by_webhook: HashMap::new(),
            turns: VecDeque::new(),
            cramped: Cramped::default(),
            crowded: HashSet::new(),
            capacity,
            in_flight: 0,
            load: Load::default(),
            workers: 0,
        }
    }

    /// Queues a claimed delivery in its lane.
    pub(super) fn push(&mut self, claimed: Claimed) -> Pushed {
        let id = claimed.webhook_id;
        let (share, has_room) = (self.share(), self.has_room());
        let lane = self.by_webhook.entry(id).or_insert_with(Lane::new);
        if lane.weight >= share {
            lane.backlog = true;
            self.crowded.insert(id);
        }
        // Many come at once, and how many will only turns out when they are stored.
        if lane.weight >= share * 2 || !has_room {
            return Pushed::Refused(claimed);
        }
        let free = self.capacity - self.in_flight;
        if claimed.lapses > 0 && !lane.takes_lapsed(free) {
            return Pushed::Refused(claimed);
        }
        self.load.follow(lane, |lane| lane.push(claimed));
        let startable = lane.startable(free);
        let has_new_turn = !lane.has_turn && lane.in_flight < lane.limit;
        if has_new_turn {
            lane.has_turn = true;
            self.turns.push_back(id);
        }
        let is_first = has_new_turn && startable > 0;
        if is_first || lane.queue.len() <= startable { Pushed::Startable } else { Pushed::Waiting }
    }

    /// The bytes that a lane may fill now: the more all of them hold, the less.
    fn share(&self) -> usize {
        (MEMORY.saturating_sub(self.load.bytes) / SHARE).max(LEAST_SHARE)
    }

    /// Takes half of what waits out of each lane that holds far more than its share.
    pub(super) fn overflow(&mut self) -> Vec<Claimed> {
        let most = self.share() * 4;
        let mut over = Vec::new();
        for (id, lane) in self.by_webhook.iter_mut().filter(|(_, lane)| lane.weight > most) {
            over.extend(self.load.follow(lane, Lane::halve));
            lane.backlog = true;
            self.crowded.insert(*id);
        }
        over
    }

    /// Hires up to `wanted` workers and says how many; each must call [`Lanes::next`] until that returns `None`.
    pub(super) fn hire(&mut self, wanted: usize) -> usize {
        let hired = wanted.min(self.capacity - self.workers);
        self.workers += hired;
        hired
    }

    /// Hires workers for what a lane may start now that its pace has grown, less those already hired that have no delivery yet and are
    /// about to ask for one. Says how many.
    pub(super) fn hire_beside(&mut self, id: WebhookId) -> usize {
        let free = self.capacity - self.in_flight;
        let startable = self.by_webhook.get(&id).map_or(0, |lane| lane.startable(free));
        let asking = self.workers - self.in_flight;
        self.hire(startable.saturating_sub(asking))
    }

    /// Hires a worker where another turn waits and nobody is about to ask: those who were hired for it may have found that others'
    /// turns came first. Says how many.
    pub(super) fn hire_for_turns(&mut self) -> usize {
        let has_turn = !self.turns.is_empty() || self.cramped.fits(part(self.capacity - self.in_flight));
        self.hire(usize::from(self.workers == self.in_flight && has_turn))
    }

    /// The delivery whose turn it is. `None` means that nothing may be started now, and dismisses the worker that asked.
    pub(super) fn next(&mut self) -> Option<Claimed> {
        let (free, share) = (self.capacity - self.in_flight, self.share());
        while let Some(id) = self.turns.pop_front().or_else(|| self.cramped.take(part(free))) {
            let Some(lane) = self.by_webhook.get_mut(&id) else { continue };
            lane.has_turn = false;
            if !lane.may_start(free) {
                if lane.is_cramped(free) {
                    self.cramped.add(id, lane.in_flight);
                }
                continue;
            }
            let Some(claimed) = self.load.follow(lane, Lane::pop) else { continue };
            lane.in_flight += 1;
            self.in_flight += 1;
            if lane.weight < share / 2 {
                self.crowded.remove(&id);
            }
            if lane.may_start(free - 1) {
                lane.has_turn = true;
                self.turns.push_back(id);
            } else if lane.is_cramped(free - 1) {
                self.cramped.add(id, lane.in_flight);
            }
            return Some(claimed);
        }
        self.workers -= 1;
        None
    }

    /// Ends an attempt; whoever calls it goes on to call [`Lanes::next`]. `true` means that the lane is running low while more
    /// of it is in the database.
    pub(super) fn done(&mut self, id: WebhookId, pace: Pace) -> bool {
        self.in_flight -= 1;
        let Some(lane) = self.by_webhook.get_mut(&id) else { return false };
        lane.in_flight -= 1;
        self.load.follow(lane, |lane| lane.change_pace(pace));
        let low = lane.backlog && lane.queue.len() < LOW;
        if lane.is_forgettable() {
            self.by_webhook.remove(&id);
        } else if !lane.queue.is_empty() && !lane.has_turn {
            lane.has_turn = true;
            self.turns.push_back(id);
        }
        low
    }

    /// Learns a webhook's `max_in_flight` and says how many more of its deliveries may start now.
    pub(super) fn learn(&mut self, id: WebhookId, limit: usize) -> usize {
        let Some(lane) = self.by_webhook.get_mut(&id) else { return 0 };
        if lane.limit == limit {
            return 0;
        }
        lane.limit = limit;
        if !lane.queue.is_empty() && !lane.has_turn {
            lane.has_turn = true;
            self.turns.push_back(id);
        }
        limit.saturating_sub(lane.in_flight).min(lane.queue.len())
    }

    /// Says whether the database has more of this lane than was just claimed.
    pub(super) fn note_backlog(&mut self, id: WebhookId, backlog: bool) {
        if let Some(lane) = self.by_webhook.get_mut(&id) {
            lane.backlog = backlog;
            if lane.is_forgettable() {
                self.by_webhook.remove(&id);
            }
        }
    }

    /// How many more deliveries a lane takes by claim. What is late is claimed even beside what was handed over: otherwise what is fresh
    /// would go first for as long as a receiver is sent more than it takes.
    pub(super) fn room(&self, id: WebhookId, is_late: bool) -> usize {
        if !self.has_room() {
            return 0;
        }
        self.by_webhook.get(&id).map_or(LOW, |lane| {
            let wanted = lane.wanted(is_late, self.capacity - self.in_flight);
            wanted.min(lane.fits(self.share()))
        })
    }

    /// Whether anything more may wait.
    pub(super) const fn has_room(&self) -> bool {
        self.load.bytes < MEMORY * 2
    }

    /// Takes everything that waits out of a lane.
    pub(super) fn withdraw(&mut self, id: WebhookId) -> Vec<Claimed> {
        let Some(lane) = self.by_webhook.get_mut(&id) else { return Vec::new() };
        self.crowded.remove(&id);
        self.load.follow(lane, Lane::empty).into()
    }

    /// Takes what waits and matches out of all lanes.
    pub(super) fn withdraw_those(&mut self, is_such: impl Fn(&Claimed) -> bool) -> Vec<Claimed> {
        let mut withdrawn = Vec::new();
        for (id, lane) in &mut self.by_webhook {
            let taken = self.load.follow(lane, |lane| lane.take_those(&is_such));
            if !taken.is_empty() {
                self.crowded.remove(id);
                withdrawn.extend(taken);
            }
        }
        withdrawn
    }

    /// The lanes that take nothing more by hand-off.
    pub(super) fn crowded(&self) -> Vec<WebhookId> {
        self.crowded.iter().copied().collect()
    }

    /// Assumes that no lane has more in the database until more is found again, and forgets lanes that are not needed any more. `now` is
    /// how long the clock has been running.
    pub(super) fn forget_backlogs(&mut self, now: Duration) {
        self.by_webhook.retain(|_, lane| {
            lane.backlog = false;
            !lane.is_forgettable() && !lane.is_outdated(now)
        });
    }

    /// Strikes off a worker that will not call [`Lanes::next`] any more.
    pub(super) const fn dismiss(&mut self) {
        self.workers -= 1;
    }

    /// Deliveries that wait in all lanes.
    pub(super) const fn queued(&self) -> usize {
        self.load.deliveries
    }

    /// Those of them in lanes at full pace: not in the lane of a receiver that did not answer in time, or asked for quiet, and has not
    /// taken enough since.
    pub(super) const fn moving(&self) -> usize {
        self.load.moving
    }

    /// Whether nothing waits or is under way.
    pub(super) const fn is_idle(&self) -> bool {
        self.load.deliveries == 0 && self.in_flight == 0
    }

    /// Attempts under way.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod liveness;
#[cfg(test)]
mod room;
#[cfg(test)]
mod tests;
