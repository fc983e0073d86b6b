//! The keeper: drops what has outlived retention, beside the loop and never in it.

use std::error::Error;
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::domain::clock::Clock;
use crate::store::retention::Tidied;
use crate::store::{Store, StoreError};

/// Between two turns.
const EVERY: Duration = Duration::from_hours(1);
/// After one that was put off, because somebody stood in the way.
const AGAIN: Duration = Duration::from_mins(1);

/// Keeps house for all processes: one of them does so at a time.
#[derive(Debug, Clone)]
pub struct Keeper {
    store: Store,
    clock: Clock,
    days: u32,
}

impl Keeper {
    /// A keeper that keeps events for this many days.
    #[must_use]
    pub const fn new(store: Store, clock: Clock, days: u32) -> Self {
        Self { store, clock, days }
    }

    /// Tidies up now and every hour, until told to stop.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let pause = match shutdown.run_until_cancelled(self.tidy()).await {
                Some(Err(error)) => {
                    // Others hold what it needs, or the database is away: that passes.
                    warn!(error = &error as &dyn Error, "what has outlived retention is dropped later");
                    AGAIN
                }
                _ => EVERY,
            };
            shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
    }

    /// Does what there is to do. `None` while another process does.
    pub async fn tidy(&self) -> Result<Option<Tidied>, StoreError> {
        let Some(mut lock) = self.store.lock_retention().await? else { return Ok(None) };
        let now = self.clock.now();
        let tidied = lock.tidy(now, self.days).await;
        let purged = self.store.purge_replays(now - TimeDelta::days(self.days.into())).await;
        lock.release().await?;
        let tidied = tidied?;
        if tidied.rounds > 0 || tidied.buried > 0 || tidied.cancelled > 0 {
            let swap_ms = u64::try_from(tidied.longest_swap.as_millis()).unwrap_or(u64::MAX);
            let Tidied { rounds, buried: dead_letters, cancelled, .. } = tidied;
            info!(rounds, swap_ms, dead_letters, cancelled, "retention ended for old events");
        }
        purged?;
        Ok(Some(tidied))
    }
}
