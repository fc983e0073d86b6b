//! Deliveries: what is owed, and how it can end.
//!
//! ```text
//!             ┌────────── retry, lease expired ─────────┐
//!             ▼                                         │
//! accept → pending ── claim (attempt + 1, lease) ──→ leased ── 2xx ──→ delivered
//!             ▲                                         │                  │ resend: a new delivery
//!             │                                         ├─ given up ──→  dead ── deleted ──→ cancelled
//!             └───────────────── resend ────────────────┴──────────────────┘
//! ```
//! A leased delivery is still `pending` to its reader. Deleting its webhook or its event's data, or dropping the backlog, cancels a
//! pending one.

use serde::Serialize;
use utoipa::ToSchema;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DeliveryState)]
pub enum State {
    /// Due now or later, or leased.
    Pending,
    /// The receiver answered 2xx.
    Delivered,
    /// Given up; a dead letter.
    Dead,
    /// Will not be attempted again, because a person said so.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Delivered, Self::Dead, Self::Cancelled];

    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// The schedule ran out, or its lease ended without a result [`MOST_LAPSES`](super::lease::MOST_LAPSES) times in a row.
    AttemptsExhausted,
    /// The receiver answered a status after which another attempt is useless.
    TerminalStatus,
    /// Its webhook was disabled and stayed so until retention ended.
    WebhookDisabled,
    /// Its dialect has no place for its data.
    Unrenderable,
}

impl DeadReason {
    /// Every reason.
    pub const ALL: [Self; 4] =
        [Self::AttemptsExhausted, Self::TerminalStatus, Self::WebhookDisabled, Self::Unrenderable];

    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::TerminalStatus => "terminal_status",
            Self::WebhookDisabled => "webhook_disabled",
            Self::Unrenderable => "unrenderable",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
