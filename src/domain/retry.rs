//! What follows an attempt: the one place where it is decided whether a delivery is done, waits or is given up.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::clock::later;
use super::delivery::DeadReason;
use super::outcome::{Class, Outcome};

/// `Retry-After` parks a webhook for at most this long.
pub const LONGEST_PARK: Duration = Duration::from_hours(1);

/// 410 Gone: the receiver asks never to be called again.
const GONE: u16 = 410;

/// When to attempt again, and when not to.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// The wait after each failed attempt but the last: one less than there are attempts.
    pub waits: Vec<Duration>,
    /// Each wait is stretched or shortened by up to this share of itself, 0 to 1, so that retries spread out.
    pub jitter: f64,
    /// Statuses after which another attempt is useless.
    pub terminal: Vec<StatusRange>,
}

/// Statuses from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange(pub u16, pub u16);

impl StatusRange {
    /// Whether it names this status.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.0 <= status && status <= self.1
    }
}

impl RetryPolicy {
    /// The waits of exponential backoff: `initial`, then `factor` times the last one, none above `max`.
    #[must_use]
    pub fn backoff(max_attempts: u16, initial: Duration, factor: f64, max: Duration) -> Vec<Duration> {
        let mut waits = Vec::with_capacity(usize::from(max_attempts));
        let mut seconds = initial.as_secs_f64();
        for _ in 1..max_attempts {
            let capped = seconds.min(max.as_secs_f64());
            waits.push(Duration::from_secs_f64(capped));
            seconds = capped * factor;
        }
        waits
    }

    /// How many attempts a delivery gets.
    #[must_use]
    pub fn max_attempts(&self) -> u16 {
        u16::try_from(self.waits.len() + 1).unwrap_or(u16::MAX)
    }

    fn is_terminal(&self, status: u16) -> bool {
        status == GONE || self.terminal.iter().any(|range| range.contains(status))
    }
}

/// Attempts that one delivery can have, whoever writes the schedule.
pub const MOST_ATTEMPTS: u16 = 50;
/// Seconds that one wait can last: a week.
pub const LONGEST_WAIT_SECONDS: f64 = 604_800.0;
/// Seconds that a wait of exponential backoff lasts at most, where nothing else is said: a day.
pub const DEFAULT_MAX_SECONDS: f64 = 86_400.0;
/// The share by which a wait is stretched or shortened at random, where nothing else is said.
pub const DEFAULT_JITTER: f64 = 0.1;

/// What becomes of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// Attempt again at this time.
    RetryAt(DateTime<Utc>),
    /// Given up.
    Dead(DeadReason),
}

impl Verdict {
    /// The word for it in SQL, JSON, logs and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::RetryAt(_) => "retry",
            Self::Dead(_) => "dead",
        }
    }
}

/// What an outcome says about the webhook as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEffect {
    /// The receiver asked for quiet until then.
    ParkUntil(DateTime<Utc>),
    /// The receiver is gone for good.
    Disable,
}

/// A decision: the delivery's fate, and the webhook's where the outcome speaks about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the delivery.
    pub verdict: Verdict,
    /// What becomes of the webhook.
    pub webhook: Option<WebhookEffect>,
}

/// Decides what follows the attempt with this number (from 1, counted since the delivery was accepted or last resent)
/// that ended `now`. `chance` is drawn from 0 to 1 for the jitter.
#[must_use]
pub fn decide(policy: &RetryPolicy, attempt: u16, outcome: &Outcome, now: DateTime<Utc>, chance: f64) -> Decision {
    if outcome.class == Class::Success {
        return Decision { verdict: Verdict::Delivered, webhook: None };
    }
    let status = outcome.status();
    let parked = parked_until(outcome, now);
    let webhook =
        if status == Some(GONE) { Some(WebhookEffect::Disable) } else { parked.map(WebhookEffect::ParkUntil) };
    let wait = attempt.checked_sub(1).and_then(|index| policy.waits.get(usize::from(index)));
    let verdict = match (status, wait) {
        (Some(status), _) if policy.is_terminal(status) => Verdict::Dead(DeadReason::TerminalStatus),
        (_, None) => Verdict::Dead(DeadReason::AttemptsExhausted),
        (_, Some(wait)) => {
            let due = later(now, jittered(*wait, policy.jitter, chance));
            Verdict::RetryAt(parked.map_or(due, |parked| due.max(parked)))
        }
    };
    Decision { verdict, webhook }
}

fn parked_until(outcome: &Outcome, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let answer = outcome.answer.as_ref()?;
    let asked = matches!(answer.status, 429 | 503).then_some(answer.retry_after)??;
    Some(asked.until(now, LONGEST_PARK))
}

fn jittered(wait: Duration, jitter: f64, chance: f64) -> Duration {
    wait.mul_f64(jitter.mul_add(chance.mul_add(2.0, -1.0), 1.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::domain::outcome::{Answer, RetryAfter};

    fn policy() -> RetryPolicy {
        let waits = RetryPolicy::backoff(5, Duration::from_secs(1), 2.0, Duration::from_mins(1));
        RetryPolicy { waits, jitter: 0.1, terminal: vec![StatusRange(400, 499)] }
    }

    fn answered(status: u16, retry_after: Option<RetryAfter>) -> Outcome {
        let class = if (200..300).contains(&status) { Class::Success } else { Class::HttpStatus };
        let answer = Answer { status, headers: String::new(), body: Bytes::new(), retry_after };
        Outcome { class, answer: Some(answer), error: None, duration: Duration::ZERO }
    }

    fn verdict(attempt: u16, status: u16) -> Verdict {
        decide(&policy(), attempt, &answered(status, None), DateTime::UNIX_EPOCH, 0.5).verdict
    }

    #[test]
    fn a_failure_waits_by_the_schedule_and_then_dies() {
        for (attempt, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
            let due = later(DateTime::UNIX_EPOCH, Duration::from_secs(seconds));
            assert_eq!(verdict(attempt, 500), Verdict::RetryAt(due));
        }
        assert_eq!(verdict(5, 500), Verdict::Dead(DeadReason::AttemptsExhausted));
        assert_eq!(
            verdict(6, 500),
            Verdict::Dead(DeadReason::AttemptsExhausted),
            "its schedule may have become shorter"
        );
    }

    #[test]
    fn only_a_2xx_delivers() {
        assert_eq!(verdict(1, 204), Verdict::Delivered);
        for status in [101, 302, 500, 999] {
            assert!(matches!(verdict(1, status), Verdict::RetryAt(_)), "{status}");
        }
    }

    #[test]
    fn a_terminal_status_dies_at_once_and_410_disables() {
        assert_eq!(verdict(1, 404), Verdict::Dead(DeadReason::TerminalStatus));
        let lenient = RetryPolicy { terminal: vec![], ..policy() };
        let gone = decide(&lenient, 1, &answered(410, None), DateTime::UNIX_EPOCH, 0.5);
        assert_eq!(gone.verdict, Verdict::Dead(DeadReason::TerminalStatus));
        assert_eq!(gone.webhook, Some(WebhookEffect::Disable));
    }

    #[test]
    fn jitter_stays_within_its_share() {
        for (chance, millis) in [(0.0, 900), (0.5, 1000), (1.0, 1100)] {
            assert_eq!(jittered(Duration::from_secs(1), 0.1, chance).as_millis(), millis);
        }
    }

    #[test]
    fn retry_after_parks_the_webhook_on_429_and_503_only() {
        let until = later(DateTime::UNIX_EPOCH, Duration::from_secs(90));
        let after = Some(RetryAfter::Delay(Duration::from_secs(90)));
        let lenient = RetryPolicy { terminal: vec![], ..policy() };
        for status in [429, 503] {
            let decision = decide(&lenient, 1, &answered(status, after), DateTime::UNIX_EPOCH, 0.5);
            assert_eq!(decision.verdict, Verdict::RetryAt(until));
            assert_eq!(decision.webhook, Some(WebhookEffect::ParkUntil(until)));
        }
        assert_eq!(decide(&lenient, 1, &answered(500, after), DateTime::UNIX_EPOCH, 0.5).webhook, None);
    }

    #[test]
    fn backoff_is_capped() {
        let waits = RetryPolicy::backoff(5, Duration::from_secs(5), 3.0, Duration::from_mins(1));
        assert_eq!(waits, [5, 15, 45, 60].map(Duration::from_secs));
        assert!(RetryPolicy::backoff(1, Duration::from_secs(5), 3.0, Duration::MAX).is_empty());
    }
}
