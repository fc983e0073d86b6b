//! What people do with webhooks: register, change, rotate, verify, pause and resume, test, delete.
//!
//! Every change goes the same way: the webhook is read, its next [`Settings`](crate::store::webhooks::Settings) are worked
//! out, and they are stored if nobody changed it meanwhile; otherwise from the start.

mod change;
mod input;
mod register;
mod rotate;
mod state;
mod test;
mod verify;
mod view;

pub use input::WebhookInput;
pub use rotate::RotateInput;
pub use test::Tested;
pub use view::{Registered, WebhookView};

use super::{ActionError, Context};
use crate::domain::ids::{TenantId, WebhookId};
use crate::store::webhooks::Webhook;

/// The verbs, for one tenant's webhooks.
#[derive(Debug, Clone, Copy)]
pub struct Webhooks<'a> {
    context: &'a Context,
    tenant_id: TenantId,
}

impl<'a> Webhooks<'a> {
    /// The webhooks of a tenant.
    #[must_use]
    pub const fn of(context: &'a Context, tenant_id: TenantId) -> Self {
        Self { context, tenant_id }
    }

    /// Reads one.
    pub async fn get(self, id: WebhookId) -> Result<WebhookView, ActionError> {
        view::show(self.context, &self.read(id).await?)
    }

    async fn read(self, id: WebhookId) -> Result<Webhook, ActionError> {
        self.context.store.webhook(self.tenant_id, id).await?.ok_or(ActionError::NotFound("webhook"))
    }
}
