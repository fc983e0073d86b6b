//! Events one by one: what queues up while one statement is under way goes with the next, so the statement grows with the load. A
//! second one runs beside the first when many wait, and when hardly anything is to do: a lone event never waits for company, nor for
//! another lone one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::{AcceptError, BATCH, Desk};
use crate::store::StoreError;
use crate::store::outbox::accept::{Accepted, NewEvent};
use crate::telemetry::meters::Source;

/// Statements under way at once.
const STATEMENTS: u32 = 2;
/// Events that are worth a second statement while one is under way; fewer wait for its end, unless it is quiet.
const WORTH_A_SECOND: usize = 64;
/// After a batch this large, the next one waits for company: under load, a statement more costs more than a moment less.
const CROWD: usize = 8;
const LINGER: Duration = Duration::from_millis(1);

/// An event that waits.
pub(super) struct Waiting {
    pub(super) event: NewEvent,
    pub(super) answer: oneshot::Sender<Result<Accepted, AcceptError>>,
    /// Its share of the memory that waiting events may take.
    pub(super) share: OwnedSemaphorePermit,
}

/// Gathers what waits and has it stored, until the last way in is closed.
pub(super) async fn flush(desk: Desk, mut waiting: mpsc::Receiver<Waiting>, tasks: TaskTracker) {
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
            desk.answer_singles(batch).await;
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
    /// Stores events and tells each producer what became of its own.
    async fn answer_singles(&self, waiting: Vec<Waiting>) {
        let (events, answers): (Vec<_>, Vec<_>) =
            waiting.into_iter().map(|one| (one.event, (one.answer, one.share))).unzip();
        let results = match self.store(&events, Source::Rest).await {
            Ok(accepted) => accepted.into_iter().map(Ok).collect(),
            // One event must not fail its neighbours, nor wait for another's key with all of them behind it.
            Err(error) if events.len() > 1 && !matches!(error, StoreError::Unavailable(_)) => {
                self.one_by_one(&events).await
            }
            Err(error) => vec![Err(error.into()); events.len()],
        };
        for ((answer, _), result) in answers.into_iter().zip(results) {
            // A producer that hung up meanwhile does not want to know.
            let _ = answer.send(result);
        }
    }

    async fn one_by_one(&self, events: &[NewEvent]) -> Vec<Result<Accepted, AcceptError>> {
        let mut results = Vec::with_capacity(events.len());
        for event in events {
            let stored = self.store(std::slice::from_ref(event), Source::Rest).await;
            let first = |accepted: Vec<_>| accepted.first().copied().ok_or(AcceptError::Busy);
            results.push(stored.map_err(AcceptError::from).and_then(first));
        }
        results
    }
}
