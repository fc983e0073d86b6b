//! Pacing: what is stored faster than it can be delivered has to be claimed back later, which costs twice. So a statement for many
//! events waits for a while until this process has sent most of what it was handed over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::HandOffTarget;

/// A statement for so many events waits.
pub(super) const LARGE: usize = 64;
/// With so many to send a process has enough to do until the statement is through. While one stores 64 events for ten webhooks each, some
/// 300 deliveries are sent.
pub(super) const ENOUGH: usize = 384;
/// That is waited for at most for some stretches of time, and only while each brings it nearer by its share: what waits may be for
/// receivers that are slow, or hang.
const STRETCH: Duration = Duration::from_millis(10);
const PACE: Duration = Duration::from_millis(1);

/// How often the pause after a wait in vain is doubled at most.
const DOUBLINGS: u32 = 6;

/// Lets statements wait, and no more for a while after one did in vain: for twice as long each time that it was in vain again. A lane of a
/// receiver that hangs stays full, and all others' events would wait for it.
pub(super) struct Pacer {
    target: Option<Arc<dyn HandOffTarget>>,
    /// Stretches that each waits at most.
    patience: u16,
    /// How long none waits after the first that waited in vain.
    unpaced: Duration,
    past: Mutex<Past>,
}

/// What the last waits taught.
struct Past {
    /// How many were in vain since one was not.
    vain: u32,
    /// From when on statements wait again.
    from: Instant,
}

impl Pacer {
    pub(super) fn new(target: Option<Arc<dyn HandOffTarget>>, patience: u16, unpaced: Duration) -> Self {
        Self { target, patience, unpaced, past: Mutex::new(Past { vain: 0, from: Instant::now() }) }
    }

    /// Waits until a statement for so many events may begin.
    pub(super) async fn pace(&self, events: usize) {
        if events < LARGE || Instant::now() < self.past(|past| past.from) {
            return;
        }
        let caught_up = catch_up(self.target.as_ref(), self.patience).await;
        self.past(|past| {
            if caught_up {
                past.vain = 0;
            } else {
                past.from = Instant::now() + self.unpaced * 2_u32.pow(past.vain.min(DOUBLINGS));
                past.vain += 1;
            }
        });
    }

    fn past<T>(&self, look: impl FnOnce(&mut Past) -> T) -> T {
        look(&mut self.past.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits until what was handed over is on its way: `true`. Or that would take longer than so many stretches: `false`.
async fn catch_up(target: Option<&Arc<dyn HandOffTarget>>, patience: u16) -> bool {
    let Some(target) = target else { return true };
    timeout(STRETCH * patience.into(), caught_up(&**target, patience)).await.unwrap_or(false)
}

async fn caught_up(target: &dyn HandOffTarget, patience: u16) -> bool {
    let (mut before, mut since) = (target.waiting(), Instant::now());
    loop {
        let waiting = target.waiting();
        if waiting <= ENOUGH {
            return true;
        }
        if since.elapsed() >= STRETCH {
            let share = before.saturating_sub(ENOUGH).div_ceil(patience.into());
            if waiting + share > before {
                return false;
            }
            (before, since) = (waiting, Instant::now());
        }
        sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::lease::Claimed;
    use crate::store::outbox::accept::HandOff;

    /// So many wait, and it begins with one every time it is asked, down to `stuck`.
    struct Sending {
        waiting: AtomicUsize,
        stuck: usize,
        asked: AtomicUsize,
    }

    impl HandOffTarget for Sending {
        fn offer(&self) -> Option<HandOff> {
            None
        }

        fn waiting(&self) -> usize {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let next = |waiting: usize| Some(waiting.saturating_sub(1).max(self.stuck));
            self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).expect("a number")
        }

        fn take(&self, _: Vec<Claimed>) {}

        fn doubt(&self) {}
    }

    /// Whether a target caught up, and how often it was asked until then.
    async fn asked(waiting: usize, stuck: usize) -> (bool, usize) {
        let target = Sending { waiting: waiting.into(), stuck, asked: AtomicUsize::new(0) };
        let caught_up = timeout(Duration::from_secs(10), caught_up(&target, 20)).await.expect("an end");
        (caught_up, target.asked.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_handed_over_is_waited_for_while_it_is_sent() {
        assert_eq!(asked(ENOUGH, 0).await, (true, 2));
        assert_eq!(asked(ENOUGH + 5, 0).await, (true, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn where_receivers_do_not_keep_up_nothing_is_waited_for_all_the_time() {
        let waiting = ENOUGH + 5;
        let target = Arc::new(Sending { waiting: waiting.into(), stuck: waiting, asked: AtomicUsize::new(0) });
        let pacer = Pacer::new(Some(Arc::clone(&target) as _), 5, STRETCH * 10);
        let pace = async |events| {
            let (asked, begun) = (target.asked.load(Ordering::Relaxed), Instant::now());
            pacer.pace(events).await;
            (target.asked.load(Ordering::Relaxed) > asked, begun.elapsed() >= STRETCH)
        };
        assert_eq!(pace(LARGE - 1).await, (false, false), "a small statement");
        assert_eq!(pace(LARGE).await, (true, true));
        assert_eq!(pace(LARGE).await, (false, false), "it was in vain just now");
        sleep(STRETCH * 10).await;
        assert_eq!(pace(LARGE).await, (true, true), "they may have caught up since");
        sleep(STRETCH * 10).await;
        assert_eq!(pace(LARGE).await, (false, false), "it was in vain twice");
    }

    #[tokio::test(start_paused = true)]
    async fn beside_a_receiver_that_hangs_hardly_anybody_waits() {
        let hangs = Sending { waiting: 500.into(), stuck: 500, asked: AtomicUsize::new(0) };
        let pacer = Pacer::new(Some(Arc::new(hangs)), 5, STRETCH * 10);
        let (begun, mut waited) = (Instant::now(), Duration::ZERO);
        while begun.elapsed() < Duration::from_mins(1) {
            let before = Instant::now();
            pacer.pace(LARGE).await;
            waited += before.elapsed();
            sleep(PACE).await;
        }
        assert!(waited > STRETCH && waited < STRETCH * 20, "{waited:?} of a minute");

        let keeps_up = Sending { waiting: (ENOUGH + 5).into(), stuck: 0, asked: AtomicUsize::new(0) };
        let pacer = Pacer { target: Some(Arc::new(keeps_up)), ..pacer };
        sleep(STRETCH * 10 * 2_u32.pow(DOUBLINGS)).await;
        pacer.pace(LARGE).await;
        assert_eq!(pacer.past(|past| past.vain), 0, "forgotten once it helps again");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_sent_in_time_is_not_waited_for() {
        let (caught_up, stuck) = asked(ENOUGH + 5, ENOUGH + 3).await;
        assert!(!caught_up && (4..30).contains(&stuck), "one stretch brought it nearer, the next did not: {stuck}");
        let (caught_up, slow) = asked(20 * ENOUGH, 0).await;
        assert!(!caught_up && (3..20).contains(&slow), "it would take thousands of times as long: {slow}");
    }
}
