//! Pacing: what is stored faster than it can be delivered has to be claimed back later, which costs twice. So a statement for many
//! events waits for a while until this process has sent most of what it was handed over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::HandOffTarget;

/// A statement for so many events waits.
pub(super) const LARGE: usize = 64;
/// With so many to send a process has enough to do until the statement is through. While one stores 64 events for ten webhooks each, some
/// 300 deliveries are sent.
pub(super) const ENOUGH: usize = 384;
/// That is waited for at most for some stretches of time, and only while each brings it nearer by its share, or sends its share of what is
/// enough: what waits may be for receivers that are slow, or hang.
const STRETCH: Duration = Duration::from_millis(10);
const PACE: Duration = Duration::from_millis(1);

/// How often the time until everything is waited for again is doubled at most.
const DOUBLINGS: u32 = 6;

/// Lets statements wait, but not again and again for what does not move: a lane of a receiver that hangs, or takes less than comes, stays
/// full, and all others' events would wait for it. What a wait in vain leaves is taken for stuck, and only what is beyond it is waited for
/// until it is time to see whether that still holds: twice as long each time that it does.
pub(super) struct Pacer {
    target: Option<Arc<dyn HandOffTarget>>,
    /// Stretches that each waits at most.
    patience: u16,
    /// How long what the first wait in vain left is taken for stuck.
    at_first: Duration,
    past: Mutex<Past>,
}

/// What the last waits taught.
#[derive(Clone, Copy)]
struct Past {
    /// How many were in vain since one for everything was not.
    vain: u32,
    /// So many deliveries do not move.
    stuck: usize,
    /// Until then that is believed.
    until: Instant,
}

impl Pacer {
    pub(super) fn new(target: Option<Arc<dyn HandOffTarget>>, patience: u16, at_first: Duration) -> Self {
        let past = Past { vain: 0, stuck: 0, until: Instant::now() };
        Self { target, patience, at_first, past: Mutex::new(past) }
    }

    /// Waits until a statement for so many events may begin.
    pub(super) async fn pace(&self, events: usize) {
        let Some(target) = self.target.as_ref().filter(|_| events >= LARGE) else { return };
        let past = *self.past();
        let stuck = if Instant::now() < past.until { past.stuck } else { 0 };
        let left = catch_up(&**target, stuck + ENOUGH, self.patience).await;
        *self.past() = match left {
            Ok(_) if stuck == 0 => Past { vain: 0, stuck, ..past },
            Ok(waiting) => Past { stuck: stuck.min(waiting), ..past },
            Err(stuck) => {
                let until = Instant::now() + self.at_first * 2_u32.pow(past.vain.min(DOUBLINGS));
                Past { vain: past.vain + 1, stuck, until }
            }
        };
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until no more than `enough` of what was handed over is not on its way. Says how many are not, as an error if that would take
/// longer than so many stretches.
async fn catch_up(target: &dyn HandOffTarget, enough: usize, patience: u16) -> Result<usize, usize> {
    let begun = Instant::now();
    let (mut before, mut since) = (target.waiting(), begun);
    loop {
        let waiting = target.waiting();
        if waiting <= enough {
            return Ok(waiting);
        }
        if since.elapsed() >= STRETCH {
            let share = before.saturating_sub(enough).min(ENOUGH).div_ceil(patience.into());
            if waiting + share > before || begun.elapsed() >= STRETCH * patience.into() {
                return Err(waiting);
            }
            (before, since) = (waiting, Instant::now());
        }
        sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::super::fixtures::Sending;
    use super::*;

    /// Whether a target caught up, and how often it was asked until then.
    async fn asked(waiting: usize, stuck: usize) -> (bool, usize) {
        let target = Sending::new(waiting, stuck);
        let caught_up = timeout(Duration::from_secs(10), catch_up(&*target, ENOUGH, 20)).await.expect("an end");
        (caught_up.is_ok(), target.asked())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_handed_over_is_waited_for_while_it_is_sent() {
        assert_eq!(asked(ENOUGH, 0).await, (true, 2));
        assert_eq!(asked(ENOUGH + 5, 0).await, (true, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_move_is_not_waited_for_all_the_time() {
        let target = Sending::new(10 * ENOUGH, 10 * ENOUGH);
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5, STRETCH * 10);
        let waits = async |events| {
            let begun = Instant::now();
            pacer.pace(events).await;
            begun.elapsed() >= STRETCH
        };
        assert!(!waits(LARGE - 1).await && target.asked() == 0, "a small statement");
        assert_eq!([waits(LARGE).await, waits(LARGE).await], [true, false], "it was in vain just now");
        sleep(STRETCH * 10).await;
        assert_eq!([waits(LARGE).await, waits(LARGE).await], [true, false], "it may have moved since");
        sleep(STRETCH * 10).await;
        assert!(!waits(LARGE).await, "it was in vain twice");
        sleep(STRETCH * 10).await;
        assert!(waits(LARGE).await);
    }

    #[tokio::test(start_paused = true)]
    async fn beside_what_does_not_move_the_rest_is_waited_for() {
        let stuck = 10 * ENOUGH;
        // Far more than has to be sent in each stretch.
        let target = Sending::at(20, stuck, stuck);
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5, STRETCH * 10);
        let (begun, mut idle, mut statements) = (Instant::now(), Duration::ZERO, 0);
        while begun.elapsed() < Duration::from_mins(1) {
            let before = Instant::now();
            pacer.pace(LARGE).await;
            let waiting = target.waiting();
            assert!(waiting <= stuck + ENOUGH, "{} wait that move", waiting - stuck);
            idle += if waiting == stuck { before.elapsed() } else { Duration::ZERO };
            target.hand_over(100);
            statements += 1;
        }
        assert!(idle < Duration::from_secs(1), "{idle:?} of a minute nothing was sent");
        assert!(statements > 10_000, "{statements} statements");
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_again_is_waited_for_again() {
        let target = Sending::new(10 * ENOUGH, 10 * ENOUGH);
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5, STRETCH * 10);
        pacer.pace(LARGE).await;
        let learnt = || {
            let past = *pacer.past();
            (past.vain, past.stuck)
        };
        assert_eq!(learnt(), (1, 10 * ENOUGH));
        target.free(5 * ENOUGH);
        pacer.pace(LARGE).await;
        assert_eq!(learnt(), (1, 5 * ENOUGH), "half of it is gone");
        target.free(0);
        sleep(STRETCH * 10).await;
        pacer.pace(LARGE).await;
        assert_eq!(learnt(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_sent_in_time_is_not_waited_for() {
        let (caught_up, stuck) = asked(ENOUGH + 5, ENOUGH + 3).await;
        assert!(!caught_up && (4..30).contains(&stuck), "one stretch brought it nearer, the next did not: {stuck}");
        let (caught_up, slow) = asked(20 * ENOUGH, 0).await;
        assert!(!caught_up && (3..20).contains(&slow), "it would take thousands of times as long: {slow}");
    }
}
