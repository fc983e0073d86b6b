//! Test: one signed request now, so that an integrator sees what arrives and what the answer was. Nothing of it is stored.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::actions::exhibit::is_credential;
use crate::actions::webhooks::{Webhooks, view};
use crate::actions::{ActionError, outgoing};
use crate::dialect::{Keys, Profile};
use crate::domain::event::Event;
use crate::domain::ids::{EventId, WebhookId};
use crate::domain::webhook::State;
use crate::store::webhooks::Webhook;

/// What is sent where the dialect and the webhook leave the type open.
const SAMPLE_TYPE: &str = "tidings.test";
/// The sample's data.
const SAMPLE_DATA: &[u8] = br#"{"test":true,"message":"This is a test request from Tidings."}"#;

/// A test's request and its result.
#[derive(Debug, Serialize)]
pub struct Tested {
    /// What was sent.
    pub request: TestRequest,
    /// What kind of result it is; `success` is a 2xx.
    pub outcome: &'static str,
    /// The HTTP status, where one arrived.
    pub status: Option<u16>,
    /// Response headers, `name: value` each.
    pub response_headers: Vec<String>,
    /// The first 16 KiB of the response body, as text.
    pub response_body: String,
    /// From the start of the request to its end.
    pub duration_ms: u64,
}

/// A request as it was sent; credentials are redacted, the signature is not.
#[derive(Debug, Serialize)]
pub struct TestRequest {
    /// Where to; always a POST.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Webhooks<'_> {
    /// Sends a sample event and tells what the receiver answered.
    pub async fn test(self, id: WebhookId) -> Result<Tested, ActionError> {
        let context = self.context;
        let webhook = self.read(id).await?;
        if webhook.settings.state == State::PendingVerification {
            let detail = "the receiver has not passed the challenge for this URL yet: POST …/verify first";
            return Err(ActionError::conflict("pending_verification", detail));
        }
        let profile = self.profile(&webhook)?;
        let event = Event {
            tenant_id: self.tenant_id,
            id: EventId::new(context.clock.now(), rand::random()),
            event_type: sample_type(&webhook, profile),
            occurred_at: None,
            data: Bytes::from_static(SAMPLE_DATA),
        };
        let body = profile
            .render_body(&event)
            .map_err(|unrenderable| ActionError::conflict("unrenderable", unrenderable.to_string()))?;
        let sent = outgoing::send(context, &webhook, profile, (&event).into(), body).await?;
        let own = view::open_headers(context, &webhook)?;
        let answer = sent.outcome.answer;
        Ok(Tested {
            request: TestRequest {
                url: webhook.settings.url.clone(),
                headers: redacted(profile, &sent.signed.headers, own),
                body: String::from_utf8_lossy(&sent.signed.body).into_owned(),
            },
            outcome: sent.outcome.class.as_str(),
            status: answer.as_ref().map(|answer| answer.status),
            response_headers: answer.iter().flat_map(|answer| answer.headers.lines()).map(str::to_owned).collect(),
            response_body: answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).unwrap_or_default(),
            duration_ms: u64::try_from(sent.outcome.duration.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// The first exact type that the webhook wants, else the dialect's first.
fn sample_type(webhook: &Webhook, profile: &Profile) -> String {
    let exact = webhook.settings.events.iter().find(|pattern| !pattern.contains('*'));
    let listed = profile.event_types().and_then(<[String]>::first);
    exact.or(listed).map_or_else(|| SAMPLE_TYPE.to_owned(), Clone::clone)
}

fn redacted(profile: &Profile, signed: &[(Arc<str>, String)], own: Vec<(String, String)>) -> Vec<(String, String)> {
    let hide = |hidden: bool, value: String| if hidden { Keys::REDACTED.to_owned() } else { value };
    let signed =
        signed.iter().map(|(name, value)| (name.to_string(), hide(profile.is_secret_header(name), value.clone())));
    let own = own.into_iter().map(|(name, value)| {
        let hidden = is_credential(&name);
        (name, hide(hidden, value))
    });
    signed.chain(own).collect()
}
