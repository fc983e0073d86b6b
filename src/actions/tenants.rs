//! Deleting a tenant: its keys and webhooks go with it. What was delivered is kept until retention ends.

use super::webhooks::settle_down;
use super::{ActionError, Context};
use crate::domain::ids::TenantId;

/// Deletes a tenant. When this returns, no send for it begins any more.
pub async fn delete(context: &Context, id: TenantId) -> Result<(), ActionError> {
    let webhooks = context.store.delete_tenant(id, context.clock.now()).await?;
    settle_down(context, id, &webhooks.ok_or(ActionError::NotFound("tenant"))?).await
}
