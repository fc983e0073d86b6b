//! Replays: durable operator jobs that resend many deliveries.
//!
//! ```text
//!                  ┌──── resume ────┐
//!                  ▼                │
//! start ───────→ running ─ pause → paused
//!                  │  │               │
//!    nothing left  │  └─── cancel ────┤
//!                  ▼                  ▼
//!              completed          cancelled
//! ```
//! **running**: dispatchers resend a page at a time, as fast as the rate allows; which of them does so is decided page by page by a lock on
//! the replay's row, so one that dies is replaced at once, and a page is either both resent and counted, or neither.
//!
//! **paused**: nothing is resent. What was resent before stays so: it is an ordinary delivery by now.
//!
//! **completed**: all that matched when it was started was resent or skipped. **cancelled**: a person ended it. Both are final.
//!
//! A person's word that asks for the state the replay is in changes nothing and is no error; a final state refuses every other.
//!
//! What it works on is fixed when it is started: deliveries that had come to an end by then, from the newest id to the oldest.
//! A revived dead letter keeps its id, and whatever else a resend makes has a higher id; both lie behind the place that the replay has
//! reached, so it never resends its own work.

mod pace;
mod plan;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::clock::later;
use super::delivery::{self, DeadReason};
use super::ids::{EventId, ReplayId, TenantId, WebhookId};

pub use pace::Pace;
pub use plan::{Candidate, Made, Plan, Siblings};
pub use words::{SkipReason, Source, State, Word};

/// Which part of its source a replay resends; what is `None` does not narrow it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Owed to this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of events of this type.
    pub event_type: Option<String>,
    /// Of this event.
    pub event_id: Option<EventId>,
    /// Dead letters given up for this reason.
    pub reason: Option<DeadReason>,
    /// Deliveries in this state: not pending ones, which are attempted anyway.
    pub state: Option<delivery::State>,
    /// Of events accepted at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Of events accepted before this time.
    pub to: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether deliveries in this state are looked at.
    #[must_use]
    pub fn covers(&self, source: Source, state: delivery::State) -> bool {
        match source {
            Source::DeadLetters => state == delivery::State::Dead,
            Source::Deliveries => state != delivery::State::Pending && self.state.is_none_or(|only| only == state),
        }
    }
}

/// Skipped deliveries by reason.
pub type Skipped = BTreeMap<SkipReason, u64>;

/// How far a replay is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Deliveries that matched, as far as they are counted.
    pub total: u64,
    /// Whether all of them are.
    pub counted: bool,
    /// Deliveries resent.
    pub resent: u64,
    /// Deliveries passed over, by reason.
    pub skipped: Skipped,
}

impl Progress {
    /// Deliveries passed over.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Deliveries whose turn is still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.total.saturating_sub(self.resent + self.skipped())
    }

    /// Notes deliveries that were passed over.
    pub fn skip(&mut self, reason: SkipReason, count: u64) {
        if count > 0 {
            *self.skipped.entry(reason).or_default() += count;
        }
    }

    /// Balances the numbers when nothing is left: what was counted but not met had gone, and what was met but not counted is counted.
    pub fn close(&mut self) {
        self.skip(SkipReason::Gone, self.remaining());
        self.total = self.resent + self.skipped();
        self.counted = true;
    }
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its id.
    pub id: ReplayId,
    /// What it resends from.
    pub source: Source,
    /// What of it.
    pub filter: Filter,
    /// Where it stands.
    pub state: State,
    /// Deliveries a second at most.
    pub rate_per_second: u32,
    /// How far it is.
    pub progress: Progress,
    /// When it was started.
    pub created_at: DateTime<Utc>,
    /// When it was last worked on, paused or resumed.
    pub updated_at: DateTime<Utc>,
    /// When it was completed or cancelled.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Replay {
    /// When it will be completed at its rate, if all that remains is resent; `None` where that cannot be told: it does not run,
    /// or is still counting.
    #[must_use]
    pub fn estimated_end_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let known = self.state == State::Running && self.progress.counted;
        known.then(|| {
            let seconds = self.progress.remaining().div_ceil(u64::from(self.rate_per_second.max(1)));
            later(now, Duration::from_secs(seconds))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_end_everything_is_accounted_for() {
        let mut progress = Progress { total: 10, counted: true, resent: 6, ..Progress::default() };
        progress.skip(SkipReason::EventGone, 1);
        progress.skip(SkipReason::EventGone, 0);
        assert_eq!((progress.skipped(), progress.remaining()), (1, 3));
        progress.close();
        assert_eq!((progress.remaining(), progress.skipped[&SkipReason::Gone]), (0, 3));
        let mut more = Progress { total: 2, resent: 3, ..Progress::default() };
        more.close();
        assert_eq!((more.total, more.skipped.len()), (3, 0), "one came in after the count");
    }

    #[test]
    fn the_end_is_estimated_from_what_remains() {
        let now = DateTime::UNIX_EPOCH;
        let progress = Progress { total: 1_001, counted: true, resent: 500, ..Progress::default() };
        let mut replay = Replay {
            tenant_id: TenantId::from_u128(1),
            id: ReplayId::from_u128(2),
            source: Source::DeadLetters,
            filter: Filter::default(),
            state: State::Running,
            rate_per_second: 100,
            progress,
            created_at: now,
            updated_at: now,
            finished_at: None,
        };
        assert_eq!(replay.estimated_end_at(now).map(|end| end.timestamp()), Some(6));
        replay.progress.counted = false;
        assert_eq!(replay.estimated_end_at(now), None);
        replay.progress.counted = true;
        replay.state = State::Paused;
        assert_eq!(replay.estimated_end_at(now), None);
    }
}
