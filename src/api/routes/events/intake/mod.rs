//! Events as producers report them: read straight from the body's bytes; `data` is a copy of its part of them.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::actions::{Fault, Object};
use crate::api::entrance::Traced;
use crate::api::intake::{self, JsonBytes, MAX_DEPTH};
use crate::api::problem::Problem;
use crate::api::{Api, kinds};
use crate::domain::clock::read_time;
use crate::domain::event::{Event, MAX_TYPE_CHARS, is_event_type, is_operational};
use crate::domain::ids::{EventId, TenantId};
use crate::domain::trace::TraceParent;
use crate::store::outbox::accept::NewEvent;

/// Events in one batch at most.
pub(super) const MAX_BATCH: usize = 1_000;

/// Bytes of an idempotency key at most.
const MAX_KEY_BYTES: usize = 255;

/// The header that serves as well as the member.
const KEY_HEADER: &str = "idempotency-key";

/// Levels that an event has around its data, and a batch around an event's data.
const EVENT_LEVELS: usize = 1;
const BATCH_LEVELS: usize = 3;

/// A fact to report.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEvent)]
pub(in crate::api) struct EventInput<'a> {
    #[serde(rename = "type", borrow)]
    #[schema(pattern = "^[A-Za-z0-9_.:-]{1,128}$", example = "document.processed")]
    event_type: Cow<'a, str>,
    /// Any JSON, its bytes untouched.
    #[serde(borrow)]
    #[schema(value_type = Value, example = json!({"document_id": "doc_42", "pages": 3}))]
    data: &'a RawValue,
    /// The same key and content within 24 h are answered with the first event; the same key for other content is refused.
    #[serde(default)]
    #[schema(pattern = "^[!-~]{1,255}$", example = "order-4711")]
    idempotency_key: Option<String>,
    /// When it happened, as in RFC 3339; the time of accept where it is left out.
    #[serde(default)]
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
}

/// Facts to report together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEvents)]
pub(in crate::api) struct BatchInput<'a> {
    #[serde(borrow)]
    #[schema(value_type = Vec<EventInput<'a>>, min_items = 1, max_items = 1000)]
    events: Vec<Object<EventInput<'a>>>,
}

/// A request that reports events, not yet read.
#[derive(Debug)]
pub(in crate::api) struct Submission {
    key_of_header: Option<String>,
    /// The trace that the request belongs to.
    pub(super) trace: Option<TraceParent>,
    body: Bytes,
}

impl FromRequest<Api> for Submission {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let key_of_header = key_of_header(request.headers())?;
        let trace = request.extensions().get().map(|Traced(trace)| *trace);
        let JsonBytes(body) = JsonBytes::from_request(request, api).await?;
        Ok(Self { key_of_header, trace, body })
    }
}

impl Submission {
    /// One without headers.
    pub(super) const fn bare(body: Bytes) -> Self {
        Self { key_of_header: None, trace: None, body }
    }
}

/// What is the same for all events of a request.
pub(super) struct Intake<F> {
    /// Whose they are.
    pub(super) tenant_id: TenantId,
    /// Bytes that the JSON of an event may have.
    pub(super) max_event_bytes: usize,
    /// Makes an id.
    pub(super) new_id: F,
}

impl<F: Fn() -> EventId> Intake<F> {
    /// The event of a body.
    pub(super) fn one(&self, submission: &Submission) -> Result<NewEvent, Problem> {
        let Submission { key_of_header, body, .. } = submission;
        let reported: EventInput<'_> = intake::parse(body, MAX_DEPTH + EVENT_LEVELS)?;
        let mut faults = Vec::new();
        let mut new = self.check(reported, "", &mut faults);
        match (&new.idempotency_key, key_of_header) {
            (None, of_header) => new.idempotency_key.clone_from(of_header),
            (Some(own), Some(of_header)) if own != of_header => faults.push(Fault::new(
                "/idempotency_key",
                "differs_from_header",
                "is not the same as in the header `Idempotency-Key`: give one of them",
            )),
            (Some(_), _) => {}
        }
        if faults.is_empty() { Ok(new) } else { Err(Problem::invalid(faults)) }
    }

    /// The events of a batch.
    pub(super) fn batch(&self, submission: &Submission) -> Result<Vec<NewEvent>, Problem> {
        if submission.key_of_header.is_some() {
            let detail = "a batch takes no `Idempotency-Key` header: give each event its `idempotency_key`";
            return Err(Problem::new(kinds::INVALID_HEADER, detail));
        }
        let batch: BatchInput<'_> = intake::parse(&submission.body, MAX_DEPTH + BATCH_LEVELS)?;
        let count = batch.events.len();
        if !(1..=MAX_BATCH).contains(&count) {
            let detail = format!("must hold 1 to {MAX_BATCH} events, not {count}");
            return Err(Problem::invalid(vec![Fault::new("/events", "invalid_count", detail)]));
        }
        let mut faults = Vec::new();
        let checked = batch.events.into_iter().enumerate().map(|(index, Object(reported))| {
            let at = format!("/events/{index}");
            let data = reported.data.get().as_bytes();
            if data.len() > self.max_event_bytes {
                let detail = format!("is over the limit of {} bytes for an event", self.max_event_bytes);
                faults.push(Fault::new(format!("{at}/data"), "too_large", detail));
            }
            self.check(reported, &at, &mut faults)
        });
        let events: Vec<_> = checked.collect();
        if faults.is_empty() { Ok(events) } else { Err(Problem::invalid(faults)) }
    }

    fn check(&self, reported: EventInput<'_>, at: &str, faults: &mut Vec<Fault>) -> NewEvent {
        if !is_event_type(&reported.event_type) {
            let detail = format!("must be 1 to {MAX_TYPE_CHARS} of the characters A-Z a-z 0-9 _ . : -");
            faults.push(Fault::new(format!("{at}/type"), "invalid_event_type", detail));
        } else if is_operational(&reported.event_type) {
            let detail = "is reserved: only Tidings itself reports it";
            faults.push(Fault::new(format!("{at}/type"), "reserved_event_type", detail));
        }
        if reported.idempotency_key.as_ref().is_some_and(|key| !is_idempotency_key(key.as_bytes())) {
            let detail = format!("must be 1 to {MAX_KEY_BYTES} visible ASCII characters");
            faults.push(Fault::new(format!("{at}/idempotency_key"), "invalid_idempotency_key", detail));
        }
        let occurred_at = reported.occurred_at.as_deref().map(read_time);
        if occurred_at == Some(None) {
            let detail = "must be a time as in RFC 3339, such as 2026-03-21T14:24:11Z, from year 1 to 9999";
            faults.push(Fault::new(format!("{at}/occurred_at"), "invalid_time", detail));
        }
        let event = Event {
            tenant_id: self.tenant_id,
            id: (self.new_id)(),
            event_type: reported.event_type.into_owned(),
            occurred_at: occurred_at.flatten(),
            // Memory of its own: one slow delivery would otherwise keep the whole body, and what the connection reads into, which is
            // eight times as large as most.
            data: Bytes::copy_from_slice(reported.data.get().as_bytes()),
        };
        NewEvent { event: Arc::new(event), idempotency_key: reported.idempotency_key, trace: None }
    }
}

fn key_of_header(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(key), None) if is_idempotency_key(key.as_bytes()) => Ok(Some(key.to_owned())),
        _ => {
            let detail =
                format!("`Idempotency-Key` must stand once and be 1 to {MAX_KEY_BYTES} visible ASCII characters");
            Err(Problem::new(kinds::INVALID_HEADER, detail))
        }
    }
}

fn is_idempotency_key(key: &[u8]) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod any_body;
#[cfg(test)]
mod tests;
