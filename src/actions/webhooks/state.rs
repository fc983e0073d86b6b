//! Pause, resume, delete.

use std::time::{Duration, Instant};

use crate::actions::webhooks::{WebhookView, Webhooks, change};
use crate::actions::{ActionError, Context};
use crate::domain::ids::WebhookId;
use crate::domain::webhook::State;
use crate::store::webhooks::Settings;

/// By then a dispatcher that has not confirmed a change sends nothing under the old one: its view is good for a second.
const IN_FORCE_BY_ITSELF: Duration = Duration::from_millis(1_200);
/// How often to ask whether all have confirmed.
const ASK_EVERY: Duration = Duration::from_millis(20);

impl Webhooks<'_> {
    /// Pauses a webhook; its events are held. When this returns, no request to it begins any more.
    pub async fn deactivate(self, id: WebhookId) -> Result<WebhookView, ActionError> {
        self.change_with(id, |webhook, _| {
            Ok(Settings { state: State::Inactive, disabled_reason: None, ..webhook.settings.clone() })
        })
        .await
    }

    /// Resumes a webhook, whoever stopped it, with all that was held; or, with `skip_backlog`, without that. Returns the webhook
    /// and how many deliveries were dropped.
    pub async fn activate(self, id: WebhookId, skip_backlog: bool) -> Result<(WebhookView, u64), ActionError> {
        let context = self.context;
        let skipped = if skip_backlog {
            self.read(id).await?;
            context.store.skip_backlog(self.tenant_id, id, context.clock.now()).await?
        } else {
            0
        };
        let webhook = self
            .change_with(id, |webhook, profile| {
                let state = change::activated(&webhook.settings, profile);
                Ok(Settings { state, disabled_reason: None, ..webhook.settings.clone() })
            })
            .await?;
        Ok((webhook, skipped))
    }

    /// Deletes a webhook: its deliveries are cancelled and its secrets forgotten. When this returns, no request to it begins
    /// any more.
    pub async fn delete(self, id: WebhookId) -> Result<(), ActionError> {
        let context = self.context;
        let cancelled = context.store.delete_webhook(self.tenant_id, id, context.clock.now()).await?;
        cancelled.ok_or(ActionError::NotFound("webhook"))?;
        in_force(context, id).await
    }

    /// Deletes several webhooks and waits once, for the last: news of changes arrives in their order.
    pub(in crate::actions) async fn delete_all(
        self,
        ids: impl IntoIterator<Item = WebhookId>,
    ) -> Result<(), ActionError> {
        let mut last = None;
        for id in ids {
            self.context.store.delete_webhook(self.tenant_id, id, self.context.clock.now()).await?;
            last = Some(id);
        }
        match last {
            Some(id) => in_force(self.context, id).await,
            None => Ok(()),
        }
    }
}

/// Waits until every dispatcher has taken over the last change of a webhook, or sends nothing to it for want of news.
pub(super) async fn in_force(context: &Context, id: WebhookId) -> Result<(), ActionError> {
    let began = Instant::now();
    while began.elapsed() < IN_FORCE_BY_ITSELF {
        if context.store.change_in_force(id, context.clock.now()).await? {
            break;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}
