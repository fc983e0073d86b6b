//! Health: how a webhook fares, as its attempts tell. Pure; `dispatch` keeps it in memory and `store` adds it up.
//!
//! # A stretch of failures
//!
//! ```text
//!              failure                      lasted `failing_after`             lasted `disable_after`
//!   well ───────────────→ failing (since) ─────────────────────────→ told ─────────────────────────→ disabled
//!    ▲                        │                webhook.failing, once  │         webhook.disabled        │
//!    └────────────────────────┴────── success, of any process ────────┘                                 │
//!    └───────────────────────────────── a person activates it, or changes its URL ──────────────────────┘
//! ```
//! A stretch has lasted from its first failure to its *last*: a webhook to which nothing is sent does not get worse.
//!
//! What processes saw of one webhook is merged by time: the last success that any of them saw ends the stretch for all, and the first
//! failure after it begins the new one.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Classes of a histogram: the first is up to a millisecond, the last holds all beyond 35 seconds.
const CLASSES: usize = 48;
/// Each class is this many times the one before.
const STEP: f64 = 1.25;

/// How long receivers took: a histogram whose classes grow by a quarter, so a percentile is right to about an eighth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latencies([u32; CLASSES]);

impl Default for Latencies {
    fn default() -> Self {
        Self([0; CLASSES])
    }
}

impl Latencies {
    /// Counts one.
    pub fn add(&mut self, latency: Duration) {
        let mut class = 0;
        let (mut bound, millis) = (1.0, latency.as_secs_f64() * 1_000.0);
        while millis > bound && class < CLASSES - 1 {
            bound *= STEP;
            class += 1;
        }
        self.0[class] = self.0[class].saturating_add(1);
    }

    /// Adds the counts of another histogram, as [`Latencies::counts`] gave them.
    pub fn merge(&mut self, counts: &[i32]) {
        for (own, more) in self.0.iter_mut().zip(counts) {
            *own = own.saturating_add(more.unsigned_abs());
        }
    }

    /// The counts, class by class.
    #[must_use]
    pub fn counts(&self) -> Vec<i32> {
        self.0.iter().map(|&count| i32::try_from(count).unwrap_or(i32::MAX)).collect()
    }

    /// The latency, in milliseconds, that this share (0 to 1) did not exceed; `None` without any.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let total: u64 = self.0.iter().map(|&count| u64::from(count)).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts of a day are far below 2^52")]
        let wanted = (total as f64 * share).max(f64::MIN_POSITIVE);
        let mut seen = 0.0;
        let mut bound = 1.0;
        for &count in &self.0 {
            let count = f64::from(count);
            if count > 0.0 && seen + count >= wanted {
                // As if those of a class were spread evenly over it.
                let below = if bound > 1.0 { bound / STEP } else { 0.0 };
                return Some(below + (bound - below) * (wanted - seen) / count);
            }
            seen += count;
            bound *= STEP;
        }
        None
    }
}

/// What was sent to a webhook within a quarter of an hour, or within a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Attempts.
    pub attempts: u32,
    /// Those that succeeded.
    pub successes: u32,
    /// How long the receiver took, where it answered or let the time run out.
    pub latencies: Latencies,
}

impl Traffic {
    /// Adds other traffic.
    pub fn add(&mut self, other: &Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.successes = self.successes.saturating_add(other.successes);
        self.latencies.merge(&other.latencies.counts());
    }
}

/// Traffic is counted by quarters of an hour.
pub const QUARTER: Duration = Duration::from_mins(15);

/// When the quarter of an hour that a time lies in began.
#[must_use]
pub fn quarter_of(at: DateTime<Utc>) -> DateTime<Utc> {
    let quarter = i64::try_from(QUARTER.as_secs()).unwrap_or(1);
    DateTime::from_timestamp(at.timestamp().div_euclid(quarter) * quarter, 0).unwrap_or_default()
}

/// Failures of a webhook since its last success, as far as one process saw them since it last told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streak {
    /// The last success.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The last failure.
    pub last_failure_at: Option<DateTime<Utc>>,
    /// The first failure after the last success.
    pub failing_since: Option<DateTime<Utc>>,
    /// Failures since then.
    pub failures: u32,
}

impl Streak {
    /// An attempt ended.
    pub fn add(&mut self, is_success: bool, at: DateTime<Utc>) {
        if is_success {
            self.last_success_at = self.last_success_at.max(Some(at));
            (self.failing_since, self.failures) = (None, 0);
        } else {
            self.last_failure_at = Some(at);
            self.failing_since.get_or_insert(at);
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// The two together, where this one was seen after `earlier`.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        let (last_success_at, last_failure_at) =
            (self.last_success_at.max(earlier.last_success_at), self.last_failure_at.max(earlier.last_failure_at));
        if self.last_success_at.is_some() {
            return Self { last_success_at, last_failure_at, ..self };
        }
        let failing_since = earlier.failing_since.or(self.failing_since);
        Self {
            last_success_at,
            last_failure_at,
            failing_since,
            failures: earlier.failures.saturating_add(self.failures),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_right_to_an_eighth() {
        assert_eq!(Latencies::default().percentile(0.5), None);
        for millis in [1_u64, 2, 7, 30, 120, 999, 5_000, 30_000] {
            let mut latencies = Latencies::default();
            for _ in 0..1_000 {
                latencies.add(Duration::from_millis(millis));
            }
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let ratio = latencies.percentile(0.5).expect("some") / millis as f64;
            assert!((0.48..1.13).contains(&ratio), "{millis} ms: {ratio}");
        }
        let mut spread = Latencies::default();
        (1..=1_000).for_each(|millis| spread.add(Duration::from_millis(millis)));
        let near = |share: f64, millis: f64| (spread.percentile(share).expect("some") / millis - 1.0).abs() < 0.125;
        assert!(near(0.5, 500.0) && near(0.95, 950.0) && near(0.01, 10.0));
        let mut twice = spread.clone();
        twice.merge(&spread.counts());
        assert_eq!(twice.percentile(0.5), spread.percentile(0.5));
        spread.add(Duration::MAX);
        assert!(spread.percentile(1.0).is_some_and(|most| most > 30_000.0));
    }

    #[test]
    fn a_success_ends_the_stretch() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        let mut streak = Streak::default();
        streak.add(false, at(1));
        streak.add(false, at(2));
        assert_eq!((streak.failing_since, streak.failures), (Some(at(1)), 2));
        streak.add(true, at(3));
        assert_eq!((streak.failing_since, streak.failures), (None, 0));
        streak.add(false, at(4));
        assert_eq!((streak.failing_since, streak.last_success_at), (Some(at(4)), Some(at(3))));

        let mut later = Streak::default();
        later.add(false, at(5));
        assert_eq!((later.after(streak).failing_since, later.after(streak).failures), (Some(at(4)), 2));
        later.add(true, at(6));
        assert_eq!((later.after(streak).failing_since, later.after(streak).failures), (None, 0));
        assert_eq!(later.after(streak).last_success_at, Some(at(6)));
    }

    #[test]
    fn quarters_begin_on_the_clock() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).expect("a time").to_utc();
        assert_eq!(quarter_of(at("2026-03-21T14:29:59.9Z")), at("2026-03-21T14:15:00Z"));
        assert_eq!(quarter_of(at("1969-12-31T23:59:59Z")), at("1969-12-31T23:45:00Z"));
    }
}
