//! Exhibit: a request as its receiver gets it, for people to look at. What is secret in it is not shown.

use chrono::{DateTime, Utc};

use super::vault::UNREADABLE;
use crate::dialect::{DialectError, Keys, Profile, Unrenderable};
use crate::domain::event::Event;
use crate::domain::secret::Secret;

/// Words in the names of headers whose values are credentials.
const CREDENTIAL_WORDS: [&str; 11] =
    ["auth", "cookie", "credential", "jwt", "key", "pass", "secret", "session", "sign", "token", "bearer"];

/// A request to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhibit {
    /// Where to; always a POST.
    pub url: String,
    /// The dialect's headers, then the webhook's own.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: String,
}

/// Where a request goes and what the webhook adds to it.
#[derive(Debug, Clone, Copy)]
pub struct SentTo<'a> {
    /// Where to.
    pub url: &'a str,
    /// The webhook's own headers.
    pub headers: &'a [(String, String)],
}

/// Why there is no request to show.
#[derive(Debug, thiserror::Error)]
pub enum NoExhibit {
    /// The dialect has no place for the event's data.
    #[error(transparent)]
    Unrenderable(#[from] Unrenderable),
    /// A stored secret does not suit its dialect.
    #[error(transparent)]
    Dialect(#[from] DialectError),
}

/// The request of an attempt that started at `at`, signed with `secrets` (newest first); with none left, the signature is
/// shown as forgotten.
pub fn exhibit(
    profile: &Profile,
    event: &Event,
    destination: SentTo<'_>,
    secrets: &[Secret],
    at: DateTime<Utc>,
) -> Result<Exhibit, NoExhibit> {
    let keys = match secrets {
        [] => Keys::forgotten(),
        secrets => profile.keys(secrets, Some(&Keys::REDACTED.into()))?,
    };
    let signed = profile.sign(event, profile.render_body(event)?, &keys, at);
    let own = destination.headers.iter().map(|(name, value)| (name.clone(), shown_value(name, value).to_owned()));
    let headers = signed.headers.iter().map(|(name, value)| (name.to_string(), value.clone())).chain(own);
    Ok(Exhibit {
        url: destination.url.to_owned(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&signed.body).into_owned(),
    })
}

/// The value of a webhook's own header as it is shown. That it does not open is no secret.
#[must_use]
pub fn shown_value<'v>(name: &str, value: &'v str) -> &'v str {
    if is_credential(name) && value != UNREADABLE { Keys::REDACTED } else { value }
}

/// Whether a header's name says that its value is a credential.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIAL_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dialect::Dialects;
    use crate::domain::ids::{EventId, TenantId};

    fn event(data: &'static str) -> Event {
        Event {
            tenant_id: TenantId::from_u128(1),
            id: EventId::new(DateTime::UNIX_EPOCH, 1 << 40),
            event_type: "processed".into(),
            occurred_at: None,
            data: Bytes::from_static(data.as_bytes()),
        }
    }

    fn show(dialect: &str, data: &'static str, secrets: &[Secret]) -> Result<Exhibit, NoExhibit> {
        let dialects = Dialects::builtin().expect("built in");
        let headers = [("X-Team".to_owned(), "blue".to_owned()), ("Authorization".to_owned(), "Basic abc".to_owned())];
        let destination = SentTo { url: "https://a.example/", headers: &headers };
        exhibit(dialects.get(dialect).expect(dialect), &event(data), destination, secrets, DateTime::UNIX_EPOCH)
    }

    fn value<'e>(exhibit: &'e Exhibit, name: &str) -> &'e str {
        exhibit.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()).expect(name)
    }

    #[test]
    fn tokens_and_credentials_are_not_shown() {
        let shown = show("beltic", "{\"a\":1e2}", &["secret".into()]).expect("an exhibit");
        assert_eq!(value(&shown, "X-Webhook-Token"), "[redacted]");
        assert_eq!(value(&shown, "Authorization"), "[redacted]");
        assert_eq!(value(&shown, "X-Team"), "blue");
        assert_eq!(value(&shown, "X-Webhook-Signature").len(), 64);
        assert!(shown.body.contains("1e2"));
    }

    #[test]
    fn forgotten_secrets_leave_a_mark() {
        let shown = show("numora", "{}", &[]).expect("an exhibit");
        assert_eq!(value(&shown, "X-Numora-Webhook-Signature"), "t=1970-01-01T00:00:00Z,[forgotten]");
    }

    #[test]
    fn what_cannot_be_rendered_is_told() {
        let error = show("beltic", "{\"status\":1}", &["secret".into()]).expect_err("a collision");
        assert!(matches!(error, NoExhibit::Unrenderable(Unrenderable::Collision { .. })));
    }
}
