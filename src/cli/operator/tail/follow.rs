//! Where to look next in the feed, so that nothing is missed and nothing shown twice: pure.
//!
//! Attempts are listed by the time they started and can be seen once they are recorded, which is a little after they ended, and not
//! in order. So each look reaches back past the one before: a little every time, for what was quick; far now and then, for what was slow.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Every so many looks, slow ones are looked for.
const DEEP: u32 = 10;
/// What takes longer is slow.
const SLOW: TimeDelta = TimeDelta::seconds(2);
/// How long after its end an attempt may be seen at last.
const RECORDED: TimeDelta = TimeDelta::seconds(2);
/// The longest that an attempt may take, and then some.
const LONGEST: TimeDelta = TimeDelta::seconds(90);

/// One look at the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// At attempts that started then or later.
    pub(super) from: DateTime<Utc>,
    /// And took at least so long.
    pub(super) slower_than: TimeDelta,
}

/// What was looked at so far.
#[derive(Debug)]
pub(super) struct Follow {
    /// When it began.
    begun: DateTime<Utc>,
    /// Up to when everything quick was looked at.
    quick: DateTime<Utc>,
    /// Up to when everything slow was.
    slow: DateTime<Utc>,
    looks: u32,
    /// When each attempt started that was shown and may be met again.
    seen: HashMap<String, DateTime<Utc>>,
}

impl Follow {
    /// From this time on.
    pub(super) fn new(now: DateTime<Utc>) -> Self {
        Self { begun: now, quick: now, slow: now, looks: 0, seen: HashMap::new() }
    }

    /// Where to look now.
    pub(super) fn next(&mut self) -> Vec<Look> {
        self.looks += 1;
        let mut looks = vec![Look { from: self.quick - SLOW - RECORDED, slower_than: TimeDelta::zero() }];
        if self.looks.is_multiple_of(DEEP) {
            looks.push(Look { from: self.slow - LONGEST, slower_than: SLOW });
        }
        looks
    }

    /// A look was taken, as of this time.
    pub(super) fn looked(&mut self, look: Look, as_of: DateTime<Utc>) {
        if look.slower_than > TimeDelta::zero() {
            self.slow = as_of;
            let oldest = as_of - LONGEST - LONGEST;
            self.seen.retain(|_, started_at| *started_at >= oldest);
        } else {
            self.quick = as_of;
        }
    }

    /// An attempt is shown.
    pub(super) fn meet(&mut self, attempt: &Value) {
        self.is_unmet(attempt);
    }

    /// Whether an attempt is to be shown: it was not met before, and did not end long before the beginning.
    pub(super) fn is_new(&mut self, attempt: &Value) -> bool {
        let took = attempt["duration_ms"].as_f64().unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds are enough")]
        let took = TimeDelta::milliseconds(took as i64);
        let ended = attempt["started_at"].as_str().and_then(super::time).map(|started_at| started_at + took);
        self.is_unmet(attempt) && ended.is_none_or(|ended| ended >= self.begun - RECORDED)
    }

    fn is_unmet(&mut self, attempt: &Value) -> bool {
        let (Some(id), Some(started_at)) =
            (attempt["id"].as_str(), attempt["started_at"].as_str().and_then(super::time))
        else {
            return true;
        };
        self.seen.insert(id.to_owned(), started_at).is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: f64) -> DateTime<Utc> {
        #[expect(clippy::cast_possible_truncation, reason = "a test's times are small")]
        DateTime::from_timestamp_micros((seconds * 1e6) as i64).unwrap_or_default()
    }

    /// Follows attempts of these starts and durations, each recorded half a second after its end; returns what was shown.
    fn shown(attempts: &[(f64, f64)]) -> Vec<usize> {
        let (mut follow, mut shown) = (Follow::new(at(100.0)), Vec::new());
        for second in 101..300 {
            let now = f64::from(second);
            for look in follow.next() {
                for (index, (start, took)) in attempts.iter().enumerate() {
                    let is_there = start + took + 0.5 <= now;
                    let is_slow = *took >= look.slower_than.as_seconds_f64();
                    let attempt = json!({ "id": index.to_string(), "started_at": at(*start).to_rfc3339() });
                    if is_there && is_slow && at(*start) >= look.from && follow.is_new(&attempt) {
                        shown.push(index);
                    }
                }
                follow.looked(look, at(now));
            }
        }
        shown
    }

    #[test]
    fn whatever_its_duration_an_attempt_is_shown_once() {
        let durations = [0.001, 0.9, 1.9, 2.0, 2.1, 9.9, 30.0, 60.0];
        let attempts: Vec<_> =
            (0u8..80).map(|n| (100.0 + f64::from(n) * 0.71, durations[usize::from(n) % 8])).collect();
        let mut shown = shown(&attempts);
        shown.sort_unstable();
        assert_eq!(shown, (0..80).collect::<Vec<_>>());
    }
}
