//! Vitals: what this process sees of each webhook's health, told to the database every few seconds.
//!
//! None of it is on the road of a delivery: recorded results are counted in memory, and every [`TELL`] a round begins, which adds the
//! counts to those in the database, a slice with each tick. What is seen during a round waits for the next, so a round ends however much
//! that is. A process that is killed takes what it has not told with it (and no deliveries), so a webhook may look a few attempts better or
//! worse than it was; one that ends in order tells all.
//!
//! After telling, the same process also looks for stretches of failures that have lasted (`crate::domain::health`): the statements that
//! report and disable are guarded by what they change, so that among several processes it is done once.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::Config;
use crate::actions::Context;
use crate::domain::clock::{Clock, later};
use crate::domain::health::{Streak, Traffic, quarter_of};
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::outcome::Class;
use crate::store::health::Pulse;
use crate::store::outbox::settle::Settlement;
use crate::store::{Store, StoreError};

/// How often the database is told.
const TELL: Duration = Duration::from_secs(5);
/// Webhooks told of in one tick; no tick is to take long.
const SLICE: usize = 200;
/// How often old traffic is deleted.
const FORGET: Duration = Duration::from_hours(1);
/// How long traffic is kept: the day that is shown, and a little more.
const KEEP: Duration = Duration::from_hours(25);

/// What was seen since it was last told.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    seen: Mutex<Untold>,
    rounds: Mutex<Rounds>,
}

type Untold = BTreeMap<(TenantId, WebhookId), Seen>;

#[derive(Debug, Default)]
struct Seen {
    streak: Streak,
    traffic: BTreeMap<DateTime<Utc>, Traffic>,
}

/// What is left of this round, and when things were last done, by how long the clock had been running.
#[derive(Debug, Default)]
struct Rounds {
    left: Untold,
    told: Option<Duration>,
    forgot: Option<Duration>,
}

impl Vitals {
    /// Counts the results of a batch that were recorded.
    pub(super) fn note(&self, batch: &[Settlement], settled: &HashSet<DeliveryId>) {
        let mut seen = self.seen();
        for Settlement { claimed, attempt, .. } in batch.iter().filter(|one| settled.contains(&one.claimed.delivery_id))
        {
            let Some(attempt) = attempt else { continue };
            let ended = later(attempt.started_at, attempt.outcome.duration);
            let class = attempt.outcome.class;
            let own = seen.entry((claimed.tenant_id, claimed.webhook_id)).or_default();
            own.streak.add(class == Class::Success, ended);
            let traffic = own.traffic.entry(quarter_of(ended)).or_default();
            traffic.attempts += 1;
            traffic.successes += u32::from(class == Class::Success);
            // Where nobody answered and nobody was waited for, nothing took any time.
            if matches!(class, Class::Success | Class::HttpStatus | Class::Timeout) {
                traffic.latencies.add(attempt.outcome.duration);
            }
        }
    }

    /// Tells a slice, when it is time to, and does what follows from it.
    pub(super) async fn tick(&self, context: &Context, config: &Config) {
        let Context { store, clock, .. } = context;
        let running_for = clock.running_for();
        if self.rounds().told.is_some_and(|told| running_for.saturating_sub(told) < TELL) {
            return;
        }
        let done = match self.tell(store).await {
            Ok(true) => self.judge(store, clock, config).await.map(|()| true),
            told => told,
        };
        match done {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the health of webhooks is told later"),
        }
        self.rounds().told = Some(running_for);
    }

    /// Tells all there is, at the end.
    pub(super) async fn end(&self, store: &Store) -> Result<(), StoreError> {
        // What is left of a round, and what was seen since it began.
        for _ in 0..2 {
            while !self.tell(store).await? {}
        }
        Ok(())
    }

    /// Tells a slice; `true` where the round ends with it.
    async fn tell(&self, store: &Store) -> Result<bool, StoreError> {
        let (pulses, is_all) = self.take();
        if pulses.is_empty() {
            return Ok(is_all);
        }
        if let Err(error) = store.note_pulses(&pulses).await {
            self.put_back(pulses);
            return Err(error);
        }
        Ok(is_all)
    }

    /// A slice of a round, and whether the round ends with it.
    fn take(&self) -> (Vec<Pulse>, bool) {
        let left = &mut self.rounds().left;
        if left.is_empty() {
            *left = std::mem::take(&mut *self.seen());
        }
        let mut pulses = Vec::with_capacity(left.len().min(SLICE));
        while pulses.len() < SLICE
            && let Some(((tenant_id, webhook_id), Seen { streak, traffic })) = left.pop_first()
        {
            pulses.push(Pulse { tenant_id, webhook_id, streak, traffic: traffic.into_iter().collect() });
        }
        (pulses, left.is_empty())
    }

    /// What could not be told lies before what was seen meanwhile.
    fn put_back(&self, pulses: Vec<Pulse>) {
        let mut seen = self.seen();
        for Pulse { tenant_id, webhook_id, streak, traffic } in pulses {
            let own = seen.entry((tenant_id, webhook_id)).or_default();
            own.streak = own.streak.after(streak);
            for (quarter, earlier) in traffic {
                own.traffic.entry(quarter).or_default().add(&earlier);
            }
        }
    }

    async fn judge(&self, store: &Store, clock: &Clock, config: &Config) -> Result<(), StoreError> {
        let now = clock.now();
        let failing = store.report_failing(config.failing_after(), config.disable_after(), now).await?;
        if failing > 0 {
            info!(webhooks = failing, "webhook.failing");
        }
        if let Some(lasted) = config.disable_after() {
            for (tenant_id, webhook_id) in store.disable_failing(lasted, now).await? {
                warn!(tenant.id = %tenant_id, webhook.id = %webhook_id, "webhook.disabled");
            }
        }
        let running_for = clock.running_for();
        if self.rounds().forgot.is_none_or(|forgot| running_for.saturating_sub(forgot) >= FORGET) {
            store.forget_traffic(now - KEEP).await?;
            self.rounds().forgot = Some(running_for);
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, Untold> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of so many webhooks fails once more.
    fn fail(vitals: &Vitals, webhooks: u128) {
        for number in 0..webhooks {
            let id = (TenantId::from_u128(1), WebhookId::from_u128(number));
            vitals.seen().entry(id).or_default().streak.add(false, DateTime::UNIX_EPOCH);
        }
    }

    #[test]
    fn a_round_ends_and_leaves_none_out_however_much_is_seen_meanwhile() {
        let vitals = Vitals::default();
        fail(&vitals, 500);
        let slices: Vec<Vec<_>> = (0..3)
            .map(|number| {
                let (pulses, is_all) = vitals.take();
                assert_eq!(is_all, number == 2);
                fail(&vitals, 500);
                pulses.into_iter().map(|pulse| (pulse.webhook_id.as_u128(), pulse.streak.failures)).collect()
            })
            .collect();
        assert_eq!(slices.concat(), (0..500).map(|number| (number, 1)).collect::<Vec<_>>());
        let (next, _) = vitals.take();
        assert!(next.iter().all(|pulse| pulse.streak.failures == 3), "what was seen meanwhile is of the next round");
    }

    #[test]
    fn what_could_not_be_told_is_told_once_with_what_came_after() {
        let vitals = Vitals::default();
        fail(&vitals, 201);
        let (pulses, _) = vitals.take();
        fail(&vitals, 201);
        vitals.put_back(pulses);
        let told = std::iter::repeat_with(|| vitals.take().0).take_while(|pulses| !pulses.is_empty()).flatten();
        assert_eq!(told.map(|pulse| pulse.streak.failures).sum::<u32>(), 402);
    }
}
