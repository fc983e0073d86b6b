//! Waiting until a change holds everywhere.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Context;
use crate::domain::ids::{EventId, TenantId, WebhookId};
use crate::domain::lease::VIEW_VALIDITY;
use crate::store::StoreError;

/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// A dispatcher that has not confirmed by then sends nothing under its old view any more, however late this process's own clocks tick.
const LONGEST: Duration = VIEW_VALIDITY.saturating_add(Duration::from_millis(500));

/// Returns when no dispatcher sends under what these webhooks were before their last change: each that is alive has said that
/// it took the change over, or its view has run out. Call it after the commit and before the answer.
pub(super) async fn in_force(context: &Context, tenant_id: TenantId, webhooks: &[WebhookId]) {
    wait(|| context.store.change_in_force(tenant_id, webhooks, context.clock.now())).await;
}

/// Returns when no dispatcher begins to send an event whose data was deleted.
pub(super) async fn erasure_in_force(context: &Context, tenant_id: TenantId, event_id: EventId) {
    wait(|| context.store.erasure_in_force(tenant_id, event_id, context.clock.now())).await;
}

/// Where the database cannot say, or not soon, the time decides.
async fn wait<F: Future<Output = Result<bool, StoreError>>>(is_in_force: impl Fn() -> F) {
    let asked = async {
        while !is_in_force().await.unwrap_or(false) {
            sleep(POLL).await;
        }
    };
    let _confirmed_or_over = timeout(LONGEST, asked).await;
}
