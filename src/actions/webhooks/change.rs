//! Change: what a webhook is from now on.

use super::check::Check;
use super::input::Input;
use super::{NOUN, find, profile_of};
use crate::actions::in_force::in_force;
use crate::actions::{ActionError, Context, Fault, Member};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::webhook::Webhook;

/// Looks at a webhook that keeps changing under the caller's hands. Of several changes at once one gets through each time.
const LOOKS: usize = 20;

/// Changes a webhook; with `expected`, only if that is its revision. Returns when the change is in force.
pub async fn change(
    context: &Context,
    tenant_id: TenantId,
    id: WebhookId,
    input: &Input,
    expected: Option<i32>,
) -> Result<Webhook, ActionError> {
    let tenant = context.store.tenant(tenant_id).await?.ok_or(ActionError::NotFound(NOUN))?;
    let changed = revise(context, tenant_id, id, |webhook| {
        if expected.is_some_and(|revision| revision != webhook.revision) {
            return Err(ActionError::Stale);
        }
        let profile = profile_of(context, webhook)?;
        let faults = changed_dialect(input, webhook);
        Check { context, environment: tenant.environment, profile: &profile, faults }.apply(input.clone(), webhook)
    })
    .await?;
    in_force(context, tenant_id, &[id]).await;
    Ok(changed)
}

fn changed_dialect(input: &Input, webhook: &Webhook) -> Vec<Fault> {
    if input.dialect == Member::Absent || input.dialect == Member::Is(webhook.dialect.clone()) {
        return Vec::new();
    }
    let detail = "cannot be changed, since secrets and receivers depend on it: register a new webhook";
    vec![Fault::new("/dialect", "unchangeable", detail)]
}

/// Reads a webhook, lets `edit` change it, and stores it unless it was changed in between; then once more.
pub(super) async fn revise(
    context: &Context,
    tenant_id: TenantId,
    id: WebhookId,
    edit: impl Fn(&mut Webhook) -> Result<(), ActionError>,
) -> Result<Webhook, ActionError> {
    for _ in 0..LOOKS {
        let before = find(context, tenant_id, id).await?;
        let mut webhook = before.clone();
        webhook.updated_at = context.clock.now();
        edit(&mut webhook)?;
        if (Webhook { updated_at: before.updated_at, ..webhook.clone() }) == before {
            return Ok(before);
        }
        if context.store.save_webhook(&mut webhook).await? {
            return Ok(webhook);
        }
    }
    Err(changing())
}

pub(super) fn changing() -> ActionError {
    ActionError::conflict("changing", "the webhook is being changed by others: look at it and try again")
}
