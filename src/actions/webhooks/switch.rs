//! Switching webhooks on and off.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::change::{changing, revise};
use super::find;
use crate::actions::in_force::in_force;
use crate::actions::{ActionError, Context};
use crate::dialect::Profile;
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::webhook::{State, Webhook};

/// Between two looks whether dispatchers hold anything of a webhook, and the end of them: what is under way may take long.
const POLL: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

/// Lets a webhook have its events again, those held meanwhile included, unless `skip_backlog` drops them; says how many were
/// dropped. A webhook whose URL is not verified waits for that first.
pub async fn activate(
    context: &Context,
    tenant_id: TenantId,
    id: WebhookId,
    skip_backlog: bool,
) -> Result<(Webhook, Option<u64>), ActionError> {
    let switch_on = |webhook: &mut Webhook| {
        take_on_trust(webhook, context.dialects.get(&webhook.dialect).map(AsRef::as_ref));
        webhook.activate();
        Ok(())
    };
    if !skip_backlog {
        return Ok((revise(context, tenant_id, id, switch_on).await?, None));
    }
    let mut webhook = find(context, tenant_id, id).await?;
    if webhook.state == State::Active {
        // Nothing is held: what is pending waits for its turn, or for its next attempt.
        return Ok((revise(context, tenant_id, id, switch_on).await?, Some(0)));
    }
    come_back(context, &webhook).await?;
    webhook.updated_at = context.clock.now();
    switch_on(&mut webhook)?;
    let skipped = context.store.save_webhook_without_backlog(&mut webhook).await?.ok_or_else(changing)?;
    Ok((webhook, Some(skipped)))
}

/// Waits for what was paused to come back from the dispatchers: what waited there, and most of what was under way.
async fn come_back(context: &Context, webhook: &Webhook) -> Result<(), ActionError> {
    let deadline = Instant::now() + LONGEST;
    while Instant::now() < deadline && context.store.is_held(webhook.tenant_id, webhook.id).await? {
        sleep(POLL).await;
    }
    Ok(())
}

/// Pauses a webhook: its events are accepted and held. When this returns, no send to it begins any more.
pub async fn deactivate(context: &Context, tenant_id: TenantId, id: WebhookId) -> Result<Webhook, ActionError> {
    let switch_off = |webhook: &mut Webhook| {
        webhook.deactivate();
        Ok(())
    };
    let webhook = revise(context, tenant_id, id, switch_off).await?;
    in_force(context, tenant_id, &[id]).await;
    Ok(webhook)
}

/// A dialect without a challenge takes every receiver to want events.
pub(super) fn take_on_trust(webhook: &mut Webhook, profile: Option<&Profile>) {
    if profile.is_some_and(|profile| profile.challenge().is_none()) {
        webhook.verify(webhook.updated_at);
    }
}
