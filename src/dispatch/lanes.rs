//! Lanes: what this process holds leases on, webhook by webhook, and whose turn it is.
//!
//! Each webhook has a lane of its own and lanes take turns, so neither a receiver that hangs nor a long backlog delays
//! another's fresh event. Three limits apply to a lane: the webhook's own `max_in_flight`; a pace that falls when the
//! receiver does not answer and grows back with its successes; and an eighth of what the process has free, so that
//! however many receivers hang, there is always room for one more lane.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::domain::ids::WebhookId;
use crate::domain::lease::Claimed;

/// A lane with this much waiting takes nothing more by hand-off.
const CROWDED: usize = 2_048;
/// A lane that left something in the database asks for more when this little waits.
const LOW: usize = 64;
/// Deliveries that wait in all lanes, and bytes of their data; what is accepted beyond that is left in the database.
const MOST_QUEUED: usize = 16 * 1024;
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// A lane may use this part of the free capacity.
const SHARE: usize = 8;

/// How the pace of a lane changes after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// The receiver took it.
    Faster,
    /// It answered, but not well.
    Same,
    /// It did not answer in time.
    Slower,
    /// It asked for quiet: begin anew with one request at a time.
    Restart,
}

/// All lanes of a process.
#[derive(Debug)]
pub(super) struct Lanes {
    by_webhook: HashMap<WebhookId, Lane>,
    /// Lanes that may have something to start, in the order of their turns; each at most once.
    turns: VecDeque<WebhookId>,
    crowded: HashSet<WebhookId>,
    capacity: usize,
    in_flight: usize,
    queued: usize,
    bytes: usize,
    /// Workers that were hired and have not left; at most `capacity`.
    workers: usize,
}

#[derive(Debug)]
struct Lane {
    queue: VecDeque<Claimed>,
    in_flight: usize,
    /// The webhook's `max_in_flight`; 1 until it is known.
    limit: usize,
    pace: usize,
    has_turn: bool,
    /// More of it is in the database.
    backlog: bool,
}

impl Lane {
    const fn new() -> Self {
        Self { queue: VecDeque::new(), in_flight: 0, limit: 1, pace: usize::MAX, has_turn: false, backlog: false }
    }

    fn startable(&self, free: usize) -> usize {
        let most = self.limit.min(self.pace).min((free / SHARE).max(1));
        most.saturating_sub(self.in_flight).min(self.queue.len())
    }

    fn may_start(&self, free: usize) -> bool {
        self.startable(free) > 0
    }

    fn change_pace(&mut self, pace: Pace) {
        match pace {
            Pace::Same => {}
            // One more for each success doubles the pace in the time of one answer.
            Pace::Faster if self.pace >= self.limit => self.pace = usize::MAX,
            Pace::Faster => self.pace += 1,
            Pace::Slower => self.pace = (self.pace.min(self.limit) / 2).max(self.limit / 4).max(1),
            Pace::Restart => self.pace = 1,
        }
    }

    fn is_forgettable(&self) -> bool {
        self.queue.is_empty() && self.in_flight == 0 && self.pace == usize::MAX && !self.backlog
    }
}

impl Lanes {
    /// No lanes yet; at most `capacity` requests under way.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            by_webhook: HashMap::new(),
            turns: VecDeque::new(),
            crowded: HashSet::new(),
            capacity,
            in_flight: 0,
            queued: 0,
            bytes: 0,
            workers: 0,
        }
    }

    /// Queues a claimed delivery in its lane.
    pub(super) fn push(&mut self, claimed: Claimed) {
        let id = claimed.webhook_id;
        self.bytes += claimed.event.data.len();
        let lane = self.by_webhook.entry(id).or_insert_with(Lane::new);
        lane.queue.push_back(claimed);
        self.queued += 1;
        if lane.queue.len() >= CROWDED {
            lane.backlog = true;
            self.crowded.insert(id);
        }
        if !lane.has_turn && lane.in_flight < lane.limit {
            lane.has_turn = true;
            self.turns.push_back(id);
        }
    }

    /// Hires up to `wanted` workers and says how many; each must call [`Lanes::next`] until that returns `None`.
    pub(super) fn hire(&mut self, wanted: usize) -> usize {
        let hired = wanted.min(self.capacity - self.workers);
        self.workers += hired;
        hired
    }

    /// Hires workers for what a lane may start beside the one that the caller will: its pace may have grown. Says how many.
    pub(super) fn hire_beside(&mut self, id: WebhookId) -> usize {
        let free = self.capacity - self.in_flight;
        let startable = self.by_webhook.get(&id).map_or(0, |lane| lane.startable(free));
        self.hire(startable.saturating_sub(1))
    }

    /// The delivery whose turn it is. `None` means that nothing may be started now, and dismisses the worker that asked.
    pub(super) fn next(&mut self) -> Option<Claimed> {
        while let Some(id) = self.turns.pop_front() {
            let free = self.capacity - self.in_flight;
            let Some(lane) = self.by_webhook.get_mut(&id) else { continue };
            lane.has_turn = false;
            if !lane.may_start(free) {
                continue;
            }
            let claimed = lane.queue.pop_front();
            lane.in_flight += 1;
            self.in_flight += 1;
            self.queued -= 1;
            self.bytes -= claimed.as_ref().map_or(0, |claimed| claimed.event.data.len());
            if lane.queue.len() < CROWDED / 2 {
                self.crowded.remove(&id);
            }
            if lane.may_start(free - 1) {
                lane.has_turn = true;
                self.turns.push_back(id);
            }
            return claimed;
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
        lane.change_pace(pace);
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

    /// How many more deliveries a lane takes by claim.
    pub(super) fn room(&self, id: WebhookId) -> usize {
        self.by_webhook.get(&id).map_or(LOW, |lane| {
            let ahead = lane.limit.min(lane.pace).saturating_mul(4).clamp(LOW, CROWDED / 4);
            ahead.saturating_sub(lane.queue.len())
        })
    }

    /// Takes everything that waits out of a lane.
    pub(super) fn withdraw(&mut self, id: WebhookId) -> Vec<Claimed> {
        let Some(lane) = self.by_webhook.get_mut(&id) else { return Vec::new() };
        self.crowded.remove(&id);
        self.queued -= lane.queue.len();
        self.bytes -= lane.queue.iter().map(|claimed| claimed.event.data.len()).sum::<usize>();
        std::mem::take(&mut lane.queue).into()
    }

    /// Takes everything that waits out of all lanes.
    pub(super) fn withdraw_all(&mut self) -> Vec<Claimed> {
        let ids: Vec<_> = self.by_webhook.keys().copied().collect();
        ids.into_iter().flat_map(|id| self.withdraw(id)).collect()
    }

    /// The lanes that take nothing more by hand-off.
    pub(super) fn crowded(&self) -> Vec<WebhookId> {
        self.crowded.iter().copied().collect()
    }

    /// Whether more may wait.
    pub(super) const fn has_room(&self) -> bool {
        self.queued < MOST_QUEUED && self.bytes < MOST_BYTES
    }

    /// Takes no lane to have more in the database until that is found again.
    pub(super) fn forget_backlogs(&mut self) {
        self.by_webhook.retain(|_, lane| {
            lane.backlog = false;
            !lane.is_forgettable()
        });
    }

    /// Strikes off a worker that will not call [`Lanes::next`] any more.
    pub(super) const fn dismiss(&mut self) {
        self.workers -= 1;
    }

    /// Deliveries that wait in all lanes.
    pub(super) const fn queued(&self) -> usize {
        self.queued
    }

    /// Whether nothing waits or is under way.
    pub(super) const fn is_idle(&self) -> bool {
        self.queued == 0 && self.in_flight == 0
    }

    /// Attempts under way.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests;
