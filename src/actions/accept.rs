//! Accept: many producers' events in few transactions.
//!
//! A request hands its event to a queue and waits. Two flushers take turns: while one waits for its commit, the other takes
//! everything that queued up meanwhile, so the batch grows with the load and a lone event never waits for company.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::domain::clock::Clock;
use crate::domain::lease::Claimed;
use crate::store::accept::{Accepted, HandOff, NewEvent};
use crate::store::{Store, StoreError};

/// Statements under way at once: one being committed, one being filled.
const FLUSHERS: usize = 2;
/// Events in one statement.
const BATCH: usize = 500;
/// Events that wait; more are answered "busy".
const QUEUE: usize = 8 * 1024;

/// Who takes accepted deliveries at once, without a query: this process's dispatcher.
pub trait HandOffTarget: Send + Sync {
    /// On whose lease deliveries may be inserted now; `None` while the target can take none.
    fn offer(&self) -> Option<HandOff>;

    /// Takes deliveries that were leased under an offer.
    fn take(&self, claimed: Vec<Claimed>);

    /// A statement under an offer failed: it may have leased deliveries all the same, whose names its answer would have told.
    fn doubt(&self);
}

/// Why an event was not accepted. Nothing of it was stored, unless the connection broke while committing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AcceptError {
    /// More events are waiting than the database keeps up with.
    #[error("too many events are waiting to be stored")]
    Busy,
    /// The statement failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

struct Waiting {
    event: NewEvent,
    answer: oneshot::Sender<Result<Accepted, AcceptError>>,
}

/// The way in for events. Clones share the queue; the flushers end when the last clone is gone.
#[derive(Clone)]
pub struct Acceptor {
    queue: mpsc::Sender<Waiting>,
    desk: Desk,
}

/// What a flusher works with.
#[derive(Clone)]
struct Desk {
    store: Store,
    clock: Clock,
    target: Option<Arc<dyn HandOffTarget>>,
}

impl Acceptor {
    /// Starts the flushers on `tasks`. Without a target every delivery is left for a dispatcher elsewhere to claim.
    #[must_use]
    pub fn start(store: Store, clock: Clock, target: Option<Arc<dyn HandOffTarget>>, tasks: &TaskTracker) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let desk = Desk { store, clock, target };
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..FLUSHERS {
            tasks.spawn(flush(desk.clone(), Arc::clone(&waiting)));
        }
        Self { queue, desk }
    }

    /// Stores one event together with others that arrive at the same time; returns after the commit.
    pub async fn accept(&self, event: NewEvent) -> Result<Accepted, AcceptError> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { event, answer }).map_err(|_| AcceptError::Busy)?;
        answered.await.unwrap_or(Err(AcceptError::Busy))
    }

    /// Stores all these events in a transaction of their own, or, if one's idempotency key conflicts, none.
    pub async fn accept_batch(&self, events: Vec<NewEvent>) -> Result<Vec<Accepted>, AcceptError> {
        let Desk { store, clock, target } = &self.desk;
        let offer = target.as_ref().and_then(|target| target.offer());
        let stored = store.accept_all_or_nothing(&events, clock.now(), offer.as_ref()).await;
        let stored = stored.inspect_err(|_| self.desk.doubt(offer.as_ref()));
        let (accepted, claimed) = stored.map_err(|error| AcceptError::Store(Arc::new(error)))?;
        self.desk.hand_over(claimed);
        Ok(accepted)
    }
}

impl Desk {
    async fn store(&self, events: &[NewEvent]) -> Result<Vec<Accepted>, StoreError> {
        let offer = self.target.as_ref().and_then(|target| target.offer());
        let stored = self.store.accept(events, self.clock.now(), offer.as_ref()).await;
        let (accepted, claimed) = stored.inspect_err(|_| self.doubt(offer.as_ref()))?;
        self.hand_over(claimed);
        Ok(accepted)
    }

    fn doubt(&self, offer: Option<&HandOff>) {
        if let (Some(target), Some(_)) = (&self.target, offer) {
            target.doubt();
        }
    }

    fn hand_over(&self, claimed: Vec<Claimed>) {
        if let (Some(target), false) = (&self.target, claimed.is_empty()) {
            target.take(claimed);
        }
    }
}

async fn flush(desk: Desk, waiting: Arc<Mutex<mpsc::Receiver<Waiting>>>) {
    loop {
        let mut batch = Vec::with_capacity(64);
        if waiting.lock().await.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let (events, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|one| (one.event, one.answer)).unzip();
        let results = match desk.store(&events).await {
            Ok(accepted) => accepted.into_iter().map(Ok).collect(),
            Err(error) if error.is_passing() || events.len() == 1 => refuse_all(error, events.len()),
            // One event must not fail its neighbours.
            Err(_) => one_by_one(&desk, &events).await,
        };
        for (answer, result) in answers.into_iter().zip(results) {
            // A producer that hung up meanwhile does not want to know.
            let _ = answer.send(result);
        }
    }
}

fn refuse_all(error: StoreError, count: usize) -> Vec<Result<Accepted, AcceptError>> {
    vec![Err(AcceptError::Store(Arc::new(error))); count]
}

async fn one_by_one(desk: &Desk, events: &[NewEvent]) -> Vec<Result<Accepted, AcceptError>> {
    let mut results = Vec::with_capacity(events.len());
    for event in events {
        let stored = desk.store(std::slice::from_ref(event)).await;
        results.push(match stored.as_deref() {
            Ok([accepted]) => Ok(*accepted),
            Ok(_) => Err(AcceptError::Busy),
            Err(_) => {
                stored.map(|_| Accepted::Stored { deliveries: 0 }).map_err(|error| AcceptError::Store(Arc::new(error)))
            }
        });
    }
    results
}
