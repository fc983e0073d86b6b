//! Pacing: what is stored faster than it can be delivered has to be claimed back later, which costs twice. So a statement for many
//! events waits a while for this process to send most of what it was handed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::HandOffTarget;

/// A statement for this many events is large: it waits.
pub(super) const LARGE: usize = 64;
/// With this many left to send, a process has enough to do until the statement is through. While one stores 64 events for ten webhooks
/// each, about 300 deliveries are sent.
pub(super) const ENOUGH: usize = 384;
/// After each stretch it is checked whether fewer deliveries wait.
const STRETCH: Duration = Duration::from_millis(10);
const PACE: Duration = Duration::from_millis(1);

/// How long what is left after a wait in vain is taken for stuck at first, and how often that time is doubled at most.
const AT_FIRST: Duration = Duration::from_millis(100);
const DOUBLINGS: u32 = 4;

/// Lets statements wait, but not again and again for what does not move: the lane of a receiver that takes less than comes in stays full,
/// and everybody else's events would wait for it. What is left after a wait in vain is taken for stuck, and only what exceeds it is waited
/// for, until it is time to check whether that still holds: after twice as long each time it does.
pub(super) struct Pacer {
    target: Option<Arc<dyn HandOffTarget>>,
    /// Stretches that each statement waits at most.
    patience: u16,
    past: Mutex<Past>,
}

/// What the last waits taught.
#[derive(Clone, Copy)]
struct Past {
    /// How many waits for everything were in vain since the last that was not.
    vain: u32,
    /// Deliveries that are taken for stuck.
    stuck: usize,
    /// Until when.
    until: Instant,
}

impl Pacer {
    pub(super) fn new(target: Option<Arc<dyn HandOffTarget>>, patience: u16) -> Self {
        let past = Past { vain: 0, stuck: 0, until: Instant::now() };
        Self { target, patience, past: Mutex::new(past) }
    }

    /// Waits until a large statement may begin.
    pub(super) async fn pace(&self) {
        let Some(target) = &self.target else { return };
        let past = *self.past();
        let is_for_all = Instant::now() >= past.until;
        let beyond = if is_for_all { 0 } else { past.stuck };
        let caught_up = catch_up(&**target, beyond + ENOUGH, self.patience).await;
        *self.past() = match caught_up {
            Ok(_) if is_for_all => Past { vain: 0, stuck: 0, ..past },
            Ok(waiting) => Past { stuck: past.stuck.min(waiting), ..past },
            Err(stuck) if is_for_all => {
                let until = Instant::now() + AT_FIRST * 2_u32.pow(past.vain.min(DOUBLINGS));
                Past { vain: past.vain.saturating_add(1), stuck, until }
            }
            Err(stuck) => Past { stuck, ..past },
        };
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until at most `enough` are left to send, and says how many are. Progress is checked after each stretch ([`STRETCH`]).
///
/// # Errors
/// With how many are expected to stay. If a stretch took away too little, net of what came meanwhile (less than its part of the excess, or
/// of a quarter of [`ENOUGH`] if that is less), it is all that are left. If `patience` stretches went by, it is what as many more, each as
/// good as the last, would leave.
async fn catch_up(target: &dyn HandOffTarget, enough: usize, patience: u16) -> Result<usize, usize> {
    let begun = Instant::now();
    let (mut before, mut since) = (target.waiting(), begun);
    loop {
        let waiting = target.waiting();
        if waiting <= enough {
            return Ok(waiting);
        }
        if since.elapsed() >= STRETCH {
            let sent = before.saturating_sub(waiting);
            if sent < before.saturating_sub(enough).min(ENOUGH / 4).div_ceil(patience.into()) {
                return Err(waiting);
            }
            if begun.elapsed() >= STRETCH * patience.into() {
                return Err(waiting.saturating_sub(sent * usize::from(patience)));
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

    /// Whether a target caught up within so many stretches, and how often it was asked until then.
    async fn asked(waiting: usize, stuck: usize, patience: u16) -> (bool, usize) {
        let target = Sending::new(waiting, stuck);
        let caught_up = timeout(Duration::from_secs(10), catch_up(&*target, ENOUGH, patience)).await.expect("an end");
        (caught_up.is_ok(), target.asked())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_handed_over_is_waited_for_while_it_is_sent() {
        assert_eq!(asked(ENOUGH, 0, 20).await, (true, 2));
        assert_eq!(asked(ENOUGH + 5, 0, 20).await, (true, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_move_is_not_waited_for_all_the_time() {
        let pacer = Pacer::new(Some(Sending::new(10 * ENOUGH, 10 * ENOUGH)), 5);
        let waits = async || {
            let begun = Instant::now();
            pacer.pace().await;
            begun.elapsed() >= STRETCH
        };
        assert_eq!([waits().await, waits().await], [true, false], "it was in vain just now");
        sleep(AT_FIRST).await;
        assert_eq!([waits().await, waits().await], [true, false], "it may have moved since");
        sleep(AT_FIRST).await;
        assert!(!waits().await, "it was in vain twice");
        sleep(AT_FIRST).await;
        assert!(waits().await);
        for _ in 0..40 {
            sleep(AT_FIRST * 2_u32.pow(DOUBLINGS)).await;
            assert!(waits().await, "however often it was in vain, after that time all is looked at");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn beside_what_does_not_move_the_rest_is_waited_for() {
        let stuck = 10 * ENOUGH;
        // Far more than has to be sent in each stretch.
        let target = Sending::at_a_time(20, stuck, stuck);
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5);
        let (begun, mut idle, mut statements) = (Instant::now(), Duration::ZERO, 0);
        while begun.elapsed() < Duration::from_mins(1) {
            let before = Instant::now();
            pacer.pace().await;
            let waiting = target.waiting();
            assert!(waiting <= stuck + ENOUGH, "{} wait that move", waiting - stuck);
            idle += if waiting == stuck { before.elapsed() } else { Duration::ZERO };
            target.hand_over(100);
            statements += 1;
        }
        assert!(idle < Duration::from_secs(2), "{idle:?} of a minute nothing was sent");
        assert!(statements > 10_000, "{statements} statements");
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_again_is_waited_for_again() {
        let target = Sending::new(10 * ENOUGH, 10 * ENOUGH);
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5);
        pacer.pace().await;
        let learnt = || {
            let past = *pacer.past();
            (past.vain, past.stuck)
        };
        assert_eq!(learnt(), (1, 10 * ENOUGH));
        target.free(5 * ENOUGH);
        pacer.pace().await;
        assert_eq!(learnt(), (1, 5 * ENOUGH), "half of it is gone");
        target.free(0);
        sleep(AT_FIRST).await;
        pacer.pace().await;
        assert_eq!(learnt(), (0, 0));
        target.hand_over(ENOUGH + 5);
        pacer.pace().await;
        assert!(target.waiting() <= ENOUGH);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_slow_is_not_taken_for_stuck() {
        // As much again as was sent would be if there were more patience.
        let target = Sending::at_a_time(4, 3 * ENOUGH, 0);
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5);
        pacer.pace().await;
        let left = target.waiting();
        let stuck = pacer.past().stuck;
        assert!(left > 2 * ENOUGH && stuck + 150 <= left, "{stuck} of {left}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_gets_stuck_meanwhile_does_not_put_off_the_look_at_all() {
        let target = Sending::new(10 * ENOUGH, 10 * ENOUGH);
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5);
        pacer.pace().await;
        let Past { vain, until, .. } = *pacer.past();
        target.free(12 * ENOUGH);
        pacer.pace().await;
        let past = *pacer.past();
        assert_eq!((past.vain, past.stuck, past.until), (vain, 12 * ENOUGH, until));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_sent_in_time_is_not_waited_for() {
        let (caught_up, stuck) = asked(ENOUGH + 5, ENOUGH + 3, 20).await;
        assert!(!caught_up && (4..30).contains(&stuck), "one stretch brought it nearer, the next did not: {stuck}");
        let (caught_up, slow) = asked(20 * ENOUGH, 0, 5).await;
        assert!(!caught_up && (3..20).contains(&slow), "it would take hundreds of stretches: {slow}");
        let (caught_up, steady) = asked(20 * ENOUGH, 0, 20).await;
        assert!(!caught_up && (150..250).contains(&steady), "each brings it nearer, and there are twenty: {steady}");
    }
}
