//! What every request passes on its way in and out: its id, and the last word on errors.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use ulid::Ulid;

use super::Api;
use super::kinds;
use super::problem::Problem;
use super::routes::events;
use crate::domain::trace::TraceParent;
use crate::net::story;
use crate::telemetry::traces::{Kind, Span};

/// Where events come in.
const INTAKES: [&str; 2] = [events::PATH, "/v1/events/batch"];

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a request passes on its way through the router.
pub(super) async fn entrance(State(api): State<Api>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    pass(&api, request, route.as_ref().map(MatchedPath::as_str), |request| next.run(request)).await
}

/// Gives the request an id (one from outside is not honoured: it would let a caller write into the log), and turns
/// whatever failed into a problem that names it. `template` is the path of its route, where there is one.
pub(super) async fn pass<Answer>(
    api: &Api,
    mut request: Request,
    template: Option<&str>,
    next: impl FnOnce(Request) -> Answer,
) -> Response
where
    Answer: Future<Output = Response>,
{
    let now = u64::try_from(api.clock.now().timestamp_millis()).unwrap_or_default();
    let id = request_id(Ulid::from_parts(now, rand::random()));
    let begun = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let under_way = api.telemetry.meters.api.route(method.as_str(), template);
    let mut span = None;
    if template.is_some_and(|template| template.starts_with("/v1/")) {
        let caller = traceparent(request.headers());
        let name = || format!("{method} {}", template.unwrap_or_default());
        span = api.telemetry.tracer.first(name, Kind::Server, caller, api.clock.now());
        if let Some(place) = span.as_ref().map(Span::place).or(caller) {
            request.extensions_mut().insert(Traced(place));
        }
    }
    let mut response = next(request).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        let known = response.extensions_mut().remove::<Problem>();
        let problem = known.unwrap_or_else(|| from_status(response.status(), response.headers()));
        if let Some(cause) = problem.cause() {
            let status = problem.status().as_u16();
            tracing::error!(request.id = %id, %method, path = uri.path(), status, error = story(cause), "request.failed");
        }
        if method == Method::POST && template.is_some_and(|template| INTAKES.contains(&template)) {
            api.telemetry.meters.api.refused(problem.code());
        }
        response = problem.render(&id);
    }
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    under_way.answered(status, took);
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let trace = span.as_ref().map(|span| format!("{:032x}", span.place().trace_id));
    tracing::debug!(request.id = %id, %method, path = uri.path(), status, duration_ms, trace.id = trace, "api.request");
    if let Some(mut span) = span {
        span.note("http.request.method", method.to_string());
        span.note("http.route", template.unwrap_or_default().to_owned());
        span.note("http.response.status_code", i64::from(status));
        span.note("tidings.request.id", id.clone());
        if response.status().is_server_error() {
            span.fail("the request could not be carried out");
        }
        span.end(api.clock.now());
    }

    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn request_id(ulid: Ulid) -> String {
    let mut id = String::with_capacity(30);
    id.push_str("req_");
    id.push_str(ulid.array_to_str(&mut [0; ulid::ULID_LEN]));
    id.make_ascii_lowercase();
    id
}

/// The trace that a request belongs to: with the span of the request, where that is recorded, else as its caller sent it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Traced(pub(super) TraceParent);

/// The caller's place in a trace; sent twice, it is as if there were none.
fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    TraceParent::parse(value.to_str().ok()?.trim())
}

/// A problem for an answer of the framework's own.
fn from_status(status: StatusCode, headers: &HeaderMap) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::new(kinds::UNKNOWN_PATH, "see /docs for the paths there are"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(kinds::METHOD_NOT_ALLOWED, "see the header `Allow` for the methods there are")
                .in_place_of(headers)
        }
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(kinds::TOO_LARGE, "send a smaller body"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(kinds::UNSUPPORTED_MEDIA_TYPE, "send application/json"),
        status if status.is_client_error() => Problem::new(kinds::INVALID_BODY, "the request cannot be read"),
        status => Problem::internal(format!("a bare {status}")),
    }
}

/// What a panic becomes.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the panic over")]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::internal(format!("a handler panicked: {}", text.unwrap_or("no message"))).into_response()
}
