//! Register: a new webhook with its secret and token.

use crate::actions::vault::{self, Kind};
use crate::actions::webhooks::change::{Draft, activated};
use crate::actions::webhooks::{Registered, WebhookInput, Webhooks, view};
use crate::actions::{ActionError, Member};
use crate::domain::ids::WebhookId;
use crate::domain::secret::Secret;
use crate::domain::webhook::State;
use crate::store::webhooks::{NewSecret, Webhook};

impl Webhooks<'_> {
    /// Registers a webhook. Under a dialect with a challenge it waits to be verified; otherwise it gets events at once.
    pub async fn register(self, mut input: WebhookInput) -> Result<Registered, ActionError> {
        let context = self.context;
        let tenant = context.store.tenant(self.tenant_id).await?.ok_or(ActionError::NotFound("tenant"))?;
        let dialect =
            std::mem::take(&mut input.dialect).or_default(tenant.default_dialect.clone(), tenant.default_dialect);
        let Some(profile) = context.dialects.get(&dialect) else {
            let names: Vec<_> = context.dialects.iter().map(|profile| profile.name()).collect();
            let detail = format!("there is no such dialect; there are: {}", names.join(", "));
            return Err(ActionError::invalid("/dialect", "unknown_dialect", detail));
        };
        let now = context.clock.now();
        let id = WebhookId::new(now, rand::random());
        let is_active = std::mem::take(&mut input.is_active);
        let mut settings =
            Draft { webhooks: self, id, current: None, profile, environment: tenant.environment }.settle(input)?;
        settings.verified_at = profile.challenge().is_none().then_some(now);
        settings.state = match is_active {
            Member::Null => return Err(ActionError::invalid("/is_active", "null", "must not be null")),
            Member::Is(false) => State::Inactive,
            Member::Is(true) | Member::Absent => activated(&settings, profile),
        };

        let secret = profile.new_secret(&rand::random());
        let token = profile.new_token(&rand::random());
        let sealed = |kind, secret: &Secret| vault::seal(&context.master_key, self.tenant_id, id, kind, secret);
        let mut secrets = vec![NewSecret { kind: "signing", valid_from: now, sealed: sealed(Kind::Signing, &secret)? }];
        if let Some(token) = &token {
            secrets.push(NewSecret { kind: "token", valid_from: now, sealed: sealed(Kind::Token, token)? });
        }
        context.store.create_webhook((self.tenant_id, id), &dialect, &settings, &secrets, now).await?;
        let webhook =
            Webhook { tenant_id: self.tenant_id, id, dialect, revision: 1, settings, created_at: now, updated_at: now };
        Ok(Registered::new(view::show(context, &webhook)?, profile, &secret, token.as_ref()))
    }
}
