//! Waiting for quiet, for tests: they steer the clock, and must know when nothing more will happen at the time that it shows.

use std::sync::Arc;

use super::dispatcher::Dispatcher;
use crate::store::StoreError;

impl Dispatcher {
    /// Ticks until nothing is due, waiting or under way: for tests, which steer the clock in between.
    pub async fn drain(self: &Arc<Self>) -> Result<(), StoreError> {
        loop {
            self.tick().await?;
            // The view must stay fresh for what is still to be sent.
            while tokio::time::timeout(self.config.poll(), self.quiet()).await.is_err() {
                self.tick().await?;
            }
            let nothing_returned = self.returned().is_empty();
            if nothing_returned && self.context.store.due_lanes(self.context.clock.now()).await?.is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits until nothing waits or is under way in this process: for tests.
    pub async fn quiet(&self) {
        loop {
            let changed = self.maybe_quiet.notified();
            if self.lanes().is_idle() {
                break;
            }
            changed.await;
        }
        self.settler.settled().await;
    }
}
