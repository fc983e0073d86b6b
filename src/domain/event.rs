//! Events: facts that internal services report.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::ids::{EventId, TenantId};

/// Characters that an event type may have.
pub const MAX_TYPE_CHARS: usize = 128;

/// How long an idempotency key lasts; then it is free for another event. In SQL, `tidings.accept_batch` knows the same.
pub const KEY_LASTS: Duration = Duration::from_hours(24);

/// An event as it is accepted and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its id, which also tells when it was accepted.
    pub id: EventId,
    /// Its type, of the form that [`is_event_type`] allows.
    pub event_type: String,
    /// When it happened, where its reporter said so.
    pub occurred_at: Option<DateTime<Utc>>,
    /// Any JSON value, byte for byte as it came.
    pub data: Bytes,
}

/// What tells whether two reports under one idempotency key are the same.
pub type ContentDigest = [u8; 32];

impl Event {
    /// When it happened; without a word from its reporter, when it was accepted.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        self.occurred_at.unwrap_or_else(|| self.id.created_at())
    }

    /// SHA-256 over type, time and data, as `tidings.content_digest` has it in SQL.
    #[must_use]
    pub fn content_digest(&self) -> ContentDigest {
        let micros = self.occurred_at.map_or_else(String::new, |at| at.timestamp_micros().to_string());
        let parts = [self.event_type.as_bytes(), b"\n", micros.as_bytes(), b"\n", &self.data];
        parts.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
    }
}

/// Whether a text is an event type: `[A-Za-z0-9_.:-]{1,128}`.
#[must_use]
pub fn is_event_type(text: &str) -> bool {
    (1..=MAX_TYPE_CHARS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

/// The types of Tidings' own events, which tell a tenant how its webhooks and deliveries fare. Producers may not report them; in
/// SQL, `tidings.is_operational` knows the same.
pub const OPERATIONAL_TYPES: [&str; 4] = ["webhook.failing", "webhook.disabled", "webhook.verified", "delivery.dead"];

/// Whether a type is one of Tidings' own.
#[must_use]
pub fn is_operational(event_type: &str) -> bool {
    OPERATIONAL_TYPES.contains(&event_type)
}

/// Whether a text can stand in a webhook's `events`: an event type, `*`, or a prefix ending in `.*`.
#[must_use]
pub fn is_event_pattern(text: &str) -> bool {
    text == "*" || is_event_type(text.strip_suffix(".*").unwrap_or(text))
}

/// Whether a pattern names an event type. `*` means every type that producers report: whoever wants Tidings' own says so, by name or by
/// prefix.
#[must_use]
pub fn pattern_matches(pattern: &str, event_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => !is_operational(event_type),
        Some(prefix) => event_type.starts_with(prefix),
        None => pattern == event_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_patterns() {
        for good in ["a", "document.processed", "A_b:c-1", &"x".repeat(128)] {
            assert!(is_event_type(good) && is_event_pattern(good), "{good}");
        }
        for bad in ["", "../", "a b", "é", "a*", &"x".repeat(129)] {
            assert!(!is_event_type(bad) && !is_event_pattern(bad), "{bad}");
        }
        assert!(is_event_pattern("*") && is_event_pattern("document.*"));
        assert!(!is_event_pattern(".*") && !is_event_pattern("*.a") && !is_event_pattern("a.*.b"));
    }

    #[test]
    fn a_prefix_matches_what_lies_below_it_only() {
        assert!(pattern_matches("document.*", "document.read.done"));
        assert!(!pattern_matches("document.*", "document") && !pattern_matches("document.*", "documents.read"));
        assert!(!pattern_matches("*", "webhook.failing") && pattern_matches("webhook.*", "webhook.failing"));
        assert!(pattern_matches("*", "anything") && pattern_matches("a.b", "a.b") && !pattern_matches("a.b", "a"));
    }
}
