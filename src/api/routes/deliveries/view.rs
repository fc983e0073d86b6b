//! Deliveries and their attempts as JSON.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actions::exhibit::Exhibit;
use crate::actions::show_attempt::ShownAttempt;
use crate::dialect::Keys;
use crate::domain::delivery::State;
use crate::domain::ids::{AttemptId, DeliveryId, EventId, WebhookId};
use crate::domain::outcome::{Answer, Class};
use crate::store::history::deliveries::Delivery;

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(in crate::api) struct DeliveryView {
    id: DeliveryId,
    event_id: EventId,
    /// The event's type; `null` where the event was purged.
    #[schema(example = "document.processed")]
    event: Option<String>,
    webhook_id: WebhookId,
    #[schema(example = "standard")]
    dialect: String,
    state: State,
    /// Attempts so far, the one under way included.
    attempts: i16,
    /// When its event was accepted, by which lists are ordered; a delivery that was made by a resend has its event's time, too.
    created_at: DateTime<Utc>,
    /// When it is attempted next, while it is `pending`.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it was delivered, given up or cancelled.
    settled_at: Option<DateTime<Utc>>,
    /// Why it is dead or cancelled.
    #[schema(example = "attempts_exhausted")]
    reason: Option<String>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.id.event(),
            event: delivery.event_type,
            webhook_id: delivery.webhook_id,
            dialect: delivery.dialect,
            state: delivery.state,
            attempts: delivery.attempts,
            created_at: delivery.id.created_at(),
            next_attempt_at: delivery.next_attempt_at,
            settled_at: delivery.settled_at,
            reason: delivery.reason,
        }
    }
}

/// A request, as a receiver gets it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Request)]
pub(in crate::api::routes) struct RequestView {
    #[schema(example = "POST")]
    method: &'static str,
    url: String,
    /// In the order they are sent; secret values are not shown.
    headers: Vec<HeaderView>,
    /// Byte for byte.
    body: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Header)]
pub(in crate::api::routes) struct HeaderView {
    pub(in crate::api::routes) name: String,
    pub(in crate::api::routes) value: String,
}

impl From<Exhibit> for RequestView {
    fn from(exhibit: Exhibit) -> Self {
        let headers = exhibit.headers.into_iter().map(|(name, value)| HeaderView { name, value });
        Self { method: "POST", url: exhibit.url, headers: headers.collect(), body: exhibit.body }
    }
}

/// An attempt: what was sent, what came back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(in crate::api) struct AttemptView {
    id: AttemptId,
    /// From 1.
    number: i16,
    started_at: DateTime<Utc>,
    duration_ms: f64,
    outcome: Class,
    /// What followed: `delivered`, `retry` or `dead`.
    #[schema(example = "retry")]
    verdict: String,
    /// The HTTP status, where an answer came.
    status: Option<i16>,
    /// The class of failure, where no answer came.
    error: Option<Class>,
    request: Option<RequestView>,
    /// Why there is no `request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_unavailable: Option<String>,
    response: Option<ResponseView>,
}

/// What a receiver answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Response)]
pub(in crate::api::routes) struct ResponseView {
    status: u16,
    /// In the order they arrived; cookies are not shown.
    pub(in crate::api::routes) headers: Vec<HeaderView>,
    body: String,
    /// `utf-8`: `body` is the text; `base64`: it is the bytes in that encoding.
    #[schema(example = "utf-8")]
    body_encoding: &'static str,
    /// Only the first 16 KiB are kept, and there may have been more.
    truncated: bool,
}

impl AttemptView {
    pub(super) fn of(delivery: DeliveryId, attempt: ShownAttempt) -> Self {
        let ShownAttempt { record, request } = attempt;
        let headers = record.response_headers.as_deref().unwrap_or_default();
        let body = record.response_body.as_deref().unwrap_or_default();
        let response = record.status.map(|status| ResponseView::of(status.cast_unsigned(), headers, body));
        let (request, request_unavailable) = match request {
            Ok(request) => (Some(request.into()), None),
            Err(why) => (None, Some(why)),
        };
        Self {
            id: AttemptId::of(delivery, record.number.cast_unsigned(), record.started_at),
            number: record.number,
            started_at: record.started_at,
            duration_ms: f64::from(record.duration_us) / 1_000.0,
            outcome: record.class,
            error: error(record.class),
            verdict: record.verdict,
            status: record.status,
            request,
            request_unavailable,
            response,
        }
    }
}

impl ResponseView {
    /// An answer with these headers, `name: value` a line, and this much of its body.
    pub(in crate::api::routes) fn of(status: u16, headers: &str, bytes: &[u8]) -> Self {
        let (body, body_encoding) = text_or_base64(bytes);
        let truncated = bytes.len() >= Answer::MAX_BODY;
        Self { status, headers: headers.lines().map(header).collect(), body, body_encoding, truncated }
    }
}

/// The class of failure, where no answer came.
pub(in crate::api::routes) fn error(class: Class) -> Option<Class> {
    (!matches!(class, Class::Success | Class::HttpStatus)).then_some(class)
}

fn header(line: &str) -> HeaderView {
    let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
    let shown = if name.eq_ignore_ascii_case("set-cookie") { Keys::REDACTED } else { value };
    HeaderView { name: name.to_owned(), value: shown.to_owned() }
}

/// A text that was cut inside its last character is still a text.
fn text_or_base64(bytes: &[u8]) -> (String, &'static str) {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    match std::str::from_utf8(whole) {
        Ok(text) => (text.to_owned(), "utf-8"),
        Err(_) => (BASE64_STANDARD.encode(bytes), "base64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_where_it_can_be() {
        assert_eq!(text_or_base64("é\0".as_bytes()), ("é\0".to_owned(), "utf-8"));
        assert_eq!(text_or_base64(&"aé".as_bytes()[..2]), ("a".to_owned(), "utf-8"), "cut inside a character");
        assert_eq!(text_or_base64(&[0xff, 0]), ("/wA=".to_owned(), "base64"));
    }

    #[test]
    fn cookies_of_an_answer_are_not_shown() {
        let shown = |line| {
            let HeaderView { name, value } = header(line);
            (name, value)
        };
        assert_eq!(shown("Set-Cookie: a=b"), ("Set-Cookie".into(), "[redacted]".into()));
        assert_eq!(shown("x: a: b"), ("x".into(), "a: b".into()));
        assert_eq!(shown("x:"), ("x".into(), String::new()));
    }
}
