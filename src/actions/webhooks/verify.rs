//! Verify: the dialect's challenge, by which a receiver shows that it wants the webhook's events.

use bytes::Bytes;

use crate::actions::webhooks::{WebhookView, Webhooks};
use crate::actions::{ActionError, outgoing};
use crate::domain::ids::{EventId, WebhookId};
use crate::domain::outcome::{Class, Outcome};
use crate::domain::webhook::State;
use crate::store::webhooks::Settings;

/// Bytes of a receiver's answer that its tenant is shown.
const SHOWN: usize = 200;

impl Webhooks<'_> {
    /// Sends the challenge; a receiver that returns its value makes the webhook active.
    pub async fn verify(self, id: WebhookId) -> Result<WebhookView, ActionError> {
        let context = self.context;
        let webhook = self.read(id).await?;
        let profile = self.profile(&webhook)?;
        let Some(challenge) = profile.challenge() else {
            let detail =
                format!("the dialect `{}` has no challenge: its webhooks need no verification", webhook.dialect);
            return Err(ActionError::conflict("no_challenge", detail));
        };
        let now = context.clock.now();
        let value = hex::encode(rand::random::<[u8; 16]>());
        let event_id = EventId::new(now, rand::random());
        let body = challenge.render(event_id, &value);
        let sent = outgoing::send(context, &webhook, profile, challenge.subject(event_id), body).await?;
        let answer = sent.outcome.answer.as_ref().map(|answer| answer.body.clone()).unwrap_or_default();
        if sent.outcome.class != Class::Success || !challenge.answer_matches(&value, &answer) {
            return Err(ActionError::invalid("", "challenge_failed", refusal(&sent.outcome, &answer)));
        }
        let verified_at = webhook.settings.verified_at.or(Some(now));
        let verified_url = Some(webhook.settings.url.clone());
        // A webhook that a person paused, or Tidings disabled, stays so: it is verified all the same.
        let state = match webhook.settings.state {
            State::PendingVerification => State::Active,
            other => other,
        };
        self.store(&webhook, Settings { state, verified_at, verified_url, ..webhook.settings.clone() }).await
    }
}

fn refusal(outcome: &Outcome, body: &Bytes) -> String {
    match (outcome.status(), outcome.class) {
        (Some(status), Class::Success) => {
            let start = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
            format!("the receiver answered {status} without the challenge's value; its body begins: {start:?}")
        }
        (Some(status), _) => {
            format!("the receiver answered the challenge with {status}; it must answer 2xx with the value")
        }
        (None, class) => format!("the challenge did not reach the receiver: {}", class.as_str()),
    }
}
