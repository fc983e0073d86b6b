//! The dispatcher: one look at the database after another, and workers in between.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::Config;
use super::chores::Chores;
use super::directory::Directory;
use super::lanes::Lanes;
use super::lease::Lease;
use super::settler::Settler;
use crate::actions::Context;
use crate::actions::accept::HandOffTarget;
use crate::domain::ids::WebhookId;
use crate::domain::lease::Claimed;
use crate::store::StoreError;
use crate::store::accept::HandOff;
use crate::store::claim::{DueLane, LaneQuota};

/// Deliveries claimed in one statement.
const CLAIM: usize = 1_000;
/// Deliveries that wait in memory; with more, accepted ones are left in the database.
const MOST_QUEUED: usize = 16 * 1024;

/// Delivers what is due, as long as it is told to.
pub struct Dispatcher {
    pub(super) context: Context,
    pub(super) config: Config,
    pub(super) lease: Lease,
    pub(super) directory: Directory,
    pub(super) settler: Settler,
    pub(super) chores: Chores,
    lanes: Mutex<Lanes>,
    /// Claimed deliveries that cannot be sent now, to be released by the next tick.
    returned: Mutex<Vec<Claimed>>,
    /// A lane runs low while more of it is in the database.
    low: Notify,
    /// A worker left or a tick put something right: time to see whether all is quiet.
    pub(super) changed: Notify,
    pub(super) closing: AtomicBool,
    pub(super) tasks: TaskTracker,
}

impl Dispatcher {
    /// Enlists this process with the database. Nothing is sent before the first [`Dispatcher::tick`].
    pub async fn start(context: Context, config: Config) -> Result<Arc<Self>, StoreError> {
        let tasks = TaskTracker::new();
        let lease = Lease::obtain(&context.store, &context.clock, config.lease()).await?;
        let settler = Settler::start(&context.store, &context.clock, &tasks);
        Ok(Arc::new(Self {
            lease,
            directory: Directory::new(context.clone()),
            settler,
            chores: Chores::default(),
            lanes: Mutex::new(Lanes::new(usize::try_from(config.max_in_flight).unwrap_or(usize::MAX))),
            returned: Mutex::default(),
            low: Notify::new(),
            changed: Notify::new(),
            closing: AtomicBool::new(false),
            tasks,
            context,
            config,
        }))
    }

    /// Dispatches until `shutdown`, then ends in order: see [`Dispatcher::close`].
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut pause = self.config.poll();
        while !shutdown.is_cancelled() {
            let began = tokio::time::Instant::now();
            if let Err(error) = self.tick().await {
                warn!(error = &error as &dyn std::error::Error, "the database cannot be asked for due deliveries");
                pause = (pause * 2).min(Duration::from_secs(1));
            } else {
                // With very many lanes a look takes long; it never takes more than a fifth of the time.
                pause = self.config.poll().max(began.elapsed() * 4);
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.low.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.close().await;
    }

    /// One look at the database: renews the lease, takes over changes, releases what cannot be sent, claims what is due.
    pub async fn tick(self: &Arc<Self>) -> Result<(), StoreError> {
        let Context { store, clock, .. } = &self.context;
        if self.lease.keep(store).await? {
            warn!("the lease ran out: what was waiting here is left to others");
            drop(self.lanes().withdraw_all());
        }
        self.directory.refresh(self.lease.last_holder()).await?;
        self.release_returned().await?;
        self.chores.tick(store, clock).await?;
        self.claim_due().await?;
        self.changed.notify_waiters();
        Ok(())
    }

    async fn release_returned(&self) -> Result<(), StoreError> {
        let returned = std::mem::take(&mut *self.returned());
        if returned.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.context.store.release(&returned).await {
            self.returned().extend(returned);
            return Err(error);
        }
        Ok(())
    }

    async fn claim_due(self: &Arc<Self>) -> Result<(), StoreError> {
        let Context { store, clock, .. } = &self.context;
        let Some(holder) = self.lease.holder().filter(|_| !self.closing.load(Ordering::Relaxed)) else { return Ok(()) };
        let due = store.due_lanes(clock.now()).await?;
        let quotas = self.within_rates(self.quotas(&due)).await?;
        if quotas.is_empty() {
            return Ok(());
        }
        let claimed = store.claim(&quotas, holder, clock.now()).await?;
        let mut counts = HashMap::new();
        for one in &claimed {
            *counts.entry(one.webhook_id).or_insert(0) += 1;
        }
        self.enqueue(claimed);
        let unused: Vec<_> = quotas
            .into_iter()
            .map(|LaneQuota { lane, quota }| LaneQuota {
                lane,
                quota: quota - counts.get(&lane.webhook_id).copied().unwrap_or(0),
            })
            .collect();
        self.note_backlogs(&unused);
        self.return_passes(unused).await
    }

    /// Cuts the quotas of webhooks with a rate limit down to what that has room for.
    async fn within_rates(&self, quotas: Vec<LaneQuota>) -> Result<Vec<LaneQuota>, StoreError> {
        let (limited, mut free): (Vec<_>, Vec<_>) =
            quotas.into_iter().partition(|quota| quota.lane.rate_limit.is_some());
        if limited.is_empty() {
            return Ok(free);
        }
        let passed = self.context.store.pass_gates(&limited, self.context.clock.now()).await?;
        let cut =
            |LaneQuota { lane, .. }| LaneQuota { lane, quota: passed.get(&lane.webhook_id).copied().unwrap_or(0) };
        free.extend(limited.into_iter().map(cut).filter(|quota| quota.quota > 0));
        Ok(free)
    }

    async fn return_passes(&self, mut unused: Vec<LaneQuota>) -> Result<(), StoreError> {
        unused.retain(|quota| quota.lane.rate_limit.is_some() && quota.quota > 0);
        if unused.is_empty() { Ok(()) } else { self.context.store.return_passes(&unused).await }
    }

    /// A lane whose quota was used up has more in the database.
    fn note_backlogs(&self, unused: &[LaneQuota]) {
        let mut lanes = self.lanes();
        for LaneQuota { lane, quota } in unused {
            lanes.note_backlog(lane.webhook_id, *quota == 0 && lane.rate_limit.is_none());
        }
    }

    /// Shares one claim out among the lanes that are due and have room, beginning anywhere.
    fn quotas(&self, due: &[DueLane]) -> Vec<LaneQuota> {
        let lanes = self.lanes();
        let free = MOST_QUEUED.saturating_sub(lanes.queued()).min(CLAIM);
        let start = rand::random_range(0..due.len().max(1));
        let (before, after) = due.split_at(start);
        let roomy: Vec<_> = after
            .iter()
            .chain(before)
            .map(|lane| (*lane, lanes.room(lane.webhook_id)))
            .filter(|(_, room)| *room > 0)
            .take(free)
            .collect();
        let share = (free / roomy.len().max(1)).max(1);
        let quota = |(lane, room): (DueLane, usize)| LaneQuota {
            lane,
            quota: u16::try_from(room.min(share)).unwrap_or(u16::MAX),
        };
        roomy.into_iter().map(quota).collect()
    }

    fn enqueue(self: &Arc<Self>, claimed: Vec<Claimed>) {
        let hired = {
            let mut lanes = self.lanes();
            let wanted = claimed.len();
            for one in claimed {
                lanes.push(one);
            }
            lanes.hire(wanted)
        };
        self.employ(hired);
    }

    fn employ(self: &Arc<Self>, workers: usize) {
        for _ in 0..workers {
            self.tasks.spawn(Arc::clone(self).work());
        }
    }

    /// A worker: one delivery after another, until none may be started.
    async fn work(self: Arc<Self>) {
        while let Some(claimed) = self.next() {
            let webhook_id = claimed.webhook_id;
            let pace = self.deliver(claimed).await;
            let (is_low, hired) = {
                let mut lanes = self.lanes();
                (lanes.done(webhook_id, pace), lanes.hire_beside(webhook_id))
            };
            self.employ(hired);
            if is_low {
                self.low.notify_one();
            }
        }
        self.changed.notify_waiters();
    }

    fn next(&self) -> Option<Claimed> {
        self.lanes().next()
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

    /// Takes back a delivery that cannot be sent now, with all that waits behind it.
    pub(super) fn give_back(&self, claimed: Claimed) {
        let rest = self.lanes().withdraw(claimed.webhook_id);
        let mut returned = self.returned();
        returned.push(claimed);
        returned.extend(rest);
    }

    /// Takes back all that waits.
    pub(super) async fn give_back_all(&self) -> Result<(), StoreError> {
        let waiting = self.lanes().withdraw_all();
        self.returned().extend(waiting);
        self.release_returned().await
    }

    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn returned(&self) -> MutexGuard<'_, Vec<Claimed>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepted deliveries come in here without a query.
impl HandOffTarget for Arc<Dispatcher> {
    fn offer(&self) -> Option<HandOff> {
        let dispatcher = self.lease.holder().filter(|_| !self.closing.load(Ordering::Relaxed))?;
        let lanes = self.lanes();
        (lanes.queued() < MOST_QUEUED).then(|| HandOff { dispatcher, crowded: lanes.crowded() })
    }

    fn take(&self, claimed: Vec<Claimed>) {
        self.enqueue(claimed);
    }
}
