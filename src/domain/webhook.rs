//! Webhooks: registrations, and the states they pass through.

use serde::{Deserialize, Serialize};

/// Where a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// Requests under way to one webhook in one process, unless the webhook says otherwise.
pub const DEFAULT_MAX_IN_FLIGHT: u16 = 32;

/// Seconds from the start of an attempt to the end of the answer, unless the webhook or its dialect says otherwise.
pub const DEFAULT_TIMEOUT_SECONDS: u16 = 10;

/// A webhook's own retry rules, in place of its dialect's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryOverride {
    /// Attempts in all, 1 to 50.
    pub max_attempts: u16,
    /// Seconds before the second attempt, above 0, at most 86,400.
    pub initial_seconds: f64,
    /// Each wait is this many times the one before, 1 to 10.
    #[serde(default = "default_factor")]
    pub factor: f64,
    /// No wait is longer than this many seconds, at most 604,800.
    #[serde(default = "default_max_seconds")]
    pub max_seconds: f64,
    /// Share by which a wait is stretched or shortened at random, 0 to 1.
    #[serde(default = "default_jitter")]
    pub jitter: f64,
    /// Statuses after which no attempt follows, beside the dialect's; 400 to 599.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terminal_statuses: Vec<u16>,
}

const fn default_factor() -> f64 {
    2.0
}

const fn default_max_seconds() -> f64 {
    86_400.0
}

const fn default_jitter() -> f64 {
    0.1
}
