//! Events as producers report them: read straight from the body's bytes, with `data` a slice of them.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::actions::Fault;
use crate::api::intake::{self, JsonBytes, MAX_DEPTH};
use crate::api::problem::Problem;
use crate::api::{Api, kinds};
use crate::domain::event::{Event, MAX_TYPE_CHARS, is_event_type};
use crate::domain::ids::{EventId, TenantId};
use crate::store::accept::NewEvent;

/// Events in one batch at most.
pub(super) const MAX_BATCH: usize = 1_000;

/// Bytes of an idempotency key at most.
const MAX_KEY_BYTES: usize = 255;

/// The header that serves as well as the member.
const KEY_HEADER: &str = "idempotency-key";

/// Levels that an event has around its data, and a batch around an event's data.
const EVENT_LEVELS: usize = 1;
const BATCH_LEVELS: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reported<'a> {
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    /// Any JSON, its bytes untouched.
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    idempotency_key: Option<String>,
    #[serde(default)]
    occurred_at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<Reported<'a>>,
}

/// A request that reports events, not yet read.
#[derive(Debug)]
pub(in crate::api) struct Submission {
    key_of_header: Option<String>,
    body: Bytes,
}

impl FromRequest<Api> for Submission {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let key_of_header = key_of_header(request.headers())?;
        let JsonBytes(body) = JsonBytes::from_request(request, api).await?;
        Ok(Self { key_of_header, body })
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
    /// The event of a body; `data` shares the body's memory.
    pub(super) fn one(&self, submission: Submission) -> Result<NewEvent, Problem> {
        let Submission { key_of_header, body } = submission;
        let reported: Reported<'_> = intake::parse(&body, MAX_DEPTH + EVENT_LEVELS)?;
        let data = body.slice_ref(reported.data.get().as_bytes());
        let mut faults = Vec::new();
        let mut new = self.check(reported, data, "", &mut faults);
        match (&new.idempotency_key, key_of_header) {
            (None, of_header) => new.idempotency_key = of_header,
            (Some(own), Some(of_header)) if *own != of_header => faults.push(Fault::new(
                "/idempotency_key",
                "differs_from_header",
                "is not the same as in the header `Idempotency-Key`: give one of them",
            )),
            (Some(_), _) => {}
        }
        if faults.is_empty() { Ok(new) } else { Err(Problem::invalid(faults)) }
    }

    /// The events of a batch. Each has memory of its own, since one slow delivery would otherwise keep the whole body.
    pub(super) fn batch(&self, submission: &Submission) -> Result<Vec<NewEvent>, Problem> {
        if submission.key_of_header.is_some() {
            let detail = "a batch takes no `Idempotency-Key` header: give each event its `idempotency_key`";
            return Err(Problem::new(kinds::INVALID_HEADER, detail));
        }
        let batch: Batch<'_> = intake::parse(&submission.body, MAX_DEPTH + BATCH_LEVELS)?;
        let count = batch.events.len();
        if !(1..=MAX_BATCH).contains(&count) {
            let detail = format!("must hold 1 to {MAX_BATCH} events, not {count}");
            return Err(Problem::invalid(vec![Fault::new("/events", "invalid_count", detail)]));
        }
        let mut faults = Vec::new();
        let checked = batch.events.into_iter().enumerate().map(|(index, reported)| {
            let at = format!("/events/{index}");
            let data = reported.data.get().as_bytes();
            if data.len() > self.max_event_bytes {
                let detail = format!("is over the limit of {} bytes for an event", self.max_event_bytes);
                faults.push(Fault::new(format!("{at}/data"), "too_large", detail));
            }
            self.check(reported, Bytes::copy_from_slice(data), &at, &mut faults)
        });
        let events: Vec<_> = checked.collect();
        if faults.is_empty() { Ok(events) } else { Err(Problem::invalid(faults)) }
    }

    fn check(&self, reported: Reported<'_>, data: Bytes, at: &str, faults: &mut Vec<Fault>) -> NewEvent {
        if !is_event_type(&reported.event_type) {
            let detail = format!("must be 1 to {MAX_TYPE_CHARS} of the characters A-Z a-z 0-9 _ . : -");
            faults.push(Fault::new(format!("{at}/type"), "invalid_event_type", detail));
        }
        if reported.idempotency_key.as_ref().is_some_and(|key| !is_idempotency_key(key.as_bytes())) {
            let detail = format!("must be 1 to {MAX_KEY_BYTES} visible ASCII characters");
            faults.push(Fault::new(format!("{at}/idempotency_key"), "invalid_idempotency_key", detail));
        }
        let occurred_at = reported.occurred_at.as_deref().map(read_time);
        if occurred_at == Some(None) {
            let detail = "must be a time as in RFC 3339, such as 2026-03-21T14:24:11Z, from year 0 to 9999";
            faults.push(Fault::new(format!("{at}/occurred_at"), "invalid_time", detail));
        }
        let event = Event {
            tenant_id: self.tenant_id,
            id: (self.new_id)(),
            event_type: reported.event_type.into_owned(),
            occurred_at: occurred_at.flatten(),
            data,
        };
        NewEvent { event: Arc::new(event), idempotency_key: reported.idempotency_key }
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

/// A time, to the microsecond, as the database keeps it: an attempt made from memory and one made from the database must
/// tell the same. A leap second is the next second.
fn read_time(text: &str) -> Option<DateTime<Utc>> {
    // The parser lets a space stand for the `T`.
    let time = DateTime::parse_from_rfc3339(text).ok().filter(|_| !text.contains(' '))?;
    let time = DateTime::from_timestamp_micros(time.timestamp_micros())?;
    (0..=9999).contains(&time.year()).then_some(time)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const INTAKE: Intake<fn() -> EventId> =
        Intake { tenant_id: TenantId::from_u128(1), max_event_bytes: 100, new_id: || EventId::from_u128(1 << 30) };

    fn submission(body: &str, key: Option<&str>) -> Submission {
        Submission { key_of_header: key.map(str::to_owned), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn one(body: &str) -> Result<NewEvent, Problem> {
        INTAKE.one(submission(body, None))
    }

    /// Status, top code, and the first error's pointer and code.
    fn told(problem: &Problem) -> (u64, String, String, String) {
        let told = problem.told();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let first = &told["errors"][0];
        (told["status"].as_u64().unwrap_or(0), text(&told["code"]), text(&first["pointer"]), text(&first["code"]))
    }

    #[test]
    fn data_is_a_slice_of_the_body_byte_for_byte() {
        for data in [
            "1.0",
            "null",
            "18446744073709551616",
            r#"{ "b" : 1e2,"a":1, "a":2}"#,
            r#""\u0000 \ud800 \u00e9é""#,
            &format!("{}{}", "[".repeat(64), "]".repeat(64)),
        ] {
            let body = Bytes::from(format!(r#"{{"type":"a.b","data": {data} }}"#));
            let new = INTAKE.one(Submission { key_of_header: None, body: body.clone() }).expect(data);
            assert_eq!(new.event.data, data.as_bytes());
            assert!(body.as_ptr_range().contains(&new.event.data.as_ptr()));
            assert_eq!((new.event.event_type.as_str(), new.idempotency_key), ("a.b", None));
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_pointer() {
        let long = "k".repeat(256);
        for (body, pointer, code) in [
            (r#"{"type":"../","data":1}"#, "/type", "invalid_event_type"),
            (r#"{"type":1,"data":1}"#, "/type", "invalid_value"),
            (r#"{"data":1}"#, "/type", "required"),
            (r#"{"type":"a"}"#, "/data", "required"),
            (r#"{"type":"a","data":1,"data":2}"#, "/data", "duplicate_member"),
            (r#"{"type":"a","data":1,"dat":2}"#, "/dat", "unknown_member"),
            (r#"{"type":"a","data":1,"idempotency_key":""}"#, "/idempotency_key", "invalid_idempotency_key"),
            (r#"{"type":"a","data":1,"idempotency_key":"a b"}"#, "/idempotency_key", "invalid_idempotency_key"),
            (
                &format!(r#"{{"type":"a","data":1,"idempotency_key":"{long}"}}"#),
                "/idempotency_key",
                "invalid_idempotency_key",
            ),
            (r#"{"type":"a","data":1,"occurred_at":"2026-02-30T00:00:00Z"}"#, "/occurred_at", "invalid_time"),
            (r#"{"type":"a","data":1,"occurred_at":"2026-02-03 00:00:00Z"}"#, "/occurred_at", "invalid_time"),
            (r#"{"type":"a","data":1,"occurred_at":"9999-12-31T23:59:59-01:00"}"#, "/occurred_at", "invalid_time"),
            (r#"{"type":"a","data":1,"occurred_at":1}"#, "/occurred_at", "invalid_value"),
        ] {
            let problem = one(body).expect_err(body);
            assert_eq!(told(&problem), (422, "validation_failed".into(), pointer.into(), code.into()), "{body}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let deep = format!(r#"{{"type":"a","data":{}{}}}"#, "[".repeat(65), "]".repeat(65));
        let bomb = format!(r#"{{"type":"a","data":{}"#, "[".repeat(1_000_000));
        for body in
            [r#"{"type":"a","data":NaN}"#, r#"{"type":"a","data":[1,]}"#, r#"{"type":"a","data":1}}"#, &deep, &bomb]
        {
            let (status, code, ..) = told(&one(body).expect_err("refused"));
            assert_eq!((status, code.as_str()), (400, "invalid_json"));
        }
    }

    #[test]
    fn the_header_serves_as_the_key_unless_they_differ() {
        let with = |key, body: &str| INTAKE.one(submission(body, Some(key)));
        let body = r#"{"type":"a","data":1,"idempotency_key":"k1"}"#;
        assert_eq!(with("k1", body).expect("the same").idempotency_key.as_deref(), Some("k1"));
        assert_eq!(with("k2", r#"{"type":"a","data":1}"#).expect("one").idempotency_key.as_deref(), Some("k2"));
        assert_eq!(told(&with("k2", body).expect_err("differs")).3, "differs_from_header");
    }

    #[test]
    fn the_header_stands_once_and_is_a_key() {
        let read = |values: &[&'static str]| {
            let values =
                values.iter().map(|value| (HeaderName::from_static(KEY_HEADER), HeaderValue::from_static(value)));
            key_of_header(&values.collect())
        };
        assert_eq!(read(&[]).expect("none"), None);
        assert_eq!(read(&["k-1"]).expect("one").as_deref(), Some("k-1"));
        for bad in [&[""][..], &["a b"], &["a", "a"]] {
            assert_eq!(told(&read(bad).expect_err("refused")).1, "invalid_header");
        }
    }

    #[test]
    fn a_batch_names_the_item_that_is_wrong() {
        let batch = |body: &str| INTAKE.batch(&submission(body, None));
        let good = r#"{"type":"a","data":1}"#;
        assert_eq!(batch(&format!(r#"{{"events":[{good},{good}]}}"#)).expect("a batch").len(), 2);
        let many = format!(r#"{{"events":[{}]}}"#, vec![good; 1001].join(","));
        let large = format!(r#"{{"events":[{{"type":"a","data":"{}"}}]}}"#, "x".repeat(100));
        for (body, pointer) in [
            (r#"{"events":[]}"#, "/events"),
            (&many, "/events"),
            (&large, "/events/0/data"),
            (&format!(r#"{{"events":[{good},{{"type":"/","data":1}}]}}"#), "/events/1/type"),
            (&format!(r#"{{"events":[{good},{{"type":"a"}}]}}"#), "/events/1/data"),
        ] {
            assert_eq!(told(&batch(body).expect_err(pointer)).2, pointer);
        }
    }

    #[test]
    fn times_are_kept_to_the_microsecond() {
        let micros = |text| read_time(text).map(|time| time.timestamp_micros());
        assert_eq!(micros("1970-01-01T00:00:01.123456789+00:00"), Some(1_123_456));
        assert_eq!(micros("2016-12-31T23:59:60Z"), micros("2017-01-01T00:00:00Z"), "a leap second");
        assert_eq!(micros("1970-01-01t01:00:00+01:00"), Some(0));
        for wrong in ["", "1970-01-01", "1970-13-01T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:00:00"] {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
    }
}
