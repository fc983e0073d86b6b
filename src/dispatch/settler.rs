//! The settler: results of many attempts in one statement.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Between two looks whether what somebody has locked is free.
const LOCKED_PAUSE: Duration = Duration::from_millis(200);

/// What is handed in, with the spans that end when it is recorded, where the attempt is traced.
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
        for _ in 0..RECORDERS {
            let Context { store, clock, telemetry, .. } = context.clone();
            let (lease, vitals) = (Arc::clone(lease), Arc::clone(vitals));
            let (tasks, open) = (tasks.clone(), Arc::clone(&open));
            let desk = Desk { store, clock, lease, vitals, meters: telemetry.meters, open, tasks: tasks.clone() };
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
    tasks: TaskTracker,
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
            let begun = Instant::now();
            let failure = match self.store.settle(&batch, self.clock.now()).await {
                Ok(settled) => return self.report(&batch, &settled, begun),
                Err(StoreError::Contended(_)) => match self.settle_unlocked(batch).await {
                    Ok(locked) => return self.settle_later(locked),
                    Err((failure, all)) => {
                        batch = all;
                        failure
                    }
                },
                Err(failure) => failure,
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

    /// Records what nobody has locked, and returns the rest; all of it with the failure, where that failed.
    async fn settle_unlocked(&self, batch: Vec<Settlement>) -> Result<Vec<Settlement>, (StoreError, Vec<Settlement>)> {
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

    /// Records what somebody has locked once they are done with it, beside everything else.
    fn settle_later(&self, mut locked: Vec<Settlement>) {
        let this = self.clone();
        self.tasks.spawn(async move {
            while !locked.is_empty() {
                tokio::time::sleep(LOCKED_PAUSE).await;
                locked = match this.settle_unlocked(locked).await {
                    Ok(locked) => locked,
                    Err((failure, all)) if failure.is_passing() => all,
                    Err((_, all)) => return Box::pin(this.settle(all)).await,
                };
            }
        });
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
