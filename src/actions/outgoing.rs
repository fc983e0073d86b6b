//! A single request to a webhook that is no delivery: a challenge or a test. It goes out by the same way, through the same guard.

use std::time::Duration;

use bytes::Bytes;

use super::vault::{self, Kind};
use super::{ActionError, Context};
use crate::dialect::{Profile, Signed, Subject};
use crate::domain::ids::TenantId;
use crate::domain::outcome::Outcome;
use crate::domain::secret::Secret;
use crate::domain::tenant::Environment;
use crate::domain::webhook::DEFAULT_TIMEOUT_SECONDS;
use crate::net::{Request, Target, check_custom_headers};
use crate::store::webhooks::Webhook;

/// What was sent and what came of it.
pub(super) struct Sent {
    pub(super) signed: Signed,
    pub(super) outcome: Outcome,
}

/// Signs a body with the webhook's secrets of now and sends it once.
pub(super) async fn send(
    context: &Context,
    webhook: &Webhook,
    profile: &Profile,
    subject: Subject<'_>,
    body: Bytes,
) -> Result<Sent, ActionError> {
    let now = context.clock.now();
    let tenant = context.store.tenant(webhook.tenant_id).await?.ok_or(ActionError::NotFound("webhook"))?;
    let http_allowed = tenant.environment == Environment::Sandbox;
    let target = Target::parse(&webhook.settings.url, http_allowed, context.sender.guard())
        .map_err(|error| ActionError::conflict(error.code(), error.to_string()))?;
    let (secrets, token) = secrets(context, webhook).await?;
    let keys = profile.keys(&secrets, token.as_ref())?;
    let signed = profile.sign(subject, body.clone(), &keys, now);
    let custom = match &webhook.settings.headers {
        Some(sealed) => vault::open_headers(&context.master_key, webhook.tenant_id, webhook.id, sealed)?,
        None => Vec::new(),
    };
    let pairs = custom.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let refused = |error: crate::net::HeaderError| ActionError::conflict("invalid_header", error.to_string());
    let mut headers = check_custom_headers::<&str>(pairs, &[]).map_err(refused)?;
    for (name, value) in &signed.headers {
        headers.set(name, value).map_err(refused)?;
    }
    let own = webhook.settings.timeout_seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs().into()));
    let default = Duration::from_secs(DEFAULT_TIMEOUT_SECONDS.into());
    let timeout = own.or(profile.timeout()).unwrap_or(default);
    let outcome = context.sender.send(Request { target, headers, body, timeout }).await;
    Ok(Sent { signed, outcome })
}

/// The secrets that sign now, newest first, and the token.
async fn secrets(context: &Context, webhook: &Webhook) -> Result<(Vec<Secret>, Option<Secret>), ActionError> {
    let now = context.clock.now();
    let (tenant_id, id): (TenantId, _) = (webhook.tenant_id, webhook.id);
    let mut signing = Vec::new();
    let mut token = None;
    for row in context.store.secrets(tenant_id, id).await? {
        if row.kind == Kind::Token.as_str() {
            token = Some(vault::open(&context.master_key, tenant_id, id, Kind::Token, &row.sealed)?);
        } else if row.valid_from <= now && row.valid_until.is_none_or(|until| now < until) {
            signing.push(vault::open(&context.master_key, tenant_id, id, Kind::Signing, &row.sealed)?);
        }
    }
    Ok((signing, token))
}
