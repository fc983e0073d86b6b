//! The settler: results of many attempts in one statement.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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
use crate::store::Store;
use crate::store::outbox::settle::Settlement;
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
            let desk = Desk { store, clock, lease, vitals, meters: telemetry.meters };
            tasks.spawn(record(desk, Arc::clone(&results), Arc::clone(&open)));
        }
        Self { queue, open }
    }

    /// Hands in a result; waits while too many are waiting.
    pub(super) async fn hand_in(&self, settlement: Settlement, spans: Option<AttemptSpans>) {
        self.open.count.fetch_add(1, Ordering::AcqRel);
        if self.queue.send((settlement, spans)).await.is_err() {
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
struct Desk {
    store: Store,
    clock: Clock,
    lease: Arc<Lease>,
    vitals: Arc<Vitals>,
    meters: Meters,
}

async fn record(desk: Desk, results: Arc<Mutex<mpsc::Receiver<HandedIn>>>, open: Arc<Open>) {
    loop {
        let mut batch = Vec::with_capacity(128);
        {
            let mut results = results.lock().await;
            if results.recv_many(&mut batch, BATCH).await == 0 {
                return;
            }
            if batch.len() < BATCH {
                let _ = tokio::time::timeout(LINGER, open.awaited.notified()).await;
            }
            while batch.len() < BATCH
                && let Ok(one) = results.try_recv()
            {
                batch.push(one);
            }
        }
        let count = batch.len();
        let (batch, spans): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        desk.settle(batch).await;
        for spans in spans.into_iter().flatten() {
            spans.end(desk.clock.now());
        }
        open.finish(count);
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
                Ok(settled) => {
                    self.vitals.note(&batch, &settled);
                    return self.report(&batch, &settled, begun);
                }
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
                    return;
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

    /// Counts what was recorded, and says of which results the lease had run out.
    fn report(&self, batch: &[Settlement], settled: &HashSet<DeliveryId>, begun: Instant) {
        let meters = &self.meters.dispatch;
        meters.recorded(batch.len(), batch.len().saturating_sub(settled.len()), begun.elapsed());
        for Settlement { claimed, verdict, .. } in batch {
            if settled.contains(&claimed.delivery_id) {
                meters.settled(*verdict);
            } else {
                warn!(delivery.id = %claimed.delivery_id, attempt.number = claimed.attempt, "delivery.lease_lost");
            }
        }
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
