//! Accept: many producers' events in few transactions.
//!
//! What waits at the same time goes into the database in one statement: [`singles`] gathers events that came one by one, [`batches`]
//! those that came together. Batches with idempotency keys have a transaction each. They, and single events whose key another
//! transaction holds, go [`apart`].

mod apart;
mod batches;
#[cfg(test)]
mod fixtures;
mod pacing;
mod singles;

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::Context;
use crate::domain::clock::Clock;
use crate::domain::lease::Claimed;
use crate::failpoint::failpoint;
use crate::store::outbox::accept::{Accepted, HandOff, NewEvent};
use crate::store::{Store, StoreError};
use crate::telemetry::meters::{Meters, Source};
use apart::Apart;

/// Events in one statement.
const BATCH: usize = 500;
/// Events, or batches, that may wait, and KiB of memory that they may take; more are answered "busy".
const QUEUE: usize = 8 * 1024;
const MEMORY_KIB: u32 = 128 * 1024;

/// Who takes accepted deliveries at once, without a query: this process's dispatcher.
pub trait HandOffTarget: Send + Sync {
    /// Under whose lease deliveries may be inserted now; `None` while the target can take none.
    fn offer(&self) -> Option<HandOff>;

    /// Deliveries that it has but has not begun to send, except those to receivers that did not answer in time and have not taken enough
    /// since.
    fn waiting(&self) -> usize;

    /// Takes deliveries that were leased under an offer.
    fn take(&self, claimed: Vec<Claimed>);

    /// A statement under an offer failed: it may have leased deliveries all the same, which its answer would have named.
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

impl AcceptError {
    /// Another transaction holds what the statement needed.
    fn is_contended(&self) -> bool {
        matches!(self, Self::Store(error) if matches!(**error, StoreError::Contended(_)))
    }
}

impl From<StoreError> for AcceptError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// The way in for events. Clones share the queues; those who gather from them end when the last clone is gone.
#[derive(Clone)]
pub struct Acceptor {
    singles: mpsc::Sender<singles::Waiting>,
    batches: mpsc::Sender<batches::Waiting>,
    memory: Arc<Semaphore>,
    desk: Desk,
    tasks: TaskTracker,
    /// Where all is stored and handed over, whichever runtime it comes from.
    runtime: Handle,
}

/// What storing needs.
#[derive(Clone)]
struct Desk {
    store: Store,
    clock: Clock,
    target: Option<Arc<dyn HandOffTarget>>,
    meters: Meters,
    apart: Apart,
}

impl Acceptor {
    /// Starts to gather, on `tasks` and in the runtime that this is called in. Without a target every delivery is left for a dispatcher
    /// elsewhere to claim.
    #[must_use]
    pub fn start(context: &Context, target: Option<Arc<dyn HandOffTarget>>, tasks: &TaskTracker) -> Self {
        let Context { store, clock, telemetry, .. } = context.clone();
        let desk = Desk { store, clock, target, meters: telemetry.meters, apart: Apart::default() };
        let (singles, waiting) = mpsc::channel(QUEUE);
        tasks.spawn(singles::flush(desk.clone(), waiting, tasks.clone()));
        let (batches, waiting) = mpsc::channel(QUEUE);
        tasks.spawn(batches::flush(desk.clone(), waiting, tasks.clone()));
        let memory = Arc::new(Semaphore::new(MEMORY_KIB as usize));
        Self { singles, batches, memory, desk, tasks: tasks.clone(), runtime: Handle::current() }
    }

    /// Stores one event together with others that arrive at the same time; returns after the commit.
    pub async fn accept(&self, event: NewEvent) -> Result<Accepted, AcceptError> {
        let share = self.share_for(std::slice::from_ref(&event))?;
        let (answer, answered) = oneshot::channel();
        let producer = singles::Producer { answer, share };
        self.singles.try_send(singles::Waiting { event, producer }).map_err(|_| AcceptError::Busy)?;
        answered.await.unwrap_or(Err(AcceptError::Busy))
    }

    /// Stores all these events in one transaction, or, if one's idempotency key conflicts, none. What was begun is carried to its end
    /// even if nobody waits for the result any more.
    pub async fn accept_batch(&self, events: Vec<NewEvent>) -> Result<Vec<Accepted>, AcceptError> {
        let share = self.share_for(&events)?;
        // One with keys may have to wait for another transaction with the same key, and may have to be taken back by itself.
        if let Some(keyed) = events.iter().find(|new| new.idempotency_key.is_some()) {
            let (tenant_id, apart) = (keyed.event.tenant_id, &self.desk.apart);
            let room = apart.room(tenant_id, share.num_permits()).ok_or(AcceptError::Busy)?;
            let turn = apart.turn(tenant_id).await.ok_or(AcceptError::Busy)?;
            let desk = self.desk.clone();
            let stored = async move {
                let (_share, _room, _turn) = (share, room, turn);
                desk.store_batch(&events).await.map_err(AcceptError::from)
            };
            return self.tasks.spawn_on(stored, &self.runtime).await.unwrap_or(Err(AcceptError::Busy));
        }
        let (answer, answered) = oneshot::channel();
        self.batches.try_send(batches::Waiting { events, answer, share }).map_err(|_| AcceptError::Busy)?;
        answered.await.unwrap_or(Err(AcceptError::Busy))
    }

    /// The events' share of the memory for waiting ones, overhead included.
    fn share_for(&self, events: &[NewEvent]) -> Result<OwnedSemaphorePermit, AcceptError> {
        let bytes: usize = events.iter().map(|new| new.event.data.len() + 1_024).sum();
        let kibibytes = u32::try_from(bytes.div_ceil(1_024)).unwrap_or(u32::MAX).min(MEMORY_KIB);
        Arc::clone(&self.memory).try_acquire_many_owned(kibibytes).map_err(|_| AcceptError::Busy)
    }
}

impl Desk {
    /// Stores events of any producers.
    async fn store(&self, events: &[NewEvent], source: Source) -> Result<Vec<Accepted>, StoreError> {
        let mut offer = Offer::from(self.target.as_ref());
        let begun = Instant::now();
        let stored = self.store.accept(events, self.clock.now(), offer.terms()).await;
        let stored = stored.inspect_err(|error| offer.failed(error))?;
        Ok(self.hand_over(stored, offer, source, begun))
    }

    /// Stores the events of one batch, all or none.
    async fn store_batch(&self, events: &[NewEvent]) -> Result<Vec<Accepted>, StoreError> {
        let mut offer = Offer::from(self.target.as_ref());
        let begun = Instant::now();
        let stored = self.store.accept_all_or_nothing(events, self.clock.now(), offer.terms()).await;
        let stored = stored.inspect_err(|error| offer.failed(error))?;
        Ok(self.hand_over(stored, offer, Source::Batch, begun))
    }

    fn hand_over(
        &self,
        (accepted, claimed): (Vec<Accepted>, Vec<Claimed>),
        offer: Offer<'_>,
        source: Source,
        begun: Instant,
    ) -> Vec<Accepted> {
        failpoint!("accept.committed");
        offer.take(claimed);
        failpoint!("accept.handed_over");
        self.count(source, &accepted, begun);
        accepted
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

    /// A statement that certainly did nothing leaves no doubt.
    fn failed(&mut self, error: &StoreError) {
        if error.did_nothing() {
            self.0 = None;
        }
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
