//! Accept: many producers' events in few transactions.
//!
//! A request hands its event to a queue and waits. What queues up while one statement is under way goes with the next, so the
//! batch grows with the load. A second statement runs beside the first when many wait, and when hardly anything is to do: a lone event
//! never waits for company, nor for another lone one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::Context;
use crate::domain::clock::Clock;
use crate::domain::lease::Claimed;
use crate::failpoint::failpoint;
use crate::store::outbox::accept::{Accepted, HandOff, NewEvent};
use crate::store::{Store, StoreError};
use crate::telemetry::meters::{Meters, Source};

/// Statements under way at once.
const STATEMENTS: u32 = 2;
/// Events that are worth a second statement while one is under way; fewer wait for its end, unless it is quiet.
const WORTH_A_SECOND: usize = 64;
/// After a batch this large, the next one waits for company: under load, a statement more costs more than a moment less.
const CROWD: usize = 8;
const LINGER: Duration = Duration::from_millis(1);
/// Events in one statement.
const BATCH: usize = 500;
/// Events that wait, and KiB of memory that they take; more are answered "busy".
const QUEUE: usize = 8 * 1024;
const MEMORY_KIB: u32 = 128 * 1024;
/// Batches that are stored at once: the connections are for everybody.
const BATCHES: u32 = 2;
/// A batch with so many events is stored alone: one at a time keeps the database as busy as deliveries leave it. Two would store more
/// than can be delivered, and what has to be claimed back later costs twice.
const LARGE: usize = 64;

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
    /// Its share of the memory that waiting events may take.
    share: OwnedSemaphorePermit,
}

/// The way in for events. Clones share the queue; the flusher ends when the last clone is gone.
#[derive(Clone)]
pub struct Acceptor {
    queue: mpsc::Sender<Waiting>,
    memory: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    desk: Desk,
}

/// What the flusher works with.
#[derive(Clone)]
struct Desk {
    store: Store,
    clock: Clock,
    target: Option<Arc<dyn HandOffTarget>>,
    meters: Meters,
}

impl Acceptor {
    /// Starts the flusher on `tasks`. Without a target every delivery is left for a dispatcher elsewhere to claim.
    #[must_use]
    pub fn start(context: &Context, target: Option<Arc<dyn HandOffTarget>>, tasks: &TaskTracker) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let Context { store, clock, telemetry, .. } = context.clone();
        let desk = Desk { store, clock, target, meters: telemetry.meters };
        tasks.spawn(flush(desk.clone(), waiting, tasks.clone()));
        let memory = Arc::new(Semaphore::new(MEMORY_KIB as usize));
        Self { queue, memory, batches: Arc::new(Semaphore::new(BATCHES as usize)), desk }
    }

    /// Stores one event together with others that arrive at the same time; returns after the commit.
    pub async fn accept(&self, event: NewEvent) -> Result<Accepted, AcceptError> {
        let share = kibibytes(std::slice::from_ref(&event));
        let share = Arc::clone(&self.memory).try_acquire_many_owned(share).map_err(|_| AcceptError::Busy)?;
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { event, answer, share }).map_err(|_| AcceptError::Busy)?;
        answered.await.unwrap_or(Err(AcceptError::Busy))
    }

    /// Stores all these events in a transaction of their own, or, if one's idempotency key conflicts, none. It is carried to
    /// its end even if nobody waits for the result any more.
    pub async fn accept_batch(&self, events: Vec<NewEvent>) -> Result<Vec<Accepted>, AcceptError> {
        let share = kibibytes(&events);
        let share = Arc::clone(&self.memory).try_acquire_many_owned(share).map_err(|_| AcceptError::Busy)?;
        // One with keys may have to wait for another transaction with the same key, and then not for the others' time.
        let is_keyed = events.iter().any(|new| new.idempotency_key.is_some());
        let slots = if events.len() >= LARGE && !is_keyed { BATCHES } else { 1 };
        let turn = Arc::clone(&self.batches).acquire_many_owned(slots).await.map_err(|_| AcceptError::Busy)?;
        let desk = self.desk.clone();
        let stored = tokio::spawn(async move {
            let (_share, _turn) = (share, turn);
            let offer = Offer::from(desk.target.as_ref());
            let begun = Instant::now();
            let stored = desk.store.accept_all_or_nothing(&events, desk.clock.now(), offer.terms()).await;
            let (accepted, claimed) = stored.map_err(|error| AcceptError::Store(Arc::new(error)))?;
            failpoint!("accept.committed");
            offer.take(claimed);
            failpoint!("accept.handed_over");
            desk.count(Source::Batch, &accepted, begun);
            Ok(accepted)
        });
        stored.await.unwrap_or(Err(AcceptError::Busy))
    }
}

impl Desk {
    async fn store(&self, events: &[NewEvent]) -> Result<Vec<Accepted>, StoreError> {
        let offer = Offer::from(self.target.as_ref());
        let begun = Instant::now();
        let (accepted, claimed) = self.store.accept(events, self.clock.now(), offer.terms()).await?;
        failpoint!("accept.committed");
        offer.take(claimed);
        failpoint!("accept.handed_over");
        self.count(Source::Rest, &accepted, begun);
        Ok(accepted)
    }

    fn count(&self, source: Source, accepted: &[Accepted], begun: Instant) {
        let duplicates = accepted.iter().filter(|one| matches!(one, Accepted::Duplicate(_))).count();
        let conflicts = accepted.iter().filter(|one| matches!(one, Accepted::Conflict(_))).count();
        // Where a batch conflicts, nothing of it is stored.
        let stored = if source == Source::Batch && conflicts > 0 { 0 } else { accepted.len() - duplicates - conflicts };
        self.meters.accept.stored(source, stored, duplicates);
        self.meters.accept.flushed(accepted.len(), begun.elapsed());
    }
}

/// A target's offer while a statement is under way. Unless its deliveries are taken, the target is told to doubt it.
struct Offer<'a>(Option<(&'a Arc<dyn HandOffTarget>, HandOff)>);

impl<'a> Offer<'a> {
    fn from(target: Option<&'a Arc<dyn HandOffTarget>>) -> Self {
        Self(target.and_then(|target| Some((target, target.offer()?))))
    }

    fn terms(&self) -> Option<&HandOff> {
        self.0.as_ref().map(|(_, terms)| terms)
    }

    fn take(mut self, claimed: Vec<Claimed>) {
        if let Some((target, _terms)) = self.0.take()
            && !claimed.is_empty()
        {
            target.take(claimed);
        }
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        if let Some((target, _)) = &self.0 {
            target.doubt();
        }
    }
}

/// What events take of the memory for waiting ones, overhead included.
fn kibibytes(events: &[NewEvent]) -> u32 {
    let bytes: usize = events.iter().map(|new| new.event.data.len() + 1_024).sum();
    u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX).min(MEMORY_KIB)
}

/// Gathers what waits and has it stored, until the last way in is closed.
async fn flush(desk: Desk, mut waiting: mpsc::Receiver<Waiting>, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(STATEMENTS as usize));
    let mut recent = [0; 2];
    loop {
        let mut batch = Vec::with_capacity(64);
        if waiting.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        if recent[1] >= CROWD {
            tokio::time::sleep(LINGER).await;
        }
        let Some(slot) = gather(&slots, &mut waiting, &mut batch, recent).await else { return };
        recent = [recent[1], batch.len()];
        let desk = desk.clone();
        tasks.spawn(async move {
            desk.answer(batch).await;
            drop(slot);
        });
    }
}

/// Adds to a batch what comes until its statement may begin: at once where none is under way, or where this event and the last two
/// statements' were alone; beside another one when the batch is worth it. With one statement before it instead of two, several processes
/// under full load made a third more statements.
async fn gather(
    slots: &Arc<Semaphore>,
    waiting: &mut mpsc::Receiver<Waiting>,
    batch: &mut Vec<Waiting>,
    recent: [usize; 2],
) -> Option<OwnedSemaphorePermit> {
    let is_quiet = recent.iter().all(|&events| events <= 1);
    let mut is_open = true;
    loop {
        let is_beside = (is_quiet && batch.len() == 1) || batch.len() >= WORTH_A_SECOND;
        let wanted = if is_beside { 1 } else { STATEMENTS };
        let room = BATCH - batch.len();
        tokio::select! {
            biased;
            more = waiting.recv_many(batch, room), if is_open && room > 0 => is_open = more > 0,
            slot = Arc::clone(slots).acquire_many_owned(wanted) => return slot.ok()?.split(1),
        }
    }
}

impl Desk {
    /// Stores a batch and tells each producer what became of its event.
    async fn answer(&self, batch: Vec<Waiting>) {
        let (events, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|one| (one.event, (one.answer, one.share))).unzip();
        let results = match self.store(&events).await {
            Ok(accepted) => accepted.into_iter().map(Ok).collect(),
            Err(error) if events.len() == 1 || matches!(error, StoreError::Unavailable(_)) => {
                refuse_all(error, events.len())
            }
            // One event must not fail its neighbours, nor wait for another's key with all of them behind it.
            Err(_) => one_by_one(self, &events).await,
        };
        for ((answer, _), result) in answers.into_iter().zip(results) {
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
