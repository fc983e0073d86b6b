//! A webhook as its tenant is shown it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::actions::exhibit::is_credential;
use crate::actions::{ActionError, Context, vault};
use crate::dialect::{Keys, Profile};
use crate::domain::ids::WebhookId;
use crate::domain::secret::Secret;
use crate::domain::webhook::{RetryOverride, State};
use crate::store::webhooks::Webhook;

/// A webhook, without its secrets.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookView {
    /// Its id.
    pub id: WebhookId,
    /// Where to POST.
    pub url: String,
    /// What it wants.
    pub events: Vec<String>,
    /// Its wire language.
    pub dialect: String,
    /// For people.
    pub description: String,
    /// Its custom headers; values that look like credentials are redacted.
    pub headers: BTreeMap<String, String>,
    /// Its own retry rules; `null` means the dialect's.
    pub retry: Option<RetryOverride>,
    /// Its own timeout; `null` means the dialect's or the service's.
    pub timeout_seconds: Option<i16>,
    /// Requests a second; `null` means without limit.
    pub rate_limit: Option<i32>,
    /// Requests under way in one process; `null` means the service's default.
    pub max_in_flight: Option<i16>,
    /// The tenant's own notes.
    pub metadata: Box<RawValue>,
    /// Where it stands.
    pub state: State,
    /// Whether it gets its events.
    pub is_active: bool,
    /// Why Tidings disabled it.
    pub disabled_reason: Option<String>,
    /// When its receiver first passed the challenge.
    pub verified_at: Option<DateTime<Utc>>,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// Counts changes; the value of its `ETag`.
    #[serde(skip)]
    pub revision: i32,
}

/// A webhook with what is shown once.
#[derive(Debug, Clone, Serialize)]
pub struct Registered {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// What signs its requests.
    pub signing_secret: String,
    /// What is sent along with each request, where the dialect has such a thing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Other names under which the dialect's users know members of this answer.
    #[serde(flatten)]
    pub aliases: BTreeMap<String, serde_json::Value>,
}

/// Shows a webhook.
pub(super) fn show(context: &Context, webhook: &Webhook) -> Result<WebhookView, ActionError> {
    let settings = &webhook.settings;
    let shown = open_headers(context, webhook)?.into_iter().map(|(name, value)| {
        let value = if is_credential(&name) { Keys::REDACTED.to_owned() } else { value };
        (name, value)
    });
    Ok(WebhookView {
        id: webhook.id,
        url: settings.url.clone(),
        events: settings.events.clone(),
        dialect: webhook.dialect.clone(),
        description: settings.description.clone(),
        headers: shown.collect(),
        retry: settings.retry.clone(),
        timeout_seconds: settings.timeout_seconds,
        rate_limit: settings.rate_limit,
        max_in_flight: settings.max_in_flight,
        metadata: RawValue::from_string(settings.metadata.clone()).unwrap_or_default(),
        state: settings.state,
        is_active: settings.state == State::Active,
        disabled_reason: settings.disabled_reason.clone(),
        verified_at: settings.verified_at,
        created_at: webhook.created_at,
        updated_at: webhook.updated_at,
        revision: webhook.revision,
    })
}

/// The custom headers, names and values.
pub(super) fn open_headers(context: &Context, webhook: &Webhook) -> Result<Vec<(String, String)>, ActionError> {
    match &webhook.settings.headers {
        Some(sealed) => Ok(vault::open_headers(&context.master_key, webhook.tenant_id, webhook.id, sealed)?),
        None => Ok(Vec::new()),
    }
}

impl Registered {
    /// A webhook with its secret and token, under all the names that its dialect's users know.
    pub(super) fn new(webhook: WebhookView, profile: &Profile, secret: &Secret, token: Option<&Secret>) -> Self {
        let members = serde_json::to_value(&webhook).unwrap_or_default();
        let aliases = profile.registration_aliases().map(|(alias, member)| (alias.to_owned(), members[member].clone()));
        Self {
            aliases: aliases.collect(),
            webhook,
            signing_secret: secret.expose_secret().to_owned(),
            token: token.map(|token| token.expose_secret().to_owned()),
        }
    }
}
