//! The dispatcher: a watch over lease and webhooks, one look for due deliveries after another, and workers beside them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::Config;
use super::chores::Chores;
use super::claiming::Waiting;
use super::directory::{Changes, Directory};
use super::lanes::{Lanes, Pushed};
use super::lease::Lease;
use super::settler::Settler;
use super::steady::{LONGEST_PAUSE, steadily};
use super::vitals::Vitals;
use super::workers::Crew;
use crate::actions::Context;
use crate::domain::ids::WebhookId;
use crate::domain::lease::{Claimed, Holder};
use crate::store::StoreError;

/// However many lanes run low, the database is not asked more often than this.
const LEAST_PAUSE: Duration = Duration::from_millis(2);

/// The pause while a webhook with a rate limit has something due, whatever the usual one is: what its gate lets through may be a fifth of a
/// second late; whatever would be later than that is lost.
const GATES_PAUSE: Duration = Duration::from_millis(100);

/// Delivers what is due, as long as it is told to.
pub struct Dispatcher {
    pub(super) context: Context,
    pub(super) config: Config,
    pub(super) lease: Arc<Lease>,
    pub(super) directory: Directory,
    pub(super) settler: Settler,
    pub(super) chores: Chores,
    pub(super) vitals: Arc<Vitals>,
    lanes: Mutex<Lanes>,
    pub(super) crew: Crew<Arc<Self>>,
    /// Claimed deliveries that cannot be sent now, to be released by the next look.
    returned: Mutex<Vec<Claimed>>,
    /// Webhooks whose deliveries could not be prepared, and until when none is claimed.
    pub(super) resting: Mutex<HashMap<WebhookId, Instant>>,
    /// A lane runs low while more of it is in the database.
    pub(super) low: Notify,
    /// A worker left or a tick put something right: time to see whether all is quiet.
    pub(super) maybe_quiet: Notify,
    pub(super) closing: AtomicBool,
    pub(super) tasks: TaskTracker,
}

impl Dispatcher {
    /// Enlists this process with the database. Nothing is sent before the first [`Dispatcher::tick`].
    pub async fn start(context: Context, config: Config) -> Result<Arc<Self>, StoreError> {
        let tasks = TaskTracker::new();
        let restored = context.store.date_restored().await?;
        if restored > 0 {
            info!(webhooks = restored, "webhooks that were restored from a dump are as if changed just now");
        }
        let lease = Arc::new(Lease::obtain(&context, config.lease()).await?);
        let vitals = Arc::<Vitals>::default();
        let settler = Settler::start(&context, &lease, &vitals, &tasks);
        Ok(Arc::new(Self {
            lease,
            directory: Directory::new(context.clone()),
            settler,
            chores: Chores::default(),
            vitals,
            lanes: Mutex::new(Lanes::new(usize::try_from(config.max_in_flight).unwrap_or(usize::MAX))),
            crew: Crew::new(),
            returned: Mutex::default(),
            resting: Mutex::default(),
            low: Notify::new(),
            maybe_quiet: Notify::new(),
            closing: AtomicBool::new(false),
            tasks,
            context,
            config,
        }))
    }

    /// Dispatches until `shutdown`, then ends in order: nothing new, what is under way to its end, every lease given back.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let ended = CancellationToken::new();
        let work = async {
            tokio::join!(
                self.look_on(&shutdown),
                Box::pin(self.keep_up(&shutdown)),
                Box::pin(self.follow_replays(&shutdown))
            );
            self.wind_down().await;
            ended.cancel();
        };
        // What is still under way needs the lease and a fresh view to its end.
        tokio::join!(self.watch_on(&ended), work);
        self.crew.dismiss();
        self.surrender().await;
    }

    /// Watches at a steady pace: without a lease and a fresh view nothing is sent, so nothing that may take long is done here.
    async fn watch_on(self: &Arc<Self>, ended: &CancellationToken) {
        steadily(self.config.poll(), ended, "the database cannot be asked for what changed", || self.watch()).await;
    }

    /// One look after another.
    async fn look_on(self: &Arc<Self>, shutdown: &CancellationToken) {
        let mut pause = self.config.poll();
        while !shutdown.is_cancelled() {
            let began = tokio::time::Instant::now();
            let looked = self.look().await;
            let took = began.elapsed();
            // With very many lanes a look takes long, and then at most a fifth of the time. One that only waited for the database must
            // not hold up the next.
            let usual = self.config.poll().max((took * 4).min(LONGEST_PAUSE));
            pause = match looked {
                Ok(Waiting::ForGates) => usual.min(took.max(GATES_PAUSE)),
                Ok(Waiting::ForNothing) => usual,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "the database cannot be asked for due deliveries");
                    (pause * 2).min(LONGEST_PAUSE)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                // Where it is asked for, then at most half of the time.
                () = self.low.notified() => sleep(took.clamp(LEAST_PAUSE, self.config.poll())).await,
                () = sleep(pause) => {}
            }
        }
    }

    /// One round of the watch, the upkeep and the look. Replays have rounds of their own: [`Dispatcher::replay`].
    pub async fn tick(self: &Arc<Self>) -> Result<(), StoreError> {
        self.watch().await?;
        self.upkeep().await?;
        self.look().await?;
        Ok(())
    }

    /// Renews the lease and takes over changes.
    async fn watch(&self) -> Result<(), StoreError> {
        self.crew.thin();
        if self.lease.keep(&self.context.store).await? {
            // Nobody waited for this process while its lease was over.
            self.directory.forget();
            self.take_back(|_| true);
        } else if let Some(successor) = self.lease.successor() {
            // A number that is on its way out is not to wait for a receiver that is slow.
            self.take_back(|claimed| claimed.holder.id() != successor);
        }
        match self.directory.refresh().await? {
            Changes::All => self.take_back(|_| true),
            Changes::Of(webhooks, events) if webhooks.is_empty() && events.is_empty() => {}
            // What waits for a webhook that takes nothing any more must not wait here for what is under way.
            Changes::Of(webhooks, events) => {
                self.take_back(|one| webhooks.contains(&one.webhook_id) || events.contains(&one.event.id));
            }
        }
        self.directory.tell(self.lease.ids()).await
    }

    /// Takes back what waits and matches, to be released by the next look.
    fn take_back(&self, is_such: impl Fn(&Claimed) -> bool) {
        let waiting = self.lanes().withdraw_those(is_such);
        self.returned().extend(waiting);
    }

    /// Gives back what cannot be sent, and claims.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Waiting, StoreError> {
        let looked = self.search().await;
        let (waiting, in_flight) = {
            let lanes = self.lanes();
            (lanes.queued(), lanes.in_flight())
        };
        self.context.telemetry.meters.dispatch.looked(looked.is_ok(), waiting, in_flight);
        looked
    }

    async fn search(self: &Arc<Self>) -> Result<Waiting, StoreError> {
        self.release_returned().await?;
        self.lease.retire(&self.context.store).await?;
        let waiting = self.claim_due().await?;
        self.maybe_quiet.notify_waiters();
        Ok(waiting)
    }

    async fn release_returned(&self) -> Result<(), StoreError> {
        let over = self.lanes().overflow();
        self.returned().extend(over);
        let returned = std::mem::take(&mut *self.returned());
        if returned.is_empty() {
            return Ok(());
        }
        match self.context.store.release(&returned).await {
            Ok(locked) => {
                // The next look tries again; but what is held under a number that is on its way out, or at the end, goes with the number.
                let (successor, is_end) = (self.lease.successor(), self.closing.load(Ordering::Relaxed));
                let stays = |one: &Claimed| !is_end && successor.is_none_or(|id| one.holder.id() == id);
                let kept = returned.into_iter().filter(|one| locked.contains(&one.delivery_id) && stays(one));
                self.returned().extend(kept);
                Ok(())
            }
            Err(error) => {
                self.returned().extend(returned);
                Err(error)
            }
        }
    }

    /// Queues what was claimed, as far as there is room; the rest goes back, as does what was erased while it was being claimed.
    pub(super) fn enqueue(self: &Arc<Self>, claimed: Vec<Claimed>) {
        let (hired, rest) = {
            let mut lanes = self.lanes();
            let (claimed, mut rest) = self.directory.without_erased(claimed);
            let mut startable = 0;
            for one in claimed {
                match lanes.push(one) {
                    Pushed::Startable => startable += 1,
                    Pushed::Waiting => {}
                    Pushed::Refused(one) => rest.push(one),
                }
            }
            (lanes.hire(startable), rest)
        };
        self.employ(hired);
        self.returned().extend(rest);
    }

    /// Makes a webhook's limit known to its lane, and employs workers for what may start now.
    pub(super) fn learn(self: &Arc<Self>, webhook_id: WebhookId, max_in_flight: usize) {
        let hired = {
            let mut lanes = self.lanes();
            let startable = lanes.learn(webhook_id, max_in_flight);
            lanes.hire(startable)
        };
        self.employ(hired);
    }

    /// What to lease under; `None` while nothing may be leased. Before there is a view nothing is leased: there is no news of changes until
    /// then.
    pub(super) fn claims_under(&self) -> Option<Holder> {
        // The end waits for every clone of a holder, so that is taken before it is asked whether this is the end.
        let holder = self.lease.holder()?;
        (self.directory.has_view() && !self.closing.load(Ordering::Relaxed)).then_some(holder)
    }

    /// Takes back a delivery that cannot be sent now, with all that waits behind it.
    pub(super) fn give_back(&self, claimed: Claimed) {
        let rest = self.lanes().withdraw(claimed.webhook_id);
        let mut returned = self.returned();
        returned.push(claimed);
        returned.extend(rest);
    }

    /// Takes back all that waits.
    pub(super) async fn give_back_all(&self) -> Result<(), StoreError> {
        self.take_back(|_| true);
        self.release_returned().await
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn returned(&self) -> MutexGuard<'_, Vec<Claimed>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
