//! Whether to repeat a request, and when: pure.

use std::time::Duration;

/// How often a request is repeated.
const TIMES: u32 = 4;
/// Longer than this nobody waits at a terminal without being told.
const LONGEST: Duration = Duration::from_secs(30);

/// Why a request was not granted, if it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This status, and the time that `Retry-After` asks for.
    Status(u16, Option<Duration>),
    /// No connection was made, so nothing was asked.
    NotReached,
    /// The connection broke, or the time ran out: it may have been done.
    AnswerLost,
}

/// How long to wait before repeating a request that was repeated `repeated` times already; `None` to leave it at that.
///
/// A 429 was refused before anything was done. Behind a 503, as behind an answer that was lost, it may have been done, so only a
/// repeatable one is sent again. Where nobody listens, a person who typed a wrong address should not have to wait.
#[must_use]
pub fn wait(refusal: Refusal, repeated: u32, is_repeatable: bool) -> Option<Duration> {
    let pause = Duration::from_millis(250) * 2u32.pow(repeated.min(TIMES));
    let wait = match refusal {
        Refusal::Status(429, Some(after)) => after.max(pause),
        Refusal::Status(503, Some(after)) if is_repeatable => after.max(pause),
        Refusal::Status(502..=504, None) | Refusal::AnswerLost if is_repeatable => pause,
        _ => return None,
    };
    (repeated < TIMES && wait <= LONGEST).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_for_now_is_repeated_when_asked_for() {
        let after = |seconds| Refusal::Status(429, Some(Duration::from_secs(seconds)));
        assert_eq!(wait(after(2), 0, false), Some(Duration::from_secs(2)));
        assert_eq!(wait(after(0), 0, false), Some(Duration::from_millis(250)), "not at once, whatever it says");
        assert_eq!(wait(after(3_600), 0, true), None, "nobody waits an hour");
        assert_eq!(wait(after(1), TIMES, true), None, "not for ever");
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_where_that_does_no_harm() {
        let told = Refusal::Status(503, Some(Duration::from_secs(1)));
        for lost in [Refusal::AnswerLost, Refusal::Status(502, None), Refusal::Status(503, None), told] {
            assert!(wait(lost, 0, true).is_some() && wait(lost, 0, false).is_none(), "{lost:?}");
        }
        for wrong in [Refusal::NotReached, Refusal::Status(200, None), Refusal::Status(422, None)] {
            assert_eq!(wait(wrong, 0, true), None, "{wrong:?}");
        }
    }
}
