//! How webhooks look in JSON.

use axum::Json;
use axum::http::header::{ETAG, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::actions::exhibit::shown_value;
use crate::actions::webhooks::{Registered, TestResult, shown_headers};
use crate::api::Api;
use crate::api::routes::deliveries::view::{HeaderView, ResponseView, error};
use crate::domain::ids::{EventId, WebhookId};
use crate::domain::outcome::{Class, Outcome};
use crate::domain::webhook::{RetryOverride, State, Webhook};

/// A webhook.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(in crate::api) struct WebhookView {
    id: WebhookId,
    /// Where it POSTs, in canonical form.
    #[schema(example = "https://hooks.example.com/tidings")]
    url: String,
    #[schema(example = json!(["document.*", "run.failed"]))]
    events: Vec<String>,
    #[schema(example = "standard")]
    dialect: String,
    description: String,
    /// Credentials are shown as `[redacted]`, and all values as `[unreadable]` where they do not open any more: send them again.
    #[schema(value_type = HashMap<String, String>, example = json!({"X-Team": "billing"}))]
    headers: Map<String, Value>,
    /// `null`: the dialect's.
    retry: Option<RetryOverride>,
    /// `null`: the dialect's.
    timeout_seconds: Option<i16>,
    /// Requests a second; `null`: without limit.
    rate_limit: Option<i32>,
    /// Requests under way in each process; `null`: 32.
    max_in_flight: Option<i16>,
    metadata: Map<String, Value>,
    state: State,
    /// Whether `state` is `active`.
    is_active: bool,
    /// Why Tidings disabled it.
    disabled_reason: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// When a receiver of it was first known to want events.
    verified_at: Option<DateTime<Utc>>,
    /// Deliveries that `skip_backlog` dropped; only in the answer to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) skipped_deliveries: Option<u64>,
}

/// A webhook with its secrets, shown once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookWithSecrets)]
pub(in crate::api) struct WithSecrets {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What signs. It is not shown again.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    signing_secret: String,
    /// The static token, where the dialect has one. It is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    token: Option<String>,
}

/// Nothing in it can fail: a change that it shows is stored, and a secret that goes with it is shown only once.
pub(super) fn webhook(api: &Api, webhook: &Webhook) -> WebhookView {
    WebhookView {
        id: webhook.id,
        url: webhook.url.clone(),
        events: webhook.events.clone(),
        dialect: webhook.dialect.clone(),
        description: webhook.description.clone(),
        headers: shown_headers(api, webhook).into_iter().map(shown_header).collect(),
        retry: webhook.retry.clone(),
        timeout_seconds: webhook.timeout_seconds,
        rate_limit: webhook.rate_limit,
        max_in_flight: webhook.max_in_flight,
        metadata: webhook.metadata.clone(),
        state: webhook.state,
        is_active: webhook.is_active(),
        disabled_reason: webhook.disabled_reason.clone(),
        created_at: webhook.created_at,
        updated_at: webhook.updated_at,
        verified_at: webhook.verified_at,
        skipped_deliveries: None,
    }
}

fn shown_header((name, value): (String, String)) -> (String, Value) {
    let value = shown_value(&name, &value).into();
    (name, value)
}

/// The answer with a webhook as it is now, and its revision as `ETag`.
pub(super) fn answer(api: &Api, shown: &Webhook) -> Response {
    ([(ETAG, etag(shown))], Json(webhook(api, shown))).into_response()
}

/// The one answer that has secrets in it, with the members that the dialect's vendor has beside.
pub(super) fn with_secrets(api: &Api, status: StatusCode, registered: &Registered) -> Response {
    let shown = &registered.webhook;
    let mut body = json!(WithSecrets {
        webhook: webhook(api, shown),
        signing_secret: registered.signing_secret.expose_secret().to_owned(),
        token: registered.token.as_ref().map(|token| token.expose_secret().to_owned()),
    });
    if let Some(profile) = api.dialects.get(&shown.dialect) {
        for (alias, member) in profile.registration_aliases() {
            body[alias] = body[member].clone();
        }
    }
    let place = format!("/v1/webhooks/{}", shown.id);
    (status, [(ETAG, etag(shown)), (LOCATION, place)], Json(body)).into_response()
}

/// Whether `If-None-Match` names the webhook as it is; `*` names any.
pub(super) fn is_known(webhook: &Webhook, headers: &HeaderMap) -> bool {
    let tag = etag(webhook);
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.trim_start_matches("W/") == tag
    })
}

/// The answer to somebody who knows it as it is.
pub(super) fn unchanged(webhook: &Webhook) -> Response {
    (StatusCode::NOT_MODIFIED, [(ETAG, etag(webhook))]).into_response()
}

fn etag(webhook: &Webhook) -> String {
    format!("\"{}\"", webhook.revision)
}

/// What a receiver did, as its tenant is told: a class, and the answer where one came.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReceiverAnswer)]
pub(in crate::api) struct OutcomeView {
    outcome: Class,
    /// The HTTP status, where an answer came.
    status: Option<u16>,
    /// The class of failure, where no answer came.
    error: Option<Class>,
    /// As attempts show it.
    response: Option<ResponseView>,
    /// The headers of `response`; several of one name are joined as HTTP does.
    #[schema(value_type = Option<HashMap<String, String>>)]
    response_headers: Option<Map<String, Value>>,
    /// The body of `response` as text, with what is no UTF-8 replaced; the first 16 KiB.
    response_body: Option<String>,
    duration_ms: u64,
}

impl From<&Outcome> for OutcomeView {
    fn from(outcome: &Outcome) -> Self {
        let answer = outcome.answer.as_ref();
        let response = answer.map(|answer| ResponseView::of(answer.status, &answer.headers, &answer.body));
        Self {
            outcome: outcome.class,
            status: outcome.status(),
            error: error(outcome.class),
            response_headers: response.as_ref().map(|response| joined(&response.headers)),
            response,
            response_body: answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()),
            duration_ms: u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A test delivery, and what the receiver did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TestDelivery)]
pub(in crate::api) struct TestView {
    /// Belongs to no stored event.
    event_id: EventId,
    event_type: String,
    request: TestRequest,
    #[serde(flatten)]
    answer: OutcomeView,
}

#[derive(Debug, Serialize, ToSchema)]
struct TestRequest {
    #[schema(example = "POST")]
    method: &'static str,
    url: String,
    /// Secret values are not shown.
    #[schema(value_type = HashMap<String, String>)]
    headers: Map<String, Value>,
    body: String,
}

impl From<TestResult> for TestView {
    fn from(result: TestResult) -> Self {
        let headers = result.request.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
        Self {
            event_id: result.event_id,
            event_type: result.event_type,
            request: TestRequest { method: "POST", url: result.request.url, headers, body: result.request.body },
            answer: (&result.outcome).into(),
        }
    }
}

/// Headers as an object; several of one name are joined as HTTP does.
fn joined(headers: &[HeaderView]) -> Map<String, Value> {
    let mut members = Map::new();
    for HeaderView { name, value } in headers {
        match members.get_mut(name) {
            Some(Value::String(earlier)) => *earlier = format!("{earlier}, {value}"),
            _ => drop(members.insert(name.clone(), value.clone().into())),
        }
    }
    members
}
