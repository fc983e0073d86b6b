//! Hand-off: accepted deliveries come in without a query, and what sending to them takes is read while they are being stored.

use std::sync::Arc;

use super::dispatcher::Dispatcher;
use crate::actions::accept::HandOffTarget;
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::lease::Claimed;
use crate::store::outbox::accept::{Expectant, HandOff};

impl HandOffTarget for Arc<Dispatcher> {
    fn offer(&self) -> Option<HandOff> {
        let holder = self.claims_under()?;
        let lanes = self.lanes();
        let expectant = || Some(Self::clone(self) as Arc<dyn Expectant>);
        lanes.has_room().then(|| HandOff { holder, crowded: lanes.crowded(), expectant: expectant() })
    }

    fn waiting(&self) -> usize {
        self.lanes().moving()
    }

    fn take(&self, claimed: Vec<Claimed>) {
        self.context.telemetry.meters.dispatch.handed_off(claimed.len());
        self.enqueue(claimed);
    }

    fn doubt(&self) {
        self.lease.doubt();
    }
}

impl Expectant for Dispatcher {
    fn foresee(self: Arc<Self>, webhooks: &mut dyn Iterator<Item = (TenantId, WebhookId)>) {
        let mut unknown = self.directory.unknown(webhooks);
        if unknown.is_empty() {
            return;
        }
        {
            // What could not be prepared a moment ago is not asked for twice as often.
            let resting = self.resting();
            unknown.retain(|(_, webhook_id)| !resting.contains_key(webhook_id));
        }
        if self.directory.read_next(unknown) {
            self.tasks.clone().spawn(async move { self.directory.read_ahead().await });
        }
    }
}
