//! How webhooks look in JSON.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use crate::actions::exhibit::is_credential;
use crate::actions::webhooks::{Registered, own_headers};
use crate::api::Api;
use crate::api::problem::Problem;
use crate::dialect::Keys;
use crate::domain::outcome::Outcome;
use crate::domain::secret::SecretError;
use crate::domain::webhook::Webhook;

/// A webhook; the values of headers that are credentials are not shown.
pub(super) fn webhook(api: &Api, webhook: &Webhook) -> Result<Value, SecretError> {
    let headers: Map<_, _> = own_headers(api, webhook)?.into_iter().map(shown_header).collect();
    Ok(json!({
        "id": webhook.id,
        "url": webhook.url,
        "events": webhook.events,
        "dialect": webhook.dialect,
        "description": webhook.description,
        "headers": headers,
        "retry": webhook.retry,
        "timeout_seconds": webhook.timeout_seconds,
        "rate_limit": webhook.rate_limit,
        "max_in_flight": webhook.max_in_flight,
        "metadata": webhook.metadata,
        "state": webhook.state,
        "is_active": webhook.is_active(),
        "disabled_reason": webhook.disabled_reason,
        "created_at": webhook.created_at,
        "updated_at": webhook.updated_at,
        "verified_at": webhook.verified_at,
    }))
}

fn shown_header((name, value): (String, String)) -> (String, Value) {
    let value = if is_credential(&name) { Keys::REDACTED.to_owned() } else { value };
    (name, value.into())
}

/// The answer with a webhook as it is now, and its revision as `ETag`.
pub(super) fn answer(api: &Api, shown: &Webhook) -> Result<Response, Problem> {
    let body = webhook(api, shown).map_err(Problem::internal)?;
    Ok(([(ETAG, etag(shown))], Json(body)).into_response())
}

/// The one answer that has secrets in it, with the members that the dialect's vendor has beside.
pub(super) fn with_secrets(api: &Api, status: StatusCode, registered: &Registered) -> Result<Response, Problem> {
    let shown = &registered.webhook;
    let mut body = webhook(api, shown).map_err(Problem::internal)?;
    body["signing_secret"] = registered.signing_secret.expose_secret().into();
    if let Some(token) = &registered.token {
        body["token"] = token.expose_secret().into();
    }
    if let Some(profile) = api.dialects.get(&shown.dialect) {
        for (alias, member) in profile.registration_aliases() {
            body[alias] = body[member].clone();
        }
    }
    let place = format!("/v1/webhooks/{}", shown.id);
    Ok((status, [(ETAG, etag(shown)), (LOCATION, place)], Json(body)).into_response())
}

fn etag(webhook: &Webhook) -> String {
    format!("\"{}\"", webhook.revision)
}

/// What a receiver did, as its tenant is told: a class, and the answer where one came.
pub(super) fn outcome(outcome: &Outcome) -> Value {
    let answer = outcome.answer.as_ref();
    json!({
        "outcome": outcome.class.as_str(),
        "status": outcome.status(),
        "response_headers": answer.map(|answer| headers(&answer.headers)),
        "response_body": answer.map(|answer| String::from_utf8_lossy(&answer.body)),
        "duration_ms": u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX),
    })
}

/// `name: value` lines as an object; several of one name are joined as HTTP does.
fn headers(lines: &str) -> Map<String, Value> {
    let mut headers = Map::new();
    for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
        match headers.get_mut(name) {
            Some(Value::String(earlier)) => *earlier = format!("{earlier}, {value}"),
            _ => drop(headers.insert(name.to_owned(), value.into())),
        }
    }
    headers
}
