//! Register: a new webhook, with its secrets.

use serde_json::Map;

use super::check::Check;
use super::input::Input;
use crate::actions::vault::{self, Kind};
use crate::actions::{ActionError, Context, Fault, Member};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::{Secret, SecretError};
use crate::domain::tenant::Tenant;
use crate::domain::webhook::{State, Webhook};
use crate::store::webhooks::NewSecret;

/// A webhook with the secrets that were made for it now, to be shown once.
#[derive(Debug)]
pub struct Registered {
    /// The webhook.
    pub webhook: Webhook,
    /// What signs.
    pub signing_secret: Secret,
    /// What goes along, where the dialect has it and it was made now.
    pub token: Option<Secret>,
}

/// Registers a webhook of a tenant.
pub async fn register(context: &Context, tenant_id: TenantId, input: Input) -> Result<Registered, ActionError> {
    let tenant = context.store.tenant(tenant_id).await?.ok_or(ActionError::NotFound("tenant"))?;
    let mut faults = missing(&input);
    let dialect = match &input.dialect {
        Member::Is(name) => name.clone(),
        Member::Absent | Member::Null => tenant.default_dialect.clone(),
    };
    let Some(profile) = context.dialects.get(&dialect) else {
        faults.push(Fault::new("/dialect", "unknown_dialect", context.unknown_dialect()));
        return Err(ActionError::Invalid(faults));
    };
    let mut webhook = blank(context, &tenant, dialect);
    Check { context, environment: tenant.environment, profile, faults }.apply(input, &mut webhook)?;

    let signing_secret = profile.new_secret(&rand::random());
    let token = profile.new_token(&rand::random());
    let mut secrets = vec![sealed(context, &webhook, Kind::Signing, &signing_secret)?];
    if let Some(token) = &token {
        secrets.push(sealed(context, &webhook, Kind::Token, token)?);
    }
    if !context.store.insert_webhook(&webhook, &secrets).await? {
        return Err(ActionError::NotFound("tenant"));
    }
    Ok(Registered { webhook, signing_secret, token })
}

/// What a change may leave out, and a registration may not.
fn missing(input: &Input) -> Vec<Fault> {
    let members = [("/url", input.url == Member::Absent), ("/events", input.events == Member::Absent)];
    let absent = members.into_iter().filter(|(_, absent)| *absent);
    absent.map(|(pointer, _)| Fault::new(pointer, "required", "must be given")).collect()
}

fn sealed(context: &Context, webhook: &Webhook, kind: Kind, secret: &Secret) -> Result<NewSecret, SecretError> {
    let sealed = vault::seal(&context.master_keys, webhook.tenant_id, webhook.id, kind, secret)?;
    Ok(NewSecret { kind: kind.as_str(), sealed })
}

fn blank(context: &Context, tenant: &Tenant, dialect: String) -> Webhook {
    let now = context.clock.now();
    Webhook {
        tenant_id: tenant.id,
        id: WebhookId::new(now, rand::random()),
        url: String::new(),
        events: Vec::new(),
        dialect,
        description: String::new(),
        headers: None,
        header_names: Vec::new(),
        retry: None,
        timeout_seconds: None,
        rate_limit: None,
        max_in_flight: None,
        metadata: Map::new(),
        state: State::PendingVerification,
        disabled_reason: None,
        verified_at: None,
        verified_url: None,
        revision: 1,
        created_at: now,
        updated_at: now,
    }
}
