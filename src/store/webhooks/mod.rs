//! Webhooks: registrations with their subscriptions, revisions and secrets.
//!
//! All that can be changed of a webhook is its [`Settings`], and [`Store::change_webhook`] is the one way to change them: it
//! writes the next revision, if nobody else did meanwhile.

mod read;
mod secrets;
mod write;

use chrono::{DateTime, Utc};

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::domain::webhook::{RetryOverride, State};

pub use read::WebhookFilter;
pub use secrets::{NewSecret, Rotation};

/// What of a webhook can be changed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to POST, in canonical form.
    pub url: String,
    /// Exact event types, `*`, or prefixes ending in `.*`.
    pub events: Vec<String>,
    /// For people.
    pub description: String,
    /// Names of its custom headers.
    pub header_names: Vec<String>,
    /// Its custom headers, sealed; `None` where it has none.
    pub headers: Option<Sealed>,
    /// Its own retry rules.
    pub retry: Option<RetryOverride>,
    /// Its own timeout, 1 to 30.
    pub timeout_seconds: Option<i16>,
    /// Requests a second over all processes.
    pub rate_limit: Option<i32>,
    /// Requests under way in one process.
    pub max_in_flight: Option<i16>,
    /// The tenant's own notes, a JSON object.
    pub metadata: String,
    /// Where it stands.
    pub state: State,
    /// Why Tidings disabled it; exactly where it did.
    pub disabled_reason: Option<String>,
    /// When its receiver first passed the challenge.
    pub verified_at: Option<DateTime<Utc>>,
    /// The URL whose receiver last passed the challenge.
    pub verified_url: Option<String>,
}

/// A webhook as it is stored.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its id.
    pub id: WebhookId,
    /// Its wire language, which never changes.
    pub dialect: String,
    /// Counts changes, from 1.
    pub revision: i32,
    /// All that can be changed.
    pub settings: Settings,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
