//! Working on replays: beside the looks for due deliveries, so that neither waits for the other. What is resent becomes due and
//! is claimed like everything else, lane by lane.
//!
//! Every process looks at every running replay; a lock on its row lets one of them do a page, so nothing has to be handed over
//! when a process ends. Each replay gets its turn, and in it a slice of time at most.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::dispatcher::Dispatcher;
use crate::actions::Context;
use crate::domain::ids::{ReplayId, TenantId};
use crate::domain::replay::Pace;
use crate::store::StoreError;
use crate::store::replays::{DueReplay, Worked};

/// Running replays that one look knows of; the others have waited less and come next.
const MOST: i64 = 100;
/// A replay's turn: pages are short, and where a whole page is passed over the next follows at once.
const SLICE: Duration = Duration::from_millis(50);
/// Between two looks while no replay runs.
const IDLE: Duration = Duration::from_millis(500);
/// Between two looks while the database fails.
const TROUBLED: Duration = Duration::from_secs(1);

impl Dispatcher {
    /// Looks after replays until `shutdown`. A page that is under way then is undone as a whole, and done by another process.
    pub(super) async fn follow_replays(&self, shutdown: &CancellationToken) {
        let follow = async {
            loop {
                let pause = match self.replay().await {
                    Ok(true) => self.config.poll().min(Pace::LONGEST_PAUSE),
                    Ok(false) => IDLE,
                    Err(error) => {
                        warn!(error = &error as &dyn std::error::Error, "replays cannot be worked on");
                        TROUBLED
                    }
                };
                sleep(pause).await;
            }
        };
        shutdown.run_until_cancelled(follow).await;
    }

    /// One look at the replays: every one that may resend something gets a turn. Says whether any runs.
    pub async fn replay(&self) -> Result<bool, StoreError> {
        let Context { store, clock, .. } = &self.context;
        let (due, any) = store.due_replays(clock.now(), MOST).await?;
        for DueReplay { tenant_id, id } in due {
            match self.turn(tenant_id, id).await {
                Err(error) if error.is_passing() => return Err(error),
                // The others get their turns all the same.
                Err(error) => {
                    error!(error = &error as &dyn std::error::Error, tenant.id = %tenant_id, replay.id = %id, "a replay cannot be worked on");
                }
                Ok(()) => {}
            }
        }
        Ok(any)
    }

    async fn turn(&self, tenant_id: TenantId, id: ReplayId) -> Result<(), StoreError> {
        let Context { store, clock, .. } = &self.context;
        let end = Instant::now() + SLICE;
        loop {
            match store.work_on_replay(tenant_id, id, clock.now()).await {
                Ok(Worked::MoreAtOnce) if Instant::now() < end => {}
                Ok(Worked::Completed) => {
                    info!(tenant.id = %tenant_id, replay.id = %id, "replay completed");
                    return Ok(());
                }
                // Whoever holds what it needs has had it by the next turn.
                Ok(_) | Err(StoreError::Contended(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}
