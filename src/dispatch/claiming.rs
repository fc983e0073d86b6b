//! Claiming: how much of which lane to lease from the database.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::dispatcher::Dispatcher;
use crate::actions::{ActionError, Context};
use crate::domain::ids::WebhookId;
use crate::failpoint::failpoint;
use crate::store::StoreError;
use crate::store::outbox::claim::{DueLane, LaneQuota};

/// Deliveries claimed in one statement.
const CLAIM: usize = 500;
/// What has been due for longer than this is late: it is claimed besides what is handed over, as far as its lane has room.
const LATE: TimeDelta = TimeDelta::milliseconds(250);
/// This many in one statement, with late ones left behind, are worth another statement at once.
const WORTH_ANOTHER: usize = 64;
/// How long nothing is claimed for a webhook whose delivery could not be prepared: time for somebody to look into it.
const LONG_REST: Duration = Duration::from_secs(30);
/// The same where nobody has to: the database was away, or its secret is yet to begin.
pub(super) const SHORT_REST: Duration = Duration::from_secs(1);

/// What a look leaves to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Something is due that a rate limit may let through soon.
    ForGates,
    /// Nothing that merely asking again soon would let through.
    ForNothing,
}

impl Dispatcher {
    pub(super) async fn claim_due(self: &Arc<Self>) -> Result<Waiting, StoreError> {
        let Context { store, clock, telemetry, .. } = &self.context;
        let meters = &telemetry.meters.dispatch;
        let Some(holder) = self.claims_under() else { return Ok(Waiting::ForNothing) };
        let now = clock.now();
        let due = store.due_lanes(now).await?;
        let oldest = due.iter().map(|lane| lane.due_at).min();
        meters.oldest_due(oldest.and_then(|at| (now - at).to_std().ok()).unwrap_or_default());
        self.lanes().forget_backlogs(clock.running_for());
        let is_gated = due.iter().any(|lane| lane.rate_limit.is_some());
        let waiting = if is_gated { Waiting::ForGates } else { Waiting::ForNothing };
        let quotas = self.within_rates(self.quotas(&due, now)).await?;
        if quotas.is_empty() {
            return Ok(waiting);
        }
        let begun = Instant::now();
        let claimed = store.claim(&quotas, &holder, clock.now()).await;
        let claimed = claimed.inspect_err(|error| {
            if !error.did_nothing() {
                self.lease.doubt();
            }
        })?;
        if !claimed.is_empty() {
            failpoint!("claim.claimed");
        }
        meters.claimed(claimed.len(), begun.elapsed());
        let count = claimed.len();
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
        let leaves_late_ones = |LaneQuota { lane, quota }: &LaneQuota| *quota == 0 && is_late(lane, now);
        if count >= WORTH_ANOTHER && unused.iter().any(leaves_late_ones) {
            self.low.notify_one();
        }
        self.return_passes(unused).await?;
        Ok(waiting)
    }

    /// Cuts the quotas of webhooks with a rate limit down to what the limit has room for.
    async fn within_rates(&self, quotas: Vec<LaneQuota>) -> Result<Vec<LaneQuota>, StoreError> {
        let (limited, mut free): (Vec<_>, Vec<_>) =
            quotas.into_iter().partition(|quota| quota.lane.rate_limit.is_some());
        if limited.is_empty() {
            return Ok(free);
        }
        let passed = match self.context.store.pass_gates(&limited, self.context.clock.now()).await {
            Ok(passed) => passed,
            // Those without a limit do not wait for whoever holds a gate.
            Err(StoreError::Contended(_)) => HashMap::new(),
            Err(error) => return Err(error),
        };
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

    /// Shares one claim out among the lanes that are due and have room, beginning at a random one.
    fn quotas(&self, due: &[DueLane], now: DateTime<Utc>) -> Vec<LaneQuota> {
        let lanes = self.lanes();
        let resting = self.resting();
        let start = rand::random_range(0..due.len().max(1));
        let (before, after) = due.split_at(start);
        let roomy: Vec<_> = after
            .iter()
            .chain(before)
            .map(|lane| (*lane, lanes.room(lane.webhook_id, is_late(lane, now))))
            .filter(|(lane, room)| *room > 0 && !resting.contains_key(&lane.webhook_id))
            .take(CLAIM)
            .collect();
        let share = (CLAIM / roomy.len().max(1)).max(1);
        let quota = |(lane, room): (DueLane, usize)| LaneQuota {
            lane,
            quota: u16::try_from(room.min(share)).unwrap_or(u16::MAX),
        };
        roomy.into_iter().map(quota).collect()
    }

    /// Leaves a webhook alone for a while.
    pub(super) fn rest(&self, webhook_id: WebhookId, time: Duration) {
        self.resting().insert(webhook_id, Instant::now() + time);
    }

    /// The webhooks that rest.
    pub(super) fn resting(&self) -> MutexGuard<'_, HashMap<WebhookId, Instant>> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        resting.retain(|_, until| now < *until);
        resting
    }
}

/// For how long to leave a webhook alone whose delivery could not be prepared.
pub(super) fn rest_after(error: &ActionError) -> Duration {
    let is_passing = matches!(error, ActionError::Store(error) if error.is_passing());
    if is_passing { SHORT_REST } else { LONG_REST }
}

/// Whether a lane's oldest delivery has waited for too long. A lane with a rate limit is never late: all of it waits in the database.
fn is_late(lane: &DueLane, now: DateTime<Utc>) -> bool {
    lane.rate_limit.is_none() && now - lane.due_at > LATE
}
