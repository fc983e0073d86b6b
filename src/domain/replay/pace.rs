//! Pace: how many deliveries a replay may resend now. It is kept with the replay and changed under its lock, so it holds across
//! processes and restarts.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::clock::later;

/// After a pause of this length or longer, as much may be resent at once as the rate allows in this time, and no more.
const BURST: TimeDelta = TimeDelta::milliseconds(500);
const MICROS: u64 = 1_000_000;

/// A rate, and from when on it has room (the generic cell rate algorithm).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Resends a second.
    pub rate: u32,
    /// The next may be resent from then on.
    pub open_at: DateTime<Utc>,
}

impl Pace {
    /// A replay has to be looked at no less often than this, or it falls behind its rate.
    pub const LONGEST_PAUSE: Duration = Duration::from_millis(250);

    /// How many may be resent now.
    #[must_use]
    pub fn room(&self, now: DateTime<Utc>) -> u64 {
        let open_at = self.open_at.max(now - BURST);
        let waited = (now - open_at).num_microseconds().unwrap_or_default();
        u64::try_from(waited).map_or(0, |waited| waited * u64::from(self.rate) / MICROS + 1)
    }

    /// After this many were resent.
    #[must_use]
    pub fn spend(self, count: u64, now: DateTime<Utc>) -> Self {
        if count == 0 {
            return self;
        }
        // Rounded up: never faster than the rate.
        let micros = (count * MICROS).div_ceil(u64::from(self.rate.max(1)));
        Self { open_at: later(self.open_at.max(now - BURST), Duration::from_micros(micros)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }

    #[test]
    fn the_first_goes_at_once_and_a_pause_is_not_made_up_for() {
        let pace = Pace { rate: 100, open_at: at(0) };
        assert_eq!(pace.room(at(-1)), 0);
        assert_eq!(pace.room(at(0)), 1);
        assert_eq!(pace.room(at(100_000)), 11);
        assert_eq!(pace.room(at(3_600_000_000)), 51, "half a second's worth after an hour");
        assert_eq!(pace.spend(1, at(0)).room(at(9_999)), 0);
        assert_eq!(pace.spend(1, at(0)).room(at(10_000)), 1);
        assert_eq!(pace.spend(0, at(0)), pace);
    }

    proptest! {
        #[test]
        fn however_often_one_looks_the_rate_is_kept(rate in 1u32..2_000, looks in prop::collection::vec(0i64..700_000, 1..60)) {
            let mut pace = Pace { rate, open_at: at(0) };
            let (mut now, mut sent) = (0, 0);
            for wait in looks {
                now += wait;
                let room = pace.room(at(now));
                pace = pace.spend(room, at(now));
                sent += room;
                let seconds = f64::from(u32::try_from(now).expect("a minute")) / 1e6;
                let most = (seconds + 0.5) * f64::from(rate) + 1.0;
                prop_assert!(f64::from(u32::try_from(sent).expect("few")) <= most, "{sent} in {seconds} s at {rate}/s");
            }
        }
    }
}
