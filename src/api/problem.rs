//! Problems: every answer that is not a success, as `application/problem+json`
//! ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::kinds::{self, Kind};
use crate::actions::accept::AcceptError;
use crate::actions::{ActionError, Fault};
use crate::store::{MOST_OWED, StoreError};

/// Seconds after which a request that found no database, no room or others under way is worth repeating.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Why a request failed, on its way to becoming an answer. `entrance` writes the body, which names the request.
#[derive(Debug, Clone)]
pub struct Problem(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<Fault>,
    members: Map<String, Value>,
    headers: HeaderMap,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem of this kind; `detail` says what to do about it.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::from(Parts {
            kind,
            code: kind.code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: HeaderMap::new(),
            cause: None,
        })
    }

    /// An input with these faults.
    #[must_use]
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match &faults[..] {
            [fault] => format!("{} {}", place(&fault.pointer), fault.detail),
            faults => format!("{} members are not valid; see `errors`", faults.len()),
        };
        Self::new(kinds::INVALID, detail).with_errors(faults)
    }

    /// Something that is not there, or not for this tenant.
    #[must_use]
    pub fn not_found(noun: &'static str) -> Self {
        let known_by = if noun == "event type" { "name" } else { "id" };
        Self::new(kinds::NOT_THERE, format!("there is no {noun} with this {known_by}"))
    }

    /// A failure of Tidings itself: the cause goes to the log, and nothing of it into the answer.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "this is a defect of Tidings; its operator finds the cause in the log under this request_id";
        Self::new(kinds::INTERNAL, detail).edit(|parts| parts.cause = Some(cause.into()))
    }

    /// What the same request may come past later. What was in the way goes to the log.
    pub(super) fn passing(kind: Kind, detail: &'static str, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = Some(cause.into());
        Self::new(kind, detail).with_header(RETRY_AFTER, RETRY_AFTER_SECONDS).edit(|parts| parts.cause = cause)
    }

    /// With the input's faults.
    #[must_use]
    pub fn with_errors(self, errors: Vec<Fault>) -> Self {
        self.edit(|parts| parts.errors = errors)
    }

    /// With a further member.
    #[must_use]
    pub fn with_member(self, name: &str, value: Value) -> Self {
        self.edit(|parts| drop(parts.members.insert(name.to_owned(), value)))
    }

    /// With a header.
    #[must_use]
    pub fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        self.edit(|parts| drop(parts.headers.insert(name, value)))
    }

    /// With the headers of the answer that it takes the place of, such as `Allow`.
    pub(super) fn in_place_of(self, headers: &HeaderMap) -> Self {
        self.edit(|parts| parts.headers.extend(headers.clone()))
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.kind.status
    }

    /// What kind of problem it is, in a few words.
    #[must_use]
    pub fn title(&self) -> &str {
        self.0.kind.title
    }

    /// What to do about it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Seconds after which the request is worth repeating, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.0.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
    }

    /// The stable word.
    pub(super) fn code(&self) -> &'static str {
        self.0.code
    }

    /// What the log must know of it, if anything.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The answer, with the id of the request.
    pub(super) fn render(&self, request_id: &str) -> Response {
        let Parts { kind, code, detail, errors, members, headers, .. } = &*self.0;
        let mut body = Map::new();
        let mut set = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        set("type", format!("urn:tidings:problem:{code}").into());
        set("title", kind.title.into());
        set("status", kind.status.as_u16().into());
        set("detail", detail.as_ref().into());
        set("code", (*code).into());
        set("request_id", request_id.into());
        if !errors.is_empty() {
            set("errors", errors.iter().map(fault).collect());
        }
        body.extend(members.clone());
        let mut response = (kind.status, Body::from(Value::Object(body).to_string())).into_response();
        response.headers_mut().extend(headers.clone());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }

    /// What its answer would say, for tests of what makes problems.
    #[cfg(test)]
    pub(super) fn told(&self) -> Value {
        let Parts { kind, code, detail, errors, .. } = &*self.0;
        let errors: Vec<_> = errors.iter().map(fault).collect();
        json!({ "status": kind.status.as_u16(), "code": code, "detail": detail, "errors": errors })
    }

    fn edit(self, change: impl FnOnce(&mut Parts)) -> Self {
        let mut this = self;
        // It is shared only once it is an answer.
        if let Some(parts) = Arc::get_mut(&mut this.0) {
            change(parts);
        }
        this
    }
}

fn fault(fault: &Fault) -> Value {
    json!({ "pointer": fault.pointer, "code": fault.code, "detail": fault.detail })
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "the body".to_owned() } else { format!("`{}`", pointer.trim_start_matches('/')) }
}

impl From<Parts> for Problem {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable(_) | StoreError::Unsure(_) => Self::passing(
                kinds::UNAVAILABLE,
                "the database did not answer; if the request changes something, check whether it was done before you repeat it",
                error,
            ),
            StoreError::Contended(_) => {
                Self::passing(kinds::CONTENDED, "another transaction holds what this needs; repeat the request", error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<AcceptError> for Problem {
    fn from(error: AcceptError) -> Self {
        const REPEAT: &str = "repeat the request, with the same idempotency key if it had one";
        match &error {
            AcceptError::Busy => Self::passing(kinds::BUSY, REPEAT, error),
            AcceptError::Store(cause) => match &**cause {
                StoreError::Unavailable(_) | StoreError::Unsure(_) => Self::passing(kinds::UNAVAILABLE, REPEAT, error),
                StoreError::Contended(_) => Self::passing(
                    kinds::CONTENDED,
                    "another transaction holds what this needs, usually an open one that enqueued with the same idempotency key; repeat the request, with the same key",
                    error,
                ),
                StoreError::OwesTooMuch { deliveries } => {
                    let detail = format!(
                        "would owe {deliveries} deliveries, and those of one batch may owe {MOST_OWED}: send fewer events at a time"
                    );
                    Self::invalid(vec![Fault::new("/events", "too_many_deliveries", detail)])
                }
                _ => Self::internal(error),
            },
        }
    }
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotFound(noun) => Self::not_found(noun),
            ActionError::Invalid(faults) => Self::invalid(faults),
            ActionError::Conflict { code, detail } => {
                Self::new(kinds::CONFLICT, detail).edit(|parts| parts.code = code)
            }
            ActionError::TooManyTrials => {
                let detail =
                    "this webhook's receiver has not yet answered other tests or verifications: repeat it then";
                Self::new(kinds::TOO_MANY_TRIALS, detail).with_header(RETRY_AFTER, RETRY_AFTER_SECONDS)
            }
            ActionError::Stale => {
                Self::new(kinds::STALE, "`If-Match` names another revision: read it again, then repeat")
            }
            ActionError::Store(error) => error.into(),
            ActionError::Secret(error) => Self::internal(error),
            ActionError::Dialect(error) => Self::internal(error),
        }
    }
}
