//! The lanes for `benches/`, which are outside the crate: the real ones, behind the few calls that a measurement makes.

use super::lanes::{self, Pace};
use crate::domain::ids::WebhookId;
use crate::domain::lease::Claimed;

/// All lanes of a process.
#[derive(Debug)]
pub struct Lanes(lanes::Lanes);

impl Lanes {
    /// No lanes yet; at most `capacity` requests under way.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(lanes::Lanes::new(capacity))
    }

    /// Queues a delivery to a webhook that may have `limit` under way; `false` if there is no room for it.
    pub fn push(&mut self, claimed: Claimed, limit: usize) -> bool {
        let id = claimed.webhook_id;
        let is_queued = !self.0.push(claimed).is_refused();
        self.0.learn(id, limit);
        is_queued
    }

    /// Hires workers; each must take deliveries until it gets none.
    pub fn hire(&mut self, wanted: usize) {
        self.0.hire(wanted);
    }

    /// The delivery whose turn it is; without one, the worker that asked is dismissed.
    #[expect(clippy::should_implement_trait, reason = "what comes next depends on what was done since")]
    pub fn next(&mut self) -> Option<Claimed> {
        self.0.next()
    }

    /// Ends an attempt that the receiver took.
    pub fn done(&mut self, id: WebhookId) {
        self.0.done(id, Pace::Faster);
    }
}
