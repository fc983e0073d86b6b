//! Events one by one: what queues up while one statement is under way goes with the next, so the statement grows with the load. A
//! second one runs beside the first when many wait, and when there is hardly anything to do: a lone event never waits for company, nor for
//! another lone one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::pacing::{LARGE, Pacer};
use super::{AcceptError, BATCH, Desk};
use crate::domain::ids::TenantId;
use crate::store::StoreError;
use crate::store::outbox::accept::{Accepted, NewEvent};
use crate::telemetry::meters::Source;

/// Statements under way at once.
const STATEMENTS: u32 = 2;
/// Events that are worth a second statement while one is under way; fewer wait for that one to end, unless little is going on.
const WORTH_A_SECOND: usize = 64;
/// After a statement this large, the next one waits until as many more have come, or for a moment: those just answered mostly have more to
/// report, and under load one more statement costs more than a moment's wait.
const CROWD: usize = 8;
const LINGER: Duration = Duration::from_millis(1);

/// A large statement waits at most this many stretches for what was handed over to be on its way. Few, because others' events wait with it.
const PATIENCE: u16 = 5;

/// An event that waits.
pub(super) struct Waiting {
    pub(super) event: NewEvent,
    pub(super) producer: Producer,
}

/// Who waits for it.
pub(super) struct Producer {
    pub(super) answer: oneshot::Sender<Result<Accepted, AcceptError>>,
    /// Its share of the memory that waiting events may take.
    pub(super) share: OwnedSemaphorePermit,
}

/// Gathers what waits and has it stored, until the last way in is closed.
pub(super) async fn flush(desk: Desk, mut waiting: mpsc::Receiver<Waiting>, tasks: TaskTracker) {
    let slots = Arc::new(Semaphore::new(STATEMENTS as usize));
    let mut recent = [0; 2];
    let pacer = Pacer::new(desk.target.clone(), PATIENCE);
    loop {
        let mut batch = Vec::with_capacity(64);
        if waiting.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let Some(slot) = gather(&slots, &mut waiting, &mut batch, recent).await else { return };
        if batch.len() >= LARGE {
            pacer.pace().await;
        }
        while batch.len() < BATCH
            && let Ok(one) = waiting.try_recv()
        {
            batch.push(one);
        }
        recent = [recent[1], batch.len()];
        let suspects: Vec<_> = batch.extract_if(.., |one| desk.apart.is_suspect(&one.event)).collect();
        desk.go_apart(suspects, &tasks);
        if batch.is_empty() {
            continue;
        }
        let (desk, further) = (desk.clone(), tasks.clone());
        tasks.spawn(async move {
            desk.answer_singles(batch, &further).await;
            drop(slot);
        });
    }
}

/// Adds to a batch what comes until its statement may begin: at once where none is under way, or where this event and those of the last two
/// statements came alone; beside another one when the batch is worth it. When only one earlier statement counted instead of two, several
/// processes under full load made a third more statements. After a crowd, as many as that are given a moment to come back.
async fn gather(
    slots: &Arc<Semaphore>,
    waiting: &mut mpsc::Receiver<Waiting>,
    batch: &mut Vec<Waiting>,
    recent: [usize; 2],
) -> Option<OwnedSemaphorePermit> {
    let is_quiet = recent.iter().all(|&events| events <= 1);
    let is_under_way = slots.available_permits() < STATEMENTS as usize;
    let mut is_open = true;
    let (mut slot, is_beside) = loop {
        let is_beside = (is_quiet && batch.len() == 1) || batch.len() >= WORTH_A_SECOND;
        let wanted = if is_beside { 1 } else { STATEMENTS };
        let room = BATCH - batch.len();
        tokio::select! {
            biased;
            more = waiting.recv_many(batch, room), if is_open && room > 0 => is_open = more > 0,
            slot = Arc::clone(slots).acquire_many_owned(wanted) => break (slot.ok()?, is_beside),
        }
    };
    if !is_beside && recent[1] >= CROWD {
        // What came while it was under way is not from those it answered.
        let others = if is_under_way { batch.len() } else { 0 };
        let _ = timeout(LINGER, fill(waiting, batch, others + recent[1])).await;
    }
    slot.split(1)
}

/// Adds to a batch until it holds `wanted`.
async fn fill(waiting: &mut mpsc::Receiver<Waiting>, batch: &mut Vec<Waiting>, wanted: usize) {
    while batch.len() < wanted.min(BATCH) && waiting.recv_many(batch, BATCH - batch.len()).await > 0 {}
}

impl Producer {
    /// A producer that hung up meanwhile does not want to know.
    fn tell(self, answer: Result<Accepted, AcceptError>) {
        let _ = self.answer.send(answer);
    }
}

impl Desk {
    /// Stores events and tells each producer what became of its own.
    async fn answer_singles(&self, waiting: Vec<Waiting>, tasks: &TaskTracker) {
        let (events, producers): (Vec<_>, Vec<_>) = waiting.into_iter().map(|one| (one.event, one.producer)).unzip();
        let together = |events: Vec<_>, producers| {
            events.into_iter().zip(producers).map(|(event, producer)| Waiting { event, producer })
        };
        match self.store(&events, Source::Rest).await {
            Ok(accepted) => {
                for (producer, accepted) in producers.into_iter().zip(accepted) {
                    producer.tell(Ok(accepted));
                }
            }
            // None must wait for another's key. Of those without one nobody holds any.
            Err(StoreError::Contended(_)) if events.len() > 1 && events.iter().any(is_keyed) => {
                let (keyed, others): (Vec<_>, Vec<_>) =
                    together(events, producers).partition(|one| is_keyed(&one.event));
                self.go_apart(keyed, tasks);
                if !others.is_empty() {
                    Box::pin(self.answer_singles(others, tasks)).await;
                }
            }
            // One event must not fail its neighbours.
            Err(error) if events.len() > 1 && !error.is_passing() => {
                for Waiting { event, producer } in together(events, producers) {
                    producer.tell(self.store_one(&event).await);
                }
            }
            Err(error) => {
                let error = self.noted(&events[0], error.into());
                for producer in producers {
                    producer.tell(Err(error.clone()));
                }
            }
        }
    }

    /// Events whose keys may be held by other transactions wait for them apart, each tenant's among themselves.
    fn go_apart(&self, waiting: Vec<Waiting>, tasks: &TaskTracker) {
        let mut of_tenants: HashMap<_, Vec<_>> = HashMap::new();
        for one in waiting {
            let tenant_id = one.event.event.tenant_id;
            match self.apart.room(tenant_id, one.producer.share.num_permits()) {
                Some(room) => of_tenants.entry(tenant_id).or_default().push((one, room)),
                None => one.producer.tell(Err(AcceptError::Busy)),
            }
        }
        for (tenant_id, own) in of_tenants {
            let desk = self.clone();
            tasks.spawn(async move { desk.answer_one_by_one(tenant_id, own).await });
        }
    }

    async fn answer_one_by_one(&self, tenant_id: TenantId, waiting: Vec<(Waiting, OwnedSemaphorePermit)>) {
        let mut held = HashMap::new();
        for (Waiting { event, producer }, _room) in waiting {
            let _turn = self.apart.turn(tenant_id).await;
            // One whose producer hung up before it began is not begun.
            if producer.answer.is_closed() {
                continue;
            }
            let stored = match held.get(&event.idempotency_key) {
                Some(error) => Err(AcceptError::clone(error)),
                None => self.store_one(&event).await,
            };
            if let Some(error) = stored.as_ref().err().filter(|error| error.is_contended()) {
                held.insert(event.idempotency_key, error.clone());
            }
            producer.tell(stored);
        }
    }

    async fn store_one(&self, event: &NewEvent) -> Result<Accepted, AcceptError> {
        let stored = self.store(std::slice::from_ref(event), Source::Rest).await;
        let stored = stored.map_err(|error| self.noted(event, error.into()))?;
        stored.first().copied().ok_or(AcceptError::Busy)
    }

    /// Remembers the event's key, if another transaction holds it.
    fn noted(&self, event: &NewEvent, error: AcceptError) -> AcceptError {
        if error.is_contended() {
            self.apart.suspect(event);
        }
        error
    }
}

const fn is_keyed(event: &NewEvent) -> bool {
    event.idempotency_key.is_some()
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;
    use tokio::time::{Instant, sleep};

    use super::super::QUEUE;
    use super::super::fixtures::{event, waiting_at_first};
    use super::super::pacing::ENOUGH;
    use super::*;

    async fn come(way_in: &mpsc::Sender<Waiting>, count: usize) {
        let room = Arc::new(Semaphore::new(count));
        for _ in 0..count {
            let share = Arc::clone(&room).try_acquire_owned().expect("room");
            let producer = Producer { answer: oneshot::channel().0, share };
            let one = Waiting { event: event(), producer };
            way_in.send(one).await.unwrap_or_else(|_| panic!("the way in is closed"));
        }
    }

    /// How large a statement gets, and whether it waits out the moment, after statements of these sizes, where so many come at first and
    /// others soon after. So many slots are free before that.
    async fn gathered(recent: [usize; 2], free: u32, first: usize, later: usize) -> (usize, bool) {
        let slots = Arc::new(Semaphore::new(STATEMENTS as usize));
        let under_way = Arc::clone(&slots).acquire_many_owned(STATEMENTS - free).await.expect("slots");
        let (way_in, mut waiting) = mpsc::channel(QUEUE);
        come(&way_in, first).await;
        tokio::spawn(async move {
            pass().await;
            drop(under_way);
            pass().await;
            come(&way_in, later).await;
            // The way in stays open.
            sleep(10 * LINGER).await;
        });
        let mut batch = vec![waiting.recv().await.expect("the first")];
        let begun = Instant::now();
        let slot = gather(&slots, &mut waiting, &mut batch, recent).await.expect("a slot");
        assert_eq!(slot.num_permits(), 1);
        let took = begun.elapsed();
        assert!(took < 3 * LINGER, "{took:?}");
        (batch.len(), took >= LINGER)
    }

    /// Lets others do what they can without time passing.
    async fn pass() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_statement_begins_when_what_was_handed_over_is_on_its_way() {
        let many = ENOUGH + 36;
        let waiting = async |events| {
            let flush = |desk, waiting| flush(desk, waiting, TaskTracker::new());
            waiting_at_first(many, async |way_in| come(way_in, events).await, flush).await
        };
        assert_eq!(waiting(LARGE - 1).await, many);
        let waiting = waiting(LARGE).await;
        assert!(waiting <= ENOUGH, "{waiting} had not been sent");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_crowd_as_many_are_waited_for() {
        assert_eq!(gathered([9, 16], STATEMENTS, 3, 13).await, (16, false));
        assert_eq!(gathered([9, 16], STATEMENTS, 3, 12).await, (15, true), "and no longer than a moment");
        assert_eq!(gathered([9, CROWD], STATEMENTS, CROWD, 5).await, (CROWD, false), "all are there");
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_while_it_was_under_way_was_not_answered_by_it() {
        assert_eq!(gathered([9, 16], 1, 20, 16).await, (36, false));
        assert_eq!(gathered([9, 16], 1, 20, 15).await, (35, true));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_where_there_is_no_crowd() {
        assert_eq!(gathered([0, 0], STATEMENTS, 1, 5).await, (1, false));
        assert_eq!(gathered([CROWD, CROWD - 1], STATEMENTS, 3, 5).await, (3, false));
        assert_eq!(gathered([CROWD, CROWD - 1], 1, 3, 5).await, (3, false));
    }

    #[tokio::test(start_paused = true)]
    async fn beside_another_statement_nobody_is_waited_for() {
        assert_eq!(gathered([1, 1], 1, 1, 5).await, (1, false), "a lone event after lone ones");
        assert_eq!(gathered([64, 64], 1, WORTH_A_SECOND, 5).await, (WORTH_A_SECOND, false));
    }
}
