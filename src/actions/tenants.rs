//! Deleting a tenant: its keys and webhooks go with it; what was delivered is kept, out of everybody's sight, until retention
//! ends.

use super::webhooks::Webhooks;
use super::{ActionError, Context};
use crate::domain::ids::TenantId;
use crate::store::webhooks::WebhookFilter;

/// Webhooks deleted between two looks for more.
const BATCH: i64 = 100;

/// Deletes a tenant. After this no request is begun for it.
pub async fn delete(context: &Context, id: TenantId) -> Result<(), ActionError> {
    // First the tenant: from then on nobody registers anything for it.
    if !context.store.delete_tenant(id, context.clock.now()).await? {
        return Err(ActionError::NotFound("tenant"));
    }
    loop {
        let webhooks = context.store.webhooks(id, &WebhookFilter::default(), None, BATCH).await?;
        if webhooks.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = webhooks.into_iter().map(|webhook| webhook.id).collect();
        Webhooks::of(context, id).delete_all(ids).await?;
    }
}
