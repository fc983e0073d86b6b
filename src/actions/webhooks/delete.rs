//! Delete: nothing more is sent to a webhook, and its secrets are forgotten.

use super::find;
use crate::actions::in_force::in_force;
use crate::actions::{ActionError, Context};
use crate::domain::ids::{TenantId, WebhookId};

/// Deletes a webhook; with `expected`, only if that is its revision. When this returns, no send to it begins any more.
pub async fn delete(
    context: &Context,
    tenant_id: TenantId,
    id: WebhookId,
    expected: Option<i32>,
) -> Result<(), ActionError> {
    if !context.store.delete_webhook(tenant_id, id, expected, context.clock.now()).await? {
        find(context, tenant_id, id).await?;
        return Err(ActionError::Stale);
    }
    settle_down(context, tenant_id, &[id]).await
}

/// Waits until deleted webhooks are left alone, then cancels what came in for them meanwhile.
pub(in crate::actions) async fn settle_down(
    context: &Context,
    tenant_id: TenantId,
    ids: &[WebhookId],
) -> Result<(), ActionError> {
    in_force(context, tenant_id, ids).await;
    context.store.cancel_rest(tenant_id, ids, context.clock.now()).await?;
    Ok(())
}
