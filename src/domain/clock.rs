//! Time as Tidings knows it: the database's clock, carried between readings by this process's monotonic one.
//!
//! Several processes on several hosts must agree on due times and leases, so they all follow the database's clock. A
//! step of a host's wall clock then changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, SecondsFormat, TimeDelta, Utc};

/// Whether a time can be written as in RFC 3339, whose years have four digits, and read by receivers: to many there is no year 0.
#[must_use]
pub fn can_be_written(time: DateTime<Utc>) -> bool {
    (1..=9999).contains(&time.year())
}

/// A time as in [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), to the microsecond, as the database keeps it: what is made from
/// memory and what is made from the database must agree. More digits are rounded as Postgres rounds them, so that a time is the same by
/// either way in. A leap second counts as the next second.
#[must_use]
pub fn read_time(text: &str) -> Option<DateTime<Utc>> {
    // The parser lets a space stand for the `T`, and a minus of typographers for one.
    let is_plain = text.is_ascii() && !text.contains(' ');
    let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| is_plain)?;
    let leap = i64::from(time.timestamp_subsec_nanos() / 1_000_000_000);
    let seconds = DateTime::from_timestamp(time.timestamp() + leap, 0)?;
    seconds.checked_add_signed(TimeDelta::microseconds(micros(text)?)).filter(|time| can_be_written(*time))
}

/// The fraction of a second in a time that is one, to the nearest microsecond, of two equally near ones the even: Postgres reads it as
/// a double and calls `rint`.
fn micros(text: &str) -> Option<i64> {
    let Some(dot) = text.find('.') else { return Some(0) };
    let end = text[dot + 1..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |digits| dot + 1 + digits);
    let fraction: f64 = text[dot..end].parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "it is at most a million")]
    Some((fraction * 1e6).round_ties_even() as i64)
}

/// As answers write it: no more fractional digits than it takes, and `Z`.
#[must_use]
pub fn write_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// A shared clock; clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Reading>);

#[derive(Debug)]
struct Reading {
    origin: Instant,
    /// Microseconds since 1970 at `origin`.
    micros_at_origin: AtomicI64,
    /// By how many microseconds it was moved.
    advanced: AtomicI64,
    /// A steered clock stands still and ignores the database's.
    steered: bool,
}

impl Clock {
    /// A clock that starts at `now` and runs; [`Clock::follow`] corrects it.
    #[must_use]
    pub fn running(now: DateTime<Utc>) -> Self {
        Self::starting(now, false)
    }

    /// A clock that moves only by [`Clock::advance`], for tests.
    #[must_use]
    pub fn steered(now: DateTime<Utc>) -> Self {
        Self::starting(now, true)
    }

    fn starting(now: DateTime<Utc>, steered: bool) -> Self {
        Self(Arc::new(Reading {
            origin: Instant::now(),
            micros_at_origin: AtomicI64::new(now.timestamp_micros()),
            advanced: AtomicI64::new(0),
            steered,
        }))
    }

    /// The time, to the microsecond (the database's resolution).
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = self.0.micros_at_origin.load(Ordering::Relaxed) + self.micros_since_origin();
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }

    /// Takes over what the database's clock said at some moment of the time that its answer was `waited` for. Only a time that cannot be
    /// right is corrected: an answer that comes late, as to a process that was stopped meanwhile, must not set back a clock that was right.
    pub fn follow(&self, database_now: DateTime<Utc>, waited: Duration) {
        if !self.0.steered {
            let at_origin = self.0.micros_at_origin.load(Ordering::Relaxed);
            let told = at_origin + self.micros_since_origin();
            let right = told.clamp(database_now.timestamp_micros(), later(database_now, waited).timestamp_micros());
            let corrected = at_origin + right - told;
            // Whoever corrected it meanwhile knew as much.
            let _ =
                self.0.micros_at_origin.compare_exchange(at_origin, corrected, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.micros_at_origin.fetch_add(micros, Ordering::Relaxed);
        self.0.advanced.fetch_add(micros, Ordering::Relaxed);
    }

    /// How long it has been running: never corrected, so two readings tell how much time has passed between them.
    #[must_use]
    pub fn running_for(&self) -> Duration {
        let micros = self.0.advanced.load(Ordering::Relaxed) + self.micros_since_origin();
        Duration::from_micros(micros.unsigned_abs())
    }

    fn micros_since_origin(&self) -> i64 {
        if self.0.steered { 0 } else { i64::try_from(self.0.origin.elapsed().as_micros()).unwrap_or(i64::MAX) }
    }
}

/// `time` later by `by`; saturates at the end of time.
#[must_use]
pub fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steered_clock_moves_only_when_told() {
        let clock = Clock::steered(DateTime::UNIX_EPOCH);
        clock.follow(DateTime::<Utc>::MAX_UTC, Duration::ZERO);
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
        clock.advance(Duration::from_secs(5));
        assert_eq!((clock.now().timestamp(), clock.running_for()), (5, Duration::from_secs(5)));
    }

    #[test]
    fn times_are_read_to_the_microsecond() {
        let micros = |text| read_time(text).map(|time| time.timestamp_micros());
        assert_eq!(micros("1970-01-01T00:00:01.123456789+00:00"), Some(1_123_457));
        assert_eq!(micros("1970-01-01T00:00:00.99999951-00:00"), Some(1_000_000));
        assert_eq!(
            [micros("1970-01-01T00:00:00.0000005Z"), micros("1970-01-01T00:00:00.0000015Z")],
            [Some(0), Some(2)]
        );
        assert_eq!(micros("1969-12-31T23:59:59.9999994Z"), Some(-1));
        assert_eq!(micros("9999-12-31T23:59:59.9999999Z"), None, "the next year has five digits");
        assert_eq!(micros("2016-12-31T23:59:60.5Z"), micros("2017-01-01T00:00:00.5Z"));
        assert_eq!(micros("2016-12-31T23:59:60Z"), micros("2017-01-01T00:00:00Z"), "a leap second");
        assert_eq!(micros("1970-01-01t01:00:00+01:00"), Some(0));
        for wrong in ["", "1970-01-01", "1970-13-01T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:00:00"] {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
        assert_eq!(micros("0000-12-31T23:59:59Z"), None, "there is no such year to a receiver in Python");
        assert!(micros("0001-01-01T00:00:00Z").is_some());
        for lenient in ["1970-01-01 00:00:00Z", "1970-01-01T00:00:00\u{2212}01:00", "9999-12-31T23:59:59-01:00"] {
            assert_eq!(micros(lenient), None, "{lenient}");
        }
    }

    #[test]
    fn a_running_clock_follows_the_databases() {
        let clock = Clock::running(DateTime::UNIX_EPOCH);
        let day = later(DateTime::UNIX_EPOCH, Duration::from_hours(24));
        clock.follow(day, Duration::from_millis(1));
        assert!(clock.now() >= day && clock.now() < later(day, Duration::from_secs(5)));
        assert!(clock.running_for() < Duration::from_secs(5), "a correction is not time that passed");
    }

    #[test]
    fn a_late_answer_corrects_only_what_cannot_be() {
        let at = |seconds| later(DateTime::UNIX_EPOCH, Duration::from_secs(seconds));
        let told_after = |said: u64| {
            let clock = Clock::running(at(1_000));
            clock.follow(at(said), Duration::from_secs(100));
            (clock.now() - DateTime::UNIX_EPOCH).num_seconds()
        };
        assert!((1_000..1_005).contains(&told_after(950)), "it may have been right");
        assert!((980..985).contains(&told_after(880)), "it cannot be later than that");
        assert!((1_100..1_105).contains(&told_after(1_100)), "nor earlier");
    }
}
