//! Webhooks: registrations, and the states they pass through.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ids::{TenantId, WebhookId};
use super::retry::{DEFAULT_JITTER, DEFAULT_MAX_SECONDS};
use super::secret::Sealed;

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookState)]
pub enum State {
    /// Its dialect asks for a challenge that the receiver has not passed since the URL was set.
    PendingVerification,
    /// Gets its events.
    Active,
    /// Paused by a person; its events are held.
    Inactive,
    /// Stopped by Tidings, with a reason; its events are held.
    Disabled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::PendingVerification, Self::Active, Self::Inactive, Self::Disabled];

    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingVerification => "pending_verification",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A registration: where a tenant wants which events, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its id.
    pub id: WebhookId,
    /// Where to POST, in canonical form.
    pub url: String,
    /// Exact event types, `*`, or prefixes ending in `.*`.
    pub events: Vec<String>,
    /// The wire language; never changes.
    pub dialect: String,
    /// For people.
    pub description: String,
    /// Its own headers, sealed: some may be credentials.
    pub headers: Option<Sealed>,
    /// Their names.
    pub header_names: Vec<String>,
    /// Its own retry rules, in place of the dialect's.
    pub retry: Option<RetryOverride>,
    /// Its own timeout, in place of the dialect's.
    pub timeout_seconds: Option<i16>,
    /// Requests a second over all processes; `None` without limit.
    pub rate_limit: Option<i32>,
    /// Requests under way in one process, in place of [`DEFAULT_MAX_IN_FLIGHT`].
    pub max_in_flight: Option<i16>,
    /// The tenant's own notes.
    pub metadata: Map<String, Value>,
    /// Where it stands.
    pub state: State,
    /// Why Tidings disabled it; set exactly where it did.
    pub disabled_reason: Option<String>,
    /// When a receiver of it was first known to want events: from then on its events are owed, and held while it is not active.
    pub verified_at: Option<DateTime<Utc>>,
    /// The URL whose receiver last showed that it wants events.
    pub verified_url: Option<String>,
    /// Counts changes.
    pub revision: i32,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl Webhook {
    /// Whether it gets its events.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == State::Active
    }

    /// Whether the receiver at its present URL has shown that it wants events.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified_url.as_deref() == Some(&*self.url)
    }

    /// The receiver at this URL wants events: it has passed the challenge, or its dialect has none.
    pub fn verify(&mut self, now: DateTime<Utc>) {
        self.verified_at.get_or_insert(now);
        self.verified_url = Some(self.url.clone());
        if self.state == State::PendingVerification {
            self.state = State::Active;
        }
    }

    /// A person wants it to get its events; it does once its URL is verified.
    pub fn activate(&mut self) {
        self.state = if self.is_verified() { State::Active } else { State::PendingVerification };
        self.disabled_reason = None;
    }

    /// A person wants it to pause.
    pub fn deactivate(&mut self) {
        self.state = State::Inactive;
        self.disabled_reason = None;
    }

    /// Its URL becomes another one; a webhook that was running must be verified again, unless this URL was the one verified last.
    pub fn redirect(&mut self, url: String) {
        self.url = url;
        if matches!(self.state, State::Active | State::PendingVerification) {
            self.activate();
        }
    }
}

/// Requests under way to one webhook in one process, unless the webhook says otherwise.
pub const DEFAULT_MAX_IN_FLIGHT: u16 = 32;

/// Seconds from the start of an attempt to the end of the answer, unless the webhook or its dialect says otherwise.
pub const DEFAULT_TIMEOUT_SECONDS: u16 = 10;

/// A webhook's own retry rules, in place of its dialect's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Retry)]
pub struct RetryOverride {
    /// Attempts in all, 1 to 50.
    #[schema(minimum = 1, maximum = 50)]
    pub max_attempts: u16,
    /// Seconds before the second attempt, above 0, at most 86,400.
    #[schema(exclusive_minimum = 0, maximum = 86_400)]
    pub initial_seconds: f64,
    /// Each wait is this many times the one before, 1 to 10.
    #[serde(default = "default_factor")]
    #[schema(minimum = 1, maximum = 10)]
    pub factor: f64,
    /// No wait is longer than this many seconds before jitter, at most 604,800.
    #[serde(default = "default_max_seconds")]
    #[schema(exclusive_minimum = 0, maximum = 604_800)]
    pub max_seconds: f64,
    /// Share by which a wait is stretched or shortened at random, 0 to 1.
    #[serde(default = "default_jitter")]
    #[schema(minimum = 0, maximum = 1)]
    pub jitter: f64,
    /// Statuses after which no attempt follows, beside the dialect's; 400 to 599.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub terminal_statuses: Vec<u16>,
}

const fn default_factor() -> f64 {
    2.0
}

const fn default_max_seconds() -> f64 {
    DEFAULT_MAX_SECONDS
}

const fn default_jitter() -> f64 {
    DEFAULT_JITTER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> Webhook {
        Webhook {
            tenant_id: TenantId::from_u128(1),
            id: WebhookId::from_u128(2),
            url: "https://a.example/".into(),
            events: vec!["*".into()],
            dialect: "limai".into(),
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
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_webhook_is_active_only_with_a_verified_url() {
        let mut webhook = webhook();
        webhook.activate();
        assert_eq!(webhook.state, State::PendingVerification);
        webhook.verify(DateTime::UNIX_EPOCH);
        assert!(webhook.is_active() && webhook.verified_at.is_some());
        webhook.redirect("https://b.example/".into());
        assert_eq!(webhook.state, State::PendingVerification);
        assert!(webhook.verified_at.is_some(), "its events are held meanwhile");
        webhook.redirect("https://a.example/".into());
        assert!(webhook.is_active());
    }

    #[test]
    fn pausing_does_not_forget_that_a_url_is_unverified() {
        let mut webhook = webhook();
        webhook.verify(DateTime::UNIX_EPOCH);
        webhook.redirect("https://b.example/".into());
        webhook.deactivate();
        webhook.activate();
        assert_eq!(webhook.state, State::PendingVerification);
    }

    #[test]
    fn a_paused_webhook_stays_paused_until_a_person_says_otherwise() {
        let mut webhook = webhook();
        webhook.deactivate();
        webhook.verify(DateTime::UNIX_EPOCH);
        webhook.redirect("https://b.example/".into());
        assert_eq!(webhook.state, State::Inactive);
    }
}
