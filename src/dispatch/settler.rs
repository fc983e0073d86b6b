//! The settler: results of many attempts in one statement.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Mutex, Notify, mpsc};
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::lease::Lease;
use super::spans::AttemptSpans;
use super::steady::LONGEST_PAUSE;
use super::vitals::Vitals;
use crate::actions::Context;
use crate::domain::clock::Clock;
use crate::domain::ids::DeliveryId;
use crate::store::outbox::settle::Settlement;
use crate::store::{Store, StoreError};
use crate::telemetry::meters::Meters;

/// Statements under way at once.
const RECORDERS: usize = 2;
/// How long the first result of a batch waits for others: nobody waits for it, and a statement costs as much as many rows.
/// What a process does not record before it dies is sent again.
const LINGER: Duration = Duration::from_millis(25);
/// Results in one statement.
const BATCH: usize = 500;
/// Results that wait; beyond that, workers wait to hand theirs in.
const QUEUE: usize = 1_024;
/// The first pause between tries while the database is away; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What went wrong, and the results that are not recorded for it.
type Failed = (StoreError, Vec<Settlement>);

/// What is handed in, with the spans of a traced attempt. These end when its batch is done with: it is recorded, or is left for later
/// because somebody has its delivery locked.
type HandedIn = (Settlement, Option<AttemptSpans>);

/// Takes results and records them.
#[derive(Debug, Clone)]
pub(super) struct Settler {
    queue: mpsc::Sender<HandedIn>,
    open: Arc<Open>,
}

/// Results handed in and not yet recorded.
#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    none: Notify,
    /// Somebody waits until there is none.
    awaited: Notify,
}

impl Settler {
    /// Starts recording on `tasks`; ends when every clone is gone and all is recorded.
    pub(super) fn start(context: &Context, lease: &Arc<Lease>, vitals: &Arc<Vitals>, tasks: &TaskTracker) -> Self {
        let (queue, results) = mpsc::channel(QUEUE);
        let results = Arc::new(Mutex::new(results));
        let open = Arc::new(Open::default());
        let locked = Arc::default();
        for _ in 0..RECORDERS {
            let Context { store, clock, telemetry, .. } = context.clone();
            let (lease, vitals) = (Arc::clone(lease), Arc::clone(vitals));
            let (tasks, open) = (tasks.clone(), Arc::clone(&open));
            let (meters, locked) = (telemetry.meters, Arc::clone(&locked));
            let desk = Desk { store, clock, lease, vitals, meters, open, locked, tasks: tasks.clone() };
            tasks.spawn(record(desk, Arc::clone(&results)));
        }
        Self { queue, open }
    }

    /// Hands in a result; waits while too many are waiting.
    pub(super) async fn hand_in(&self, settlement: Settlement, spans: Option<AttemptSpans>) {
        self.open.count.fetch_add(1, Ordering::AcqRel);
        if let Err(SendError((lost, _))) = self.queue.send((settlement, spans)).await {
            error!(delivery.id = %lost.claimed.delivery_id, "nobody records results any more: start this process anew");
            self.open.finish(1);
        }
    }

    /// Waits until all that was handed in is recorded.
    pub(super) async fn settled(&self) {
        loop {
            let notified = self.open.none.notified();
            if self.open.count.load(Ordering::Acquire) == 0 {
                return;
            }
            self.open.awaited.notify_one();
            notified.await;
        }
    }
}

impl Open {
    fn finish(&self, count: usize) {
        if self.count.fetch_sub(count, Ordering::AcqRel) == count {
            self.none.notify_waiters();
        }
    }
}

/// What a recorder works with.
#[derive(Clone)]
struct Desk {
    store: Store,
    clock: Clock,
    lease: Arc<Lease>,
    vitals: Arc<Vitals>,
    meters: Meters,
    open: Arc<Open>,
    locked: Arc<std::sync::Mutex<Locked>>,
    tasks: TaskTracker,
}

/// Results whose deliveries somebody has locked, such as the deletion of their webhook.
#[derive(Debug, Default)]
struct Locked {
    waiting: Vec<Settlement>,
    /// A task tries them again and again.
    is_tended: bool,
}

async fn record(desk: Desk, results: Arc<Mutex<mpsc::Receiver<HandedIn>>>) {
    loop {
        let mut batch = Vec::with_capacity(128);
        {
            let mut results = results.lock().await;
            if results.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            if batch.len() < BATCH {
                let _ = tokio::time::timeout(LINGER, desk.open.awaited.notified()).await;
            }
            while batch.len() < BATCH
                && let Ok(one) = results.try_recv()
            {
                batch.push(one);
            }
        }
        let (batch, spans): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        desk.settle(batch).await;
        for spans in spans.into_iter().flatten() {
            spans.end(desk.clock.now());
        }
    }
}

impl Desk {
    /// Records a batch; while the database is away, tries until it is back. A result whose lease ran out meanwhile is dropped by
    /// the statement itself.
    async fn settle(&self, mut batch: Vec<Settlement>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.try_to_settle(batch).await {
                Ok(()) => return,
                Err((failure, all)) => {
                    batch = all;
                    failure
                }
            };
            if failure.is_passing() {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    results = batch.len(),
                    "results wait for the database"
                );
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else if let [settlement] = &mut batch[..] {
                error!(error = &failure as &dyn std::error::Error, delivery.id = %settlement.claimed.delivery_id, "a result cannot be recorded");
                // What the receiver answered is all that can be odd about it.
                if !forget_answer(settlement) {
                    // It is still leased, and nobody here knows of it any more.
                    self.lease.doubt();
                    return self.open.finish(1);
                }
            } else {
                // One result must not hold up its neighbours.
                for one in batch {
                    Box::pin(self.settle(vec![one])).await;
                }
                return;
            }
        }
    }

    /// Records a batch, but for what somebody has locked: that is recorded later. All of it comes back with the failure, where it fails.
    async fn try_to_settle(&self, batch: Vec<Settlement>) -> Result<(), Failed> {
        // Where somebody has locked some, more of them come, and each would be waited for.
        if !self.locked().is_tended {
            let begun = Instant::now();
            match self.store.settle(&batch, self.clock.now()).await {
                Ok(settled) => {
                    self.report(&batch, &settled, begun);
                    return Ok(());
                }
                Err(StoreError::Contended(_)) => {}
                Err(failure) => return Err((failure, batch)),
            }
        }
        let locked = self.settle_unlocked(batch).await?;
        self.settle_later(locked);
        Ok(())
    }

    /// Records what nobody has locked, and returns the rest.
    async fn settle_unlocked(&self, batch: Vec<Settlement>) -> Result<Vec<Settlement>, Failed> {
        let begun = Instant::now();
        match self.store.settle_unlocked(&batch, self.clock.now()).await {
            Ok((settled, locked)) => {
                let (locked, rest): (Vec<_>, Vec<_>) =
                    batch.into_iter().partition(|one| locked.contains(&one.claimed.delivery_id));
                self.report(&rest, &settled, begun);
                Ok(locked)
            }
            Err(failure) => Err((failure, batch)),
        }
    }

    /// Has what somebody has locked recorded once they are done with it, beside everything else.
    fn settle_later(&self, results: Vec<Settlement>) {
        let mut locked = self.locked();
        locked.waiting.extend(results);
        if !locked.waiting.is_empty() && !std::mem::replace(&mut locked.is_tended, true) {
            self.tasks.spawn(self.clone().tend());
        }
    }

    async fn tend(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            let batch: Vec<_> = {
                let waiting = &mut self.locked().waiting;
                waiting.drain(..waiting.len().min(BATCH)).collect()
            };
            let count = batch.len();
            let left = match self.settle_unlocked(batch).await {
                Ok(left) => left,
                Err((failure, all)) if failure.is_passing() => all,
                Err((_, all)) => {
                    Box::pin(self.settle(all)).await;
                    Vec::new()
                }
            };
            pause = if left.len() < count { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            let mut locked = self.locked();
            locked.waiting.extend(left);
            if locked.waiting.is_empty() {
                locked.is_tended = false;
                return;
            }
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Locked> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was recorded, and says of which results the lease had run out.
    fn report(&self, batch: &[Settlement], settled: &HashSet<DeliveryId>, begun: Instant) {
        if batch.is_empty() {
            return;
        }
        self.vitals.note(batch, settled);
        let meters = &self.meters.dispatch;
        meters.recorded(batch.len(), batch.len().saturating_sub(settled.len()), begun.elapsed());
        for Settlement { claimed, verdict, .. } in batch {
            if settled.contains(&claimed.delivery_id) {
                meters.settled(*verdict);
            } else {
                warn!(delivery.id = %claimed.delivery_id, attempt.number = claimed.attempt, "delivery.lease_lost");
            }
        }
        self.open.finish(batch.len());
    }
}

/// Drops the text of an answer; `false` if there is none.
fn forget_answer(settlement: &mut Settlement) -> bool {
    let Some(answer) = settlement.attempt.as_mut().and_then(|attempt| attempt.outcome.answer.as_mut()) else {
        return false;
    };
    let had_text = !(answer.headers.is_empty() && answer.body.is_empty());
    answer.headers.clear();
    answer.body.clear();
    had_text
}
