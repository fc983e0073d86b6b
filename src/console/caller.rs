//! Asks the REST API on behalf of whoever looks at a page.

use axum::body::to_bytes;
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::api::Front;
use crate::api::problem::Problem;
use crate::client::problem as client;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;

/// Bytes of a path with its query at most: more than any filter is good for.
const MAX_PATH: usize = 8 * 1024;

/// Bytes of an answer at most: more than any page of a list has.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// Somebody's way to the API.
pub(super) struct Caller {
    front: Front,
    key: Secret,
    /// Which tenant a platform key acts for.
    tenant: Option<TenantId>,
}

/// What the API says of a request that it refuses.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) problem: client::Problem,
    /// Seconds after which it is worth repeating.
    pub(super) retry_after: Option<u64>,
}

/// What an answer shows, as far as it matters where somebody goes from there.
#[derive(Deserialize)]
struct Shown {
    id: String,
}

impl Refusal {
    /// A refusal of the console's own.
    pub(super) fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        let (title, detail, none) = (title.into(), detail.into(), String::new());
        let (code, request_id, errors) = (none.clone(), none, Vec::new());
        let problem = client::Problem { status: status.as_u16(), title, code, detail, request_id, errors };
        Self { problem, retry_after: None }
    }

    /// What is wrong, as a sentence.
    pub(super) fn sentence(&self) -> String {
        let mut letters = self.problem.detail.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        let end = if self.problem.detail.ends_with(['.', '?', '!']) { "" } else { "." };
        format!("{first}{}{end}", letters.as_str())
    }

    /// Whether whoever filled in a form can put it right, or send it once more.
    pub(super) const fn leaves_form(&self) -> bool {
        matches!(self.problem.status, 400 | 409 | 413 | 422 | 429 | 503)
    }

    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn unreadable() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error", "the API's answer cannot be read")
    }
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        if let Some(cause) = problem.cause() {
            tracing::error!(error = cause as &dyn std::error::Error, "a page of the console cannot be shown");
        }
        let retry_after = problem.retry_after();
        Self { retry_after, ..Self::new(problem.status(), problem.title(), problem.detail()) }
    }
}

impl Caller {
    pub(super) fn new(front: Front, key: Secret) -> Self {
        Self { front, key, tenant: None }
    }

    pub(super) fn for_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// What is there.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        let answer = self.ask(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&answer).map_err(|_| Refusal::unreadable())
    }

    /// Has something done that takes no body. The id of what the answer shows, if it shows something.
    pub(super) async fn have(&self, method: Method, path: &str) -> Result<Option<String>, Refusal> {
        let answer = self.ask(method, path, Bytes::new()).await?;
        Ok(serde_json::from_slice::<Shown>(&answer).ok().map(|shown| shown.id))
    }

    /// Sends something, and reads the answer.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Refusal> {
        let body = serde_json::to_vec(body).map_err(|_| Refusal::unreadable())?;
        let answer = self.ask(method, path, body.into()).await?;
        serde_json::from_slice(&answer).map_err(|_| Refusal::unreadable())
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, Refusal> {
        if path.len() > MAX_PATH {
            return Err(Refusal::new(
                StatusCode::URI_TOO_LONG,
                "Too long",
                "a filter or an id is longer than any can be",
            ));
        }
        let answer: Response = self.front.ask(method, path, &self.key, self.tenant, body).await;
        let (status, retry_after) = (answer.status(), answer.headers().get(RETRY_AFTER).cloned());
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let bytes = to_bytes(answer.into_body(), MAX_ANSWER).await.map_err(|_| Refusal::unreadable())?;
        if status.is_success() {
            return Ok(bytes);
        }
        let problem = serde_json::from_slice(&bytes).map_err(|_| Refusal::unreadable())?;
        Err(Refusal { problem, retry_after })
    }
}
