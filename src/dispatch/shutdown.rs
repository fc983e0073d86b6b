//! Ending in order: nothing new, what is under way to its end, and every lease given back.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{info, warn};

use super::dispatcher::Dispatcher;
use crate::failpoint::failpoint;

impl Dispatcher {
    /// Stops claiming, gives back what waits, lets requests under way end within the grace time and records their results.
    pub(super) async fn wind_down(self: &Arc<Self>) {
        self.closing.store(true, Ordering::Relaxed);
        if let Err(error) = self.give_back_all().await {
            warn!(
                error = &error as &dyn std::error::Error,
                "waiting deliveries could not be given back; their lease will run out"
            );
        }
        failpoint!("drain.given_back");
        if tokio::time::timeout(self.config.grace(), self.end_work()).await.is_err() {
            warn!(requests = self.lanes().in_flight(), "the grace time is over; what is under way will be sent again");
        }
        if let Err(error) = self.vitals.end(&self.context.store).await {
            warn!(error = &error as &dyn std::error::Error, "the last seconds of the webhooks' health are lost");
        }
        failpoint!("drain.settled");
    }

    /// Releases whatever is left, so that another process goes on at once.
    pub(super) async fn surrender(&self) {
        match self.lease.surrender(&self.context.store).await {
            Ok(()) => info!("every lease is given back"),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "leases could not be given back; they will run out");
            }
        }
    }

    async fn end_work(self: &Arc<Self>) {
        let mut pace = tokio::time::interval(self.config.poll());
        // Until nothing is under way, and no accept that was promised a hand-off before the end may still answer.
        while !(self.lanes().is_idle() && self.lease.is_idle()) {
            pace.tick().await;
            if let Err(error) = self.look().await {
                warn!(error = &error as &dyn std::error::Error, "the database is away during shutdown");
            }
        }
        self.settler.settled().await;
    }
}
