//! The challenge: a request that asks a receiver to show that it wants events, by returning a value.

use bytes::Bytes;
use serde_json::Value;

use super::body::{Body, BodySlot, Facts};
use super::sign::Subject;
use crate::domain::ids::EventId;
use crate::domain::secret::same;

/// A dialect's challenge. It is signed like an event ([`Challenge::subject`] says as what).
#[derive(Debug, Clone)]
pub struct Challenge {
    pub(super) event_type: String,
    pub(super) body: Body,
    /// The JSON member that may carry the value back.
    pub(super) answer_member: Option<String>,
    /// Whether the value may come back by itself.
    pub(super) answer_bare: bool,
}

impl Challenge {
    /// The type that stands where events have theirs, such as `VERIFICATION`.
    #[must_use]
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// What to sign the challenge with this id as.
    #[must_use]
    pub fn subject(&self, id: EventId) -> Subject<'_> {
        Subject { id, event_type: &self.event_type, time: id.created_at() }
    }

    /// The body that asks for `value`, which the caller draws at random.
    #[must_use]
    pub fn render(&self, id: EventId, value: &str) -> Bytes {
        let facts = Facts {
            id: &id.to_string(),
            event_type: &self.event_type,
            time: id.created_at(),
            data: b"",
            challenge: value,
        };
        self.body.write(&facts, b"").into()
    }

    /// Whether the body of a receiver's 2xx answer returns the value: as the JSON member that the dialect names, or
    /// bare, plain or as a JSON string. White space around it is fine; nothing else is.
    #[must_use]
    pub fn answer_matches(&self, value: &str, answer: &[u8]) -> bool {
        let answer = answer.trim_ascii();
        let plain = std::str::from_utf8(answer).is_ok_and(|text| same(value, text));
        let parsed = serde_json::from_slice::<Value>(answer).ok();
        let quoted = parsed.as_ref().and_then(Value::as_str).is_some_and(|text| same(value, text));
        let member = self.answer_member.as_ref().and_then(|name| parsed.as_ref()?.get(name)?.as_str());
        (self.answer_bare && (plain || quoted)) || member.is_some_and(|text| same(value, text))
    }

    /// For a receiver: the value that a body asks for, if it is a challenge.
    #[must_use]
    pub fn recognise(&self, body: &[u8]) -> Option<String> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let text = |slot| body.pointer(self.body.pointer(slot)?)?.as_str();
        (text(BodySlot::Type)? == self.event_type).then_some(())?;
        text(BodySlot::Challenge).map(str::to_owned)
    }

    /// For a receiver: the body that answers with the value, JSON where the dialect allows it.
    #[must_use]
    pub fn answer(&self, value: &str) -> String {
        match &self.answer_member {
            Some(name) => serde_json::json!({ name: value }).to_string(),
            None => value.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::Dialects;
    use crate::domain::ids::EventId;

    fn limai() -> super::Challenge {
        let dialects = Dialects::builtin().expect("the built-in dialects");
        dialects.get("limai").and_then(|limai| limai.challenge().cloned()).expect("a challenge")
    }

    #[test]
    fn what_is_asked_is_recognised_and_the_answer_matches() {
        let challenge = limai();
        let id = EventId::from_u128(1 << 40);
        let body = challenge.render(id, "a \"b\"");
        let expected = format!(r#"{{"eventType":"VERIFICATION","eventId":"{id}","challenge":"a \"b\""}}"#);
        assert_eq!(body, expected.as_bytes());
        let value = challenge.recognise(&body).expect("recognised");
        assert!(challenge.answer_matches("a \"b\"", challenge.answer(&value).as_bytes()));
        assert_eq!(challenge.subject(id).event_type, "VERIFICATION");
    }

    #[test]
    fn an_event_is_no_challenge() {
        for body in [r#"{"eventType":"DOCUMENT_REVIEWED","challenge":"x"}"#, r#"{"eventType":"VERIFICATION"}"#, "x"] {
            assert_eq!(limai().recognise(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_value_may_come_back_in_json_or_bare() {
        for right in [r#"{"challenge":"v1"}"#, " {\"challenge\": \"v1\", \"ok\": true}\n", "v1", " v1\r\n", r#""v1""#] {
            assert!(limai().answer_matches("v1", right.as_bytes()), "{right}");
        }
        for wrong in ["", "v", "v1x", "x v1", r#"{"challenge":"v2"}"#, r#"{"other":"v1"}"#, r#"["v1"]"#, "\u{a0}v1"] {
            assert!(!limai().answer_matches("v1", wrong.as_bytes()), "{wrong}");
        }
    }
}
