//! Verify: the dialect's challenge, by which a receiver shows that it wants events.

use super::outgoing::{Outgoing, Trials};
use super::{find, profile_of};
use crate::actions::{ActionError, Context};
use crate::domain::ids::{EventId, TenantId, WebhookId};
use crate::domain::outcome::{Class, Outcome};
use crate::domain::webhook::Webhook;

/// What came of a challenge.
#[derive(Debug)]
pub enum Verification {
    /// The receiver returned the value. One that was paused or disabled stays so.
    Passed(Box<Webhook>),
    /// It did not; the webhook is as it was.
    Failed(Outcome),
}

/// Sends a webhook's receiver its dialect's challenge.
pub async fn verify(
    context: &Context,
    trials: &Trials,
    tenant_id: TenantId,
    id: WebhookId,
) -> Result<Verification, ActionError> {
    let mut webhook = find(context, tenant_id, id).await?;
    let _trial = trials.begin(id)?;
    let profile = profile_of(context, &webhook)?;
    let Some(challenge) = profile.challenge() else {
        let detail = format!("the dialect `{}` has no challenge: its webhooks need no verification", profile.name());
        return Err(ActionError::conflict("no_challenge", detail));
    };
    let now = context.clock.now();
    let value = hex::encode(rand::random::<[u8; 32]>());
    let challenge_id = EventId::new(now, rand::random());
    let outgoing = Outgoing::open(context, &webhook, now).await?;
    let body = challenge.render(challenge_id, &value);
    let signed = profile.sign(challenge.subject(challenge_id), body, &outgoing.keys(&profile)?, now);
    let outcome = outgoing.send(context, &webhook, &profile, signed).await;

    let answer = outcome.answer.as_ref().filter(|_| outcome.class == Class::Success);
    if !answer.is_some_and(|answer| challenge.answer_matches(&value, &answer.body)) {
        return Ok(Verification::Failed(outcome));
    }
    webhook.updated_at = context.clock.now();
    webhook.verify(webhook.updated_at);
    // What was verified is this revision's URL, and no other's.
    if !context.store.save_verified_webhook(&mut webhook).await? {
        let detail = "the webhook was changed while its challenge was under way: verify it again";
        return Err(ActionError::conflict("changed_meanwhile", detail));
    }
    Ok(Verification::Passed(Box::new(webhook)))
}
