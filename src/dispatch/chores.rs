//! Chores: what one dispatcher or another has to do now and then.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::dispatcher::Dispatcher;
use super::steady::steadily;
use crate::actions::Context;
use crate::store::StoreError;

/// How often it is asked whether a dispatcher stopped renewing.
const RESCUE: Duration = Duration::from_secs(1);
/// How often to look for deliveries that name a holder nobody knows.
const SWEEP: Duration = Duration::from_mins(1);
/// How often partitions are made ahead.
const PARTITIONS: Duration = Duration::from_hours(1);
/// How often new attempts are described for the feed. One not yet described is found as well, at some cost.
const DESCRIBE: Duration = Duration::from_secs(10);
/// A dispatcher is forgotten this long after its lease ran out, so that its last statement under way is seen too.
const FORGET_AFTER: Duration = Duration::from_secs(5);

/// When each chore was last begun, by how long the clock had been running. One that fails waits for its next time.
#[derive(Debug, Default)]
pub(super) struct Chores {
    rescued: Mutex<Option<Duration>>,
    swept: Mutex<Option<Duration>>,
    partitioned: Mutex<Option<Duration>>,
    described: Mutex<Option<Duration>>,
}

impl Chores {
    /// Frees what dispatchers that stopped held, and cancels what is still pending for deleted webhooks.
    async fn rescue(&self, context: &Context) -> Result<(), StoreError> {
        let Context { store, clock, telemetry, .. } = context;
        let running_for = clock.running_for();
        let sweep = is_due(&self.swept, SWEEP, running_for);
        if sweep || (is_due(&self.rescued, RESCUE, running_for) && store.any_lapsed(clock.now()).await?) {
            let freed = store.rescue(clock.now(), FORGET_AFTER).await?;
            if freed > 0 {
                telemetry.meters.dispatch.rescued(freed);
                warn!(deliveries = freed, "deliveries of a dispatcher that stopped are up for claiming again");
            }
        }
        if sweep {
            store.cancel_orphans(clock.now()).await?;
        }
        Ok(())
    }

    /// Prepares what will be needed.
    async fn prepare(&self, context: &Context) -> Result<(), StoreError> {
        let Context { store, clock, .. } = context;
        let running_for = clock.running_for();
        if is_due(&self.described, DESCRIBE, running_for)
            && let Err(error) = store.describe_attempts().await
        {
            warn!(error = &error as &dyn std::error::Error, "new attempts are described later");
        }
        if is_due(&self.partitioned, PARTITIONS, running_for)
            && let Err(error) = store.make_partitions(clock.now()).await
        {
            // They are made days ahead: whatever hinders it now does not hinder the next hour's.
            warn!(error = &error as &dyn std::error::Error, "partitions of the days to come are made later");
        }
        Ok(())
    }
}

impl Dispatcher {
    /// Does what is not on the road of a delivery, beside the looks: it shares connections with the API, and no delivery waits for those.
    /// None of these tasks waits for another: a lock that somebody holds must not hold back what a dead process held.
    pub(super) async fn keep_up(&self, shutdown: &CancellationToken) {
        let poll = self.config.poll();
        let rescue = steadily(poll, shutdown, "what other dispatchers held is looked for later", || self.rescue());
        let prepare = steadily(poll, shutdown, "what will be needed is prepared later", || self.prepare());
        let vitals = steadily(poll, shutdown, "how webhooks fare is told later", || self.tell_vitals());
        // What was taken to be told must be told, or put back; the others can be cut short.
        tokio::join!(shutdown.run_until_cancelled(rescue), shutdown.run_until_cancelled(prepare), vitals);
    }

    /// All of that, once.
    pub(super) async fn upkeep(&self) -> Result<(), StoreError> {
        self.rescue().await?;
        self.prepare().await?;
        self.tell_vitals().await
    }

    async fn rescue(&self) -> Result<(), StoreError> {
        self.chores.rescue(&self.context).await
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.chores.prepare(&self.context).await
    }

    async fn tell_vitals(&self) -> Result<(), StoreError> {
        self.vitals.tick(&self.context, &self.config).await;
        Ok(())
    }
}

fn is_due(last: &Mutex<Option<Duration>>, every: Duration, running_for: Duration) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let due = last.is_none_or(|last| running_for.saturating_sub(last) >= every);
    if due {
        *last = Some(running_for);
    }
    due
}
