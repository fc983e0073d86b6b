//! The words of a replay: where it stands and what moves it, what it goes through, why it passes something over.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::webhook;

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplayState)]
pub enum State {
    /// Dispatchers work on it.
    Running,
    /// A person stopped it for now.
    Paused,
    /// All is done.
    Completed,
    /// A person stopped it for good.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Completed, Self::Cancelled];

    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Where a person's word leads from here; `None` where it cannot be followed any more.
    #[must_use]
    pub const fn after(self, word: Word) -> Option<Self> {
        match (self, word) {
            (Self::Running | Self::Paused, Word::Pause) => Some(Self::Paused),
            (Self::Running | Self::Paused, Word::Resume) => Some(Self::Running),
            (Self::Running | Self::Paused | Self::Cancelled, Word::Cancel) => Some(Self::Cancelled),
            (Self::Completed, _) | (Self::Cancelled, Word::Pause | Word::Resume) => None,
        }
    }
}

/// What a person can say to a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Stop for now.
    Pause,
    /// Go on.
    Resume,
    /// Stop for good.
    Cancel,
}

/// What a replay goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ReplaySource)]
pub enum Source {
    /// Deliveries that were given up.
    DeadLetters,
    /// Deliveries that came to an end, whichever.
    Deliveries,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 2] = [Self::DeadLetters, Self::Deliveries];

    /// The word in SQL and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetters => "dead_letters",
            Self::Deliveries => "deliveries",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == text)
    }
}

/// Why a replay passed a delivery over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SkipReason {
    /// The webhook was deleted.
    WebhookDeleted,
    /// A person deactivated the webhook.
    WebhookInactive,
    /// Tidings disabled the webhook.
    WebhookDisabled,
    /// The webhook's receiver has yet to pass the challenge.
    WebhookNotVerified,
    /// The event was purged.
    EventGone,
    /// The same event was resent to the same webhook since the replay was started, or is about to be delivered again.
    AlreadyResent,
    /// The event has had half a million deliveries.
    TooManyResends,
    /// It was counted, and then resent or deleted by somebody else, or purged, before its turn came.
    Gone,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::WebhookDeleted,
        Self::WebhookInactive,
        Self::WebhookDisabled,
        Self::WebhookNotVerified,
        Self::EventGone,
        Self::AlreadyResent,
        Self::TooManyResends,
        Self::Gone,
    ];

    /// The word in SQL and JSON; those that a single resend has too are the same there.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebhookDeleted => "webhook_deleted",
            Self::WebhookInactive => "webhook_inactive",
            Self::WebhookDisabled => "webhook_disabled",
            Self::WebhookNotVerified => "webhook_not_verified",
            Self::EventGone => "event_gone",
            Self::AlreadyResent => "already_resent",
            Self::TooManyResends => "too_many_resends",
            Self::Gone => "gone",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// Why a webhook cannot receive, if it cannot; `None` is a deleted one.
    #[must_use]
    pub const fn of_webhook(state: Option<webhook::State>) -> Option<Self> {
        match state {
            None => Some(Self::WebhookDeleted),
            Some(webhook::State::Active) => None,
            Some(webhook::State::Inactive) => Some(Self::WebhookInactive),
            Some(webhook::State::Disabled) => Some(Self::WebhookDisabled),
            Some(webhook::State::PendingVerification) => Some(Self::WebhookNotVerified),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_followed_or_refused() {
        use State::{Cancelled, Completed, Paused, Running};
        for (from, pause, resume, cancel) in [
            (Running, Some(Paused), Some(Running), Some(Cancelled)),
            (Paused, Some(Paused), Some(Running), Some(Cancelled)),
            (Cancelled, None, None, Some(Cancelled)),
            (Completed, None, None, None),
        ] {
            let found = [Word::Pause, Word::Resume, Word::Cancel].map(|word| from.after(word));
            assert_eq!(found, [pause, resume, cancel], "{from:?}");
            assert_eq!(from.is_final(), pause.is_none());
        }
    }

    #[test]
    fn words_read_back() {
        assert!(State::ALL.iter().all(|state| State::parse(state.as_str()) == Some(*state)));
        assert!(Source::ALL.iter().all(|source| Source::parse(source.as_str()) == Some(*source)));
        assert!(SkipReason::ALL.iter().all(|reason| SkipReason::parse(reason.as_str()) == Some(*reason)));
    }
}
