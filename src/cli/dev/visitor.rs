//! Calls the REST API as anybody would, by its front door, without a socket: only `net` may connect to anything.

use axum::body::to_bytes;
use axum::http::{Method, StatusCode};
use bytes::Bytes;
use serde_json::Value;

use crate::api::Front;
use crate::cli::Failure;
use crate::domain::secret::Secret;

/// Bytes of an answer at most.
const MAX_ANSWER: usize = 1024 * 1024;

/// Somebody with a key, at the door of the API.
pub(super) struct Visitor {
    front: Front,
    platform_key: Option<Secret>,
}

/// An answer: its status and its JSON.
pub(super) type Answer = (StatusCode, Value);

impl Visitor {
    /// Somebody who holds the platform key.
    pub(super) fn new(front: impl Into<Front>, platform_key: Option<Secret>) -> Self {
        Self { front: front.into(), platform_key }
    }

    /// Asks with the platform key.
    pub(super) async fn as_platform(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let key = self.platform_key.as_ref().ok_or_else(|| Failure::told("there is no platform key"))?;
        self.ask(method, path, key, body).await
    }

    /// Asks with some key.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        key: &Secret,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let body = body.map_or_else(Bytes::new, |json| json.to_string().into());
        let response = self.front.ask(method, path, key, None, body).await;
        let status = response.status();
        let bytes = to_bytes(response.into_body(), MAX_ANSWER).await?;
        Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}

/// The answer, if its status is a success; else what it says is wrong.
pub(super) fn granted(what: &str, (status, json): Answer) -> Result<Value, Failure> {
    if status.is_success() {
        return Ok(json);
    }
    let detail = json.get("detail").or_else(|| json.get("title")).and_then(Value::as_str).unwrap_or("no reason given");
    Err(Failure::told(format!("the API refused to {what} ({}): {detail}", status.as_u16())))
}

/// A text member of an answer.
pub(super) fn text(json: &Value, member: &str) -> Result<String, Failure> {
    let text = json.get(member).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Failure::told(format!("an answer of the API has no `{member}`")))
}
