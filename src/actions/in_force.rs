//! Waiting until a change holds everywhere.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Context;
use crate::domain::ids::{EventId, TenantId, WebhookId};

/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// A dispatcher that has not confirmed by then sends nothing under its old view any more.
const LONGEST: Duration = Duration::from_millis(1_500);

/// Returns when no dispatcher sends under what these webhooks were before their last change: each that is alive has said that
/// it took the change over, or its view has run out. Call it after the commit and before the answer.
pub(super) async fn in_force(context: &Context, tenant_id: TenantId, webhooks: &[WebhookId]) {
    let deadline = Instant::now() + LONGEST;
    // Where the database cannot say, the time decides.
    while Instant::now() < deadline
        && !context.store.change_in_force(tenant_id, webhooks, context.clock.now()).await.unwrap_or(false)
    {
        sleep(POLL).await;
    }
}

/// Returns when no dispatcher begins to send an event whose data was deleted.
pub(super) async fn erasure_in_force(context: &Context, tenant_id: TenantId, event_id: EventId) {
    let deadline = Instant::now() + LONGEST;
    while Instant::now() < deadline
        && !context.store.erasure_in_force(tenant_id, event_id, context.clock.now()).await.unwrap_or(false)
    {
        sleep(POLL).await;
    }
}
