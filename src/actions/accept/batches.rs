//! Batches without idempotency keys: those that wait at the same time are stored in one statement. Nothing in them can conflict, so
//! the statement stores all of them or none.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::pacing::{LARGE, Pacer};
use super::{AcceptError, BATCH, Desk};
use crate::store::outbox::accept::{Accepted, NewEvent};
use crate::telemetry::meters::Source;

/// Statements for batches under way at once: everybody shares the connections.
const STATEMENTS: u32 = 2;
/// A large one waits at most this many stretches for what was handed over to be on its way.
const PATIENCE: u16 = 20;
/// KiB of memory that the batches of a statement take at most, unless there is only one: a small batch must not wait for many large ones.
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
pub(super) async fn flush(desk: Desk, waiting: mpsc::Receiver<Waiting>, tasks: TaskTracker) {
    let turns = Arc::new(Semaphore::new(STATEMENTS as usize));
    let mut queue = Queue { waiting, next: None };
    let pacer = Pacer::new(desk.target.clone(), PATIENCE);
    while let Some(first) = queue.first().await {
        let Some((batches, turn)) = queue.gather(first, &pacer, &turns).await else { return };
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
        pacer: &Pacer,
        turns: &Arc<Semaphore>,
    ) -> Option<(Vec<Waiting>, OwnedSemaphorePermit)> {
        let (mut events, mut memory) = (first.events.len(), first.share.num_permits());
        let mut batches = vec![first];
        let mut is_large = events >= LARGE;
        let mut turn = Box::pin(begin(pacer, turns, is_large));
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
                        turn = Box::pin(begin(pacer, turns, is_large));
                    }
                }
                turn = &mut turn => return Some((batches, turn?)),
            }
        }
    }
}

/// A turn for a statement; a large one takes all of them, and begins when what was handed over is on its way.
async fn begin(pacer: &Pacer, turns: &Arc<Semaphore>, is_large: bool) -> Option<OwnedSemaphorePermit> {
    let turn = Arc::clone(turns).acquire_many_owned(if is_large { STATEMENTS } else { 1 }).await.ok()?;
    if is_large {
        pacer.pace().await;
    }
    Some(turn)
}

impl Desk {
    /// Stores batches in one statement, or each by itself where that fails for one of them, and tells each producer what became of its own.
    async fn answer_batches(&self, mut waiting: Vec<Waiting>) {
        // One whose producer hung up before it began is not begun.
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
    use super::super::fixtures::{event, waiting_at_first};
    use super::super::pacing::ENOUGH;
    use super::*;

    /// How many still wait of `ENOUGH` and some when the first statement begins, for batches of so many events.
    async fn waiting_beside(batches: &[usize]) -> usize {
        let mut producers = Vec::new();
        let fill = async |way_in: &mpsc::Sender<Waiting>| {
            for &events in batches {
                let share = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("room");
                let (answer, producer) = oneshot::channel();
                producers.push(producer);
                let batch = Waiting { events: vec![event(); events], answer, share };
                way_in.send(batch).await.unwrap_or_else(|_| panic!("the way in is closed"));
            }
        };
        waiting_at_first(ENOUGH + 36, fill, |desk, waiting| flush(desk, waiting, TaskTracker::new())).await
    }

    #[tokio::test(start_paused = true)]
    async fn large_ones_begin_when_what_was_handed_over_is_on_its_way() {
        assert_eq!(waiting_beside(&[LARGE - 1]).await, ENOUGH + 36);
        for batches in [&[LARGE][..], &[LARGE / 2, LARGE / 2]] {
            let waiting = waiting_beside(batches).await;
            assert!(waiting <= ENOUGH, "{batches:?}: {waiting} had not been sent");
        }
    }
}
