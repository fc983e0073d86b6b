//! Batches without idempotency keys: those that wait at the same time are stored in one statement. Nothing in them can conflict, so
//! that it stores all of them or none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::{AcceptError, BATCH, Desk, HandOffTarget};
use crate::store::outbox::accept::{Accepted, NewEvent};
use crate::telemetry::meters::Source;

/// Statements for batches that are under way at once: the connections are for everybody.
pub(super) const STATEMENTS: u32 = 2;
/// A statement for so many events is alone, and waits for a while until this process has sent most of what it was handed over: what is
/// stored faster than it can be delivered has to be claimed back later, which costs twice.
const LARGE: usize = 64;
/// With so many to send it has enough to do.
const ENOUGH: usize = 256;
/// That is waited for at most for so many stretches of time, and only while each brings it nearer by its share: what waits may be for
/// receivers that are slow, or hang.
const STRETCHES: u32 = 20;
const STRETCH: Duration = Duration::from_millis(10);
const PACE: Duration = Duration::from_millis(1);
/// KiB of memory that the batches of a statement take, unless it is only one: a small one must not wait for many large ones.
const MEMORY_KIB: usize = 4 * 1024;

/// A batch that waits.
pub(super) struct Waiting {
    pub(super) events: Vec<NewEvent>,
    pub(super) answer: oneshot::Sender<Result<Vec<Accepted>, AcceptError>>,
    /// Its share of the memory that waiting events may take.
    pub(super) share: OwnedSemaphorePermit,
}

impl Waiting {
    /// A producer that hung up meanwhile does not want to know.
    fn tell(self, answer: Result<Vec<Accepted>, AcceptError>) {
        let _ = self.answer.send(answer);
    }
}

/// Gathers what waits and has it stored, until the last way in is closed.
pub(super) async fn flush(desk: Desk, waiting: mpsc::Receiver<Waiting>, turns: Arc<Semaphore>, tasks: TaskTracker) {
    let mut queue = Queue { waiting, next: None };
    while let Some(first) = queue.first().await {
        let Some((batches, turn)) = queue.gather(first, &desk, &turns).await else { return };
        let desk = desk.clone();
        tasks.spawn(async move {
            desk.answer_batches(batches).await;
            drop(turn);
        });
    }
}

/// What waits, in its order.
struct Queue {
    waiting: mpsc::Receiver<Waiting>,
    /// There was no room for it in the last statement.
    next: Option<Waiting>,
}

impl Queue {
    async fn first(&mut self) -> Option<Waiting> {
        match self.next.take() {
            Some(next) => Some(next),
            None => self.waiting.recv().await,
        }
    }

    /// Adds what comes until the statement may begin, or is full.
    async fn gather(
        &mut self,
        first: Waiting,
        desk: &Desk,
        turns: &Arc<Semaphore>,
    ) -> Option<(Vec<Waiting>, OwnedSemaphorePermit)> {
        let (mut events, mut memory) = (first.events.len(), first.share.num_permits());
        let mut batches = vec![first];
        let mut is_large = events >= LARGE;
        let mut turn = Box::pin(desk.turn(turns, is_large));
        let mut is_open = true;
        loop {
            tokio::select! {
                biased;
                more = self.waiting.recv(), if is_open && self.next.is_none() => {
                    let Some(batch) = more else {
                        is_open = false;
                        continue;
                    };
                    let with_it = (events + batch.events.len(), memory + batch.share.num_permits());
                    if with_it.0 > BATCH || with_it.1 > MEMORY_KIB {
                        self.next = Some(batch);
                        continue;
                    }
                    (events, memory) = with_it;
                    batches.push(batch);
                    if events >= LARGE && !is_large {
                        is_large = true;
                        turn = Box::pin(desk.turn(turns, is_large));
                    }
                }
                turn = &mut turn => return Some((batches, turn?)),
            }
        }
    }
}

/// Waits until the target has little that it has not begun to send, or it shows that it will be long until then.
async fn caught_up(target: &dyn HandOffTarget) {
    let (mut before, mut since) = (target.waiting(), Instant::now());
    loop {
        let waiting = target.waiting();
        if waiting <= ENOUGH {
            return;
        }
        if since.elapsed() >= STRETCH {
            let share = before.saturating_sub(ENOUGH).div_ceil(STRETCHES as usize);
            if waiting + share > before {
                return;
            }
            (before, since) = (waiting, Instant::now());
        }
        sleep(PACE).await;
    }
}

impl Desk {
    /// A turn for a statement; all of them for a large one, which begins when what was handed over is on its way.
    async fn turn(&self, turns: &Arc<Semaphore>, is_large: bool) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(turns).acquire_many_owned(if is_large { STATEMENTS } else { 1 }).await.ok()?;
        if let Some(target) = self.target.as_ref().filter(|_| is_large) {
            let _ = timeout(STRETCH * STRETCHES, caught_up(&**target)).await;
        }
        Some(turn)
    }

    /// Stores batches in one statement, or each by itself where that fails for one of them, and tells each producer what became of its own.
    async fn answer_batches(&self, mut waiting: Vec<Waiting>) {
        // Who hung up before it began has it not begun.
        waiting.retain(|batch| !batch.answer.is_closed());
        if waiting.is_empty() {
            return;
        }
        let lengths: Vec<_> = waiting.iter().map(|batch| batch.events.len()).collect();
        let events: Vec<_> = waiting.iter_mut().flat_map(|batch| std::mem::take(&mut batch.events)).collect();
        let mut failed = match self.store(&events, Source::Batch).await {
            Ok(accepted) => {
                let mut accepted = accepted.into_iter();
                for (batch, length) in waiting.into_iter().zip(lengths) {
                    batch.tell(Ok(accepted.by_ref().take(length).collect()));
                }
                return;
            }
            // What hinders one hinders all.
            Err(error) if waiting.len() == 1 || error.is_passing() => Some(AcceptError::from(error)),
            Err(_) => None,
        };
        let mut rest = &events[..];
        for (batch, length) in waiting.into_iter().zip(lengths) {
            let (own, others) = rest.split_at(length);
            rest = others;
            let stored = match &failed {
                Some(error) => Err(error.clone()),
                None => self.store(own, Source::Batch).await.map_err(|error| {
                    let is_passing = error.is_passing();
                    let error = AcceptError::from(error);
                    failed = is_passing.then(|| error.clone());
                    error
                }),
            };
            batch.tell(stored);
        }
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

    /// How often a target was asked until it had caught up.
    async fn asked(waiting: usize, stuck: usize) -> usize {
        let target = Sending { waiting: waiting.into(), stuck, asked: AtomicUsize::new(0) };
        timeout(Duration::from_secs(10), caught_up(&target)).await.expect("an end");
        target.asked.into_inner()
    }

    #[tokio::test]
    async fn what_was_handed_over_is_waited_for_while_it_is_sent() {
        assert!(asked(ENOUGH, 0).await <= 2);
        assert_eq!(asked(ENOUGH + 5, 0).await, 6);
    }

    #[tokio::test]
    async fn what_is_not_sent_in_time_is_not_waited_for() {
        let stuck = asked(ENOUGH + 5, ENOUGH + 3).await;
        assert!((4..30).contains(&stuck), "one stretch brought it nearer, the next did not: {stuck}");
        let slow = asked(20 * ENOUGH, 0).await;
        assert!((3..20).contains(&slow), "it would take thousands of times as long as one stretch: {slow}");
    }
}
