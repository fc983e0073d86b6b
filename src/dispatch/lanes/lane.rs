//! One lane: what waits for a webhook, what is under way to it, and how much more may start.

use std::collections::VecDeque;
use std::time::Duration;

use super::{AHEAD, LOW, SHARE};
use crate::domain::lease::Claimed;
use crate::domain::retry::LONGEST_PARK;

/// What a delivery that waits takes besides its data, in bytes.
const OVERHEAD: usize = 2 * 1024;
/// For how long an idle lane is kept for the sake of its pace: longer than a receiver can ask for quiet, since after that the load is to
/// come back slowly.
pub(super) const REMEMBERED: Duration = LONGEST_PARK.saturating_mul(2);

/// How many a lane may have under way, where the process has room for `free` more.
pub(super) fn part(free: usize) -> usize {
    (free / SHARE).max(1)
}

/// How a lane goes on after a delivery's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dispatch) enum Pace {
    /// The receiver answers: it may be asked for one more at once.
    Faster,
    /// The receiver answers: it may be asked for as much as before.
    Same,
    /// The receiver was not asked: what was known of it stays.
    Unasked,
    /// It may be asked for half as much, down to a quarter of its limit.
    Slower,
    /// It is asked for one at a time, until that grows again.
    Restart,
}

/// What became of a delivery that was to wait in its lane.
#[must_use]
#[derive(Debug)]
pub(in crate::dispatch) enum Pushed {
    /// It may start now.
    Startable,
    /// Others go before it.
    Waiting,
    /// There is no room for it.
    Refused(Claimed),
}

impl Pushed {
    pub(in crate::dispatch) const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// What waits, in a lane or in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) deliveries: usize,
    /// Those of them in lanes with their full pace.
    pub(super) moving: usize,
    /// What they take.
    pub(super) bytes: usize,
}

impl Load {
    /// Changes a lane, whose load is part of this one.
    pub(super) fn follow<T>(&mut self, lane: &mut Lane, change: impl FnOnce(&mut Lane) -> T) -> T {
        let before = lane.load();
        let changed = change(lane);
        let after = lane.load();
        self.deliveries = self.deliveries - before.deliveries + after.deliveries;
        self.moving = self.moving - before.moving + after.moving;
        self.bytes = self.bytes - before.bytes + after.bytes;
        changed
    }
}

/// The lane of one webhook.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) queue: VecDeque<Claimed>,
    /// Bytes that the queue takes.
    pub(super) weight: usize,
    /// How many of them the last delivery took.
    usual_weight: usize,
    pub(super) in_flight: usize,
    /// The webhook's `max_in_flight`; 1 until it is known.
    pub(super) limit: usize,
    /// What the receiver's answers leave of it; `usize::MAX` for all of it.
    pub(super) pace: usize,
    /// It is among those that take turns.
    pub(super) has_turn: bool,
    /// More of it is in the database.
    pub(super) backlog: bool,
    /// How its pace last changed, or stayed, after the receiver was asked.
    last: Option<Pace>,
    /// A delivery of it lapsed before: until the lane is known to move, no more is claimed than may start.
    careful: bool,
    /// When it was first seen idle since the last delivery came.
    idle_since: Option<Duration>,
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            weight: 0,
            usual_weight: OVERHEAD,
            in_flight: 0,
            limit: 1,
            pace: usize::MAX,
            has_turn: false,
            backlog: false,
            last: None,
            careful: false,
            idle_since: None,
        }
    }

    fn load(&self) -> Load {
        let deliveries = self.queue.len();
        Load { deliveries, moving: if self.pace == usize::MAX { deliveries } else { 0 }, bytes: self.weight }
    }

    /// Queues a delivery.
    pub(super) fn push(&mut self, claimed: Claimed) {
        self.idle_since = None;
        self.usual_weight = weight(&claimed);
        self.weight += self.usual_weight;
        self.queue.push_back(claimed);
    }

    /// The first in the queue.
    pub(super) fn pop(&mut self) -> Option<Claimed> {
        let claimed = self.queue.pop_front()?;
        self.weight -= weight(&claimed);
        Some(claimed)
    }

    /// Takes out all that waits.
    pub(super) fn empty(&mut self) -> VecDeque<Claimed> {
        self.weight = 0;
        std::mem::take(&mut self.queue)
    }

    /// Takes out the later half of what waits. Something stays.
    pub(super) fn halve(&mut self) -> VecDeque<Claimed> {
        let later = self.queue.split_off(self.queue.len().div_ceil(2));
        self.weight -= later.iter().map(weight).sum::<usize>();
        later
    }

    /// Takes out what waits and matches; the others keep their order.
    pub(super) fn take_those(&mut self, is_such: impl Fn(&Claimed) -> bool) -> Vec<Claimed> {
        if !self.queue.iter().any(&is_such) {
            return Vec::new();
        }
        let (taken, kept): (Vec<_>, Vec<_>) = self.queue.drain(..).partition(is_such);
        self.weight = kept.iter().map(weight).sum();
        self.queue = kept.into();
        taken
    }

    /// How many more deliveries fit into this many bytes, going by the last one: at least one where none waits.
    pub(super) fn fits(&self, bytes: usize) -> usize {
        let fits = bytes.saturating_sub(self.weight) / self.usual_weight;
        if self.queue.is_empty() { fits.max(1) } else { fits }
    }

    /// Whether it could start another, had the process more room than for `free`.
    pub(super) fn is_cramped(&self, free: usize) -> bool {
        !self.queue.is_empty() && (part(free)..self.limit.min(self.pace)).contains(&self.in_flight)
    }

    /// How many may start now, where the process has room for `free`.
    pub(super) fn slots(&self, free: usize) -> usize {
        self.limit.min(self.pace).min(part(free)).saturating_sub(self.in_flight)
    }

    /// How many of those that wait may.
    pub(super) fn startable(&self, free: usize) -> usize {
        self.slots(free).min(self.queue.len())
    }

    /// Whether it takes what lapsed before: unless it is known to move, only what may start at once. What waits behind a receiver that
    /// hangs would lapse again with each process that dies.
    pub(super) fn takes_lapsed(&mut self, free: usize) -> bool {
        self.careful = true;
        self.moves() || self.queue.len() < self.slots(free)
    }

    /// Whether its receiver is known to answer, as fast as it may be asked.
    const fn moves(&self) -> bool {
        matches!(self.last, Some(Pace::Faster | Pace::Same)) && self.pace == usize::MAX
    }

    /// How many to claim for it, as far as there is memory.
    pub(super) fn wanted(&self, is_late: bool, free: usize) -> usize {
        if self.careful && !self.moves() {
            self.slots(free).saturating_sub(self.queue.len())
        } else if is_late {
            AHEAD
        } else {
            self.limit.min(self.pace).saturating_mul(4).clamp(LOW, AHEAD).saturating_sub(self.queue.len())
        }
    }

    /// Whether any may.
    pub(super) fn may_start(&self, free: usize) -> bool {
        self.startable(free) > 0
    }

    /// Goes on faster or slower after an attempt.
    pub(super) fn change_pace(&mut self, pace: Pace) {
        if pace != Pace::Unasked {
            self.last = Some(pace);
        }
        match pace {
            Pace::Same | Pace::Unasked => {}
            // One more for each success doubles the pace in the time of one answer.
            Pace::Faster if self.pace >= self.limit => self.pace = usize::MAX,
            Pace::Faster => self.pace += 1,
            Pace::Slower => self.pace = (self.pace.min(self.limit) / 2).max(self.limit / 4).max(1),
            Pace::Restart => self.pace = 1,
        }
    }

    /// Whether nothing waits or is under way.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight == 0
    }

    /// Whether it is idle at full pace: a new lane learns all else with its next delivery.
    pub(super) fn is_forgettable(&self) -> bool {
        self.is_idle() && self.pace == usize::MAX && !self.backlog
    }

    /// Whether it has been idle for so long that its pace says nothing any more. Until then an idle lane gives up its queue's buffer, which
    /// is as large as the queue ever was.
    pub(super) fn is_outdated(&mut self, now: Duration) -> bool {
        if !self.is_idle() {
            return false;
        }
        self.queue = VecDeque::new();
        now.saturating_sub(*self.idle_since.get_or_insert(now)) > REMEMBERED
    }
}

/// What a delivery that waits takes, in bytes.
pub(super) fn weight(claimed: &Claimed) -> usize {
    OVERHEAD + claimed.event.data.len()
}
