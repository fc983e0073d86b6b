//! `/v1/events`: the way in, and what became of what came in.

#[doc(hidden)]
pub mod benched;
mod forecast;
mod intake;
mod receipt;
mod view;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa::{IntoParams, ToSchema};

use self::forecast::ForecastView;
use self::intake::{BatchInput, EventInput, Intake, Submission};
use self::receipt::{BatchReceipt, Receipt, answer, batch_answer};
use self::view::{ErasedView, EventView};
use super::filters;
use super::path::Id;
use crate::actions::accept::AcceptError;
use crate::actions::catalogue::{self, Deprecation};
use crate::actions::dry_run::dry_run;
use crate::actions::erase::erase;
use crate::api::Api;
use crate::api::auth::{Authorized, Operator, Producer, Viewer};
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::domain::ids::{EventId, TenantId};
use crate::store::outbox::accept::NewEvent;
use crate::telemetry::traces::{Kind, Span};

/// What a 200 to a report is.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "`report` answers with one of them; this describes it")]
pub(in crate::api) enum Reported {
    /// A repetition.
    Receipt(Receipt),
    /// Of a dry run.
    Forecast(ForecastView),
}

/// Bytes of a batch at most.
pub(in crate::api) const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// How to report an event.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`report` reads it; this describes it")]
pub(in crate::api) struct ReportOptions {
    /// Stores and sends nothing; says which webhooks match, why the others do not, and the exact request each would get.
    dry_run: Option<bool>,
}

/// The header that makes a repetition harmless.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`Submission` reads it; this describes it")]
pub(in crate::api) struct KeyHeader {
    /// Serves as well as the member `idempotency_key`: the same key and content within 24 h are answered with the first event.
    #[param(rename = "Idempotency-Key", pattern = "^[!-~]{1,255}$", example = "order-4711")]
    idempotency_key: Option<String>,
}

/// Where events are reported one by one.
pub(in crate::api) const PATH: &str = "/v1/events";

/// Report an event
///
/// Answered once it is committed: a 202 is never lost. `data` is any JSON value and is delivered byte for byte as it was sent.
#[utoipa::path(post, path = "/v1/events", tag = "events", operation_id = "reportEvent",
    security(("api_key" = ["producer"])), params(ReportOptions, KeyHeader), request_body = EventInput,
    responses((status = 202, description = "Accepted and stored", body = Receipt,
            headers(("Deprecation" = String, description = "`@` and the Unix time since when its type is on its way out"))),
        (status = 200, description = "A repetition: the first event; or the forecast of a dry run", body = Reported),
        (status = 400, description = "invalid_header"),
        (status = 409, description = "idempotency_key_reused, event_data_deleted")))]
pub(in crate::api) async fn report(
    producer: Authorized<Producer>,
    State(api): State<Api>,
    query: Query,
    submission: Submission,
) -> Result<Response, Problem> {
    let only_try = query.read(|reader| reader.flag("dry_run"))?.unwrap_or(false);
    let traced = submission.trace;
    let mut new = intake(&api, producer.tenant_id).one(&submission)?;
    let deprecation = check(&api, producer.tenant_id, std::slice::from_ref(&new), |_| String::new()).await?;
    // Until now it waited in its tenant's share of the room for large bodies.
    drop(submission);
    if only_try {
        let forecast = dry_run(&api, &new.event).await?;
        return Ok(hinted(deprecation, Answer(ForecastView::from(forecast)).into_response()));
    }
    let id = new.event.id;
    let span = api.telemetry.tracer.next("accept", Kind::Internal, traced, api.clock.now());
    new.trace = span.as_ref().map(Span::place).or(traced);
    let accepted = api.acceptor().accept(new).await;
    accept_ended(&api, span, 1, accepted.as_ref().err());
    let accepted = accepted?;
    Ok(hinted(deprecation, answer(&api.store, producer.tenant_id, id, accepted).await?))
}

/// Report events
///
/// At most 1,000 that owe at most 100,000 deliveries, in one transaction: all or nothing. Each has its own `idempotency_key`.
#[utoipa::path(post, path = "/v1/events/batch", tag = "events", operation_id = "reportEvents",
    security(("api_key" = ["producer"])), request_body = BatchInput,
    responses((status = 202, description = "Accepted and stored, in the batch's order", body = BatchReceipt,
            headers(("Deprecation" = String, description = "`@` and the Unix time since when a type of it is on its way out"))),
        (status = 400, description = "invalid_header"),
        (status = 409, description = "idempotency_key_reused")))]
pub(in crate::api) async fn report_batch(
    producer: Authorized<Producer>,
    State(api): State<Api>,
    _: NoQuery,
    submission: Submission,
) -> Result<Response, Problem> {
    let mut events = intake(&api, producer.tenant_id).batch(&submission)?;
    let traced = submission.trace;
    let deprecation = check(&api, producer.tenant_id, &events, |index| format!("/events/{index}")).await?;
    // Until now they waited in their tenant's share of the room for large bodies.
    drop(submission);
    let ids: Vec<_> = events.iter().map(|new| new.event.id).collect();
    let span = api.telemetry.tracer.next("accept", Kind::Internal, traced, api.clock.now());
    let trace = span.as_ref().map(Span::place).or(traced);
    for new in &mut events {
        new.trace = trace;
    }
    let accepted = api.acceptor().accept_batch(events).await;
    accept_ended(&api, span, ids.len(), accepted.as_ref().err());
    let accepted = accepted?;
    let receipts = batch_answer(&api.store, producer.tenant_id, &ids, &accepted).await?;
    Ok(hinted(deprecation, (StatusCode::ACCEPTED, Answer(receipts)).into_response()))
}

/// Holds events to the tenant's catalogue; `place` makes an event's JSON pointer from its index.
async fn check(
    api: &Api,
    tenant_id: TenantId,
    events: &[NewEvent],
    place: impl Fn(usize) -> String + Copy + Send + 'static,
) -> Result<Deprecation, Problem> {
    Ok(catalogue::check(api.catalogues(), &api.store, tenant_id, events, api.clock.now(), place).await?)
}

/// With the header `Deprecation` ([RFC 9745](https://www.rfc-editor.org/rfc/rfc9745)) where an event type is on its way out.
fn hinted(deprecation: Deprecation, mut response: Response) -> Response {
    let since = deprecation.deprecated_at.map(|at| HeaderValue::from_str(&format!("@{}", at.timestamp())));
    if let Some(Ok(since)) = since {
        response.headers_mut().insert(HeaderName::from_static("deprecation"), since);
    }
    response
}

fn accept_ended(api: &Api, span: Option<Span>, events: usize, error: Option<&AcceptError>) {
    let Some(mut span) = span else { return };
    span.note("events", i64::try_from(events).unwrap_or(i64::MAX));
    if let Some(error) = error {
        span.fail(&error.to_string());
    }
    span.end(api.clock.now());
}

fn intake(api: &Api, tenant_id: TenantId) -> Intake<impl Fn() -> EventId> {
    let now = api.clock.now();
    let new_id = move || EventId::new(now, rand::random());
    Intake { tenant_id, max_event_bytes: api.max_event_bytes(), new_id }
}

/// Which events to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`list` reads it; this describes it")]
pub(in crate::api) struct Filters {
    /// Of this type.
    #[param(rename = "filter[type]", pattern = "^[A-Za-z0-9_.:-]{1,128}$")]
    event_type: Option<String>,
}

/// List events
///
/// Without their data, with the state of each delivery.
#[utoipa::path(get, path = "/v1/events", tag = "events", operation_id = "listEvents",
    security(("api_key" = ["viewer"])), params(Paging, filters::SpanFilters, Filters),
    responses((status = 200, description = "A page of them", body = List<EventView>)))]
pub(in crate::api) async fn list(
    viewer: Authorized<Viewer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let tenant_id = viewer.tenant_id;
    let (page, span, event_type) = query.read(|reader| {
        let page = reader.page::<EventId>(tenant_id)?;
        Ok((page, filters::span(reader)?, filters::event_type(reader, "filter[type]")?))
    })?;
    let span = page.after.map_or(span, |after| span.before(after.as_u128()));
    let events = api.store.list_events(tenant_id, span, event_type.as_deref(), page.limit()).await?;
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let deliveries = api.store.deliveries_of(tenant_id, &ids).await?;
    let erased = api.store.erased_among(tenant_id, &ids).await?;
    Ok(page.answer(events, |event| event.id, |event| EventView::listed(event, &erased, &deliveries)))
}

/// Show an event
///
/// With its data, byte for byte, and the state of each delivery.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "events", operation_id = "getEvent",
    security(("api_key" = ["viewer"])),
    responses((status = 200, description = "The event", body = EventView)))]
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<EventId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Answer<EventView>, Problem> {
    let event = api.store.event(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("event"))?;
    let erased_at = api.store.erased_at(viewer.tenant_id, id).await?;
    let deliveries = api.store.deliveries_of(viewer.tenant_id, &[id]).await?;
    EventView::whole(event, erased_at, &deliveries).map(Answer).map_err(Problem::internal)
}

/// Delete an event's data
///
/// The fact stays. The data is gone from the event, from what receivers answered
/// and from what attempts show; the digest of its idempotency key is forgotten, and the key stays taken for its 24 hours. What
/// was pending or dead of it is cancelled (`data_deleted`) and cannot be resent. No request with it begins after the answer; one
/// that is under way goes on.
///
/// Postgres overwrites the bytes on its disk when it next vacuums the tables, minutes to hours later; the write-ahead log,
/// archives of it and backups hold them until they expire.
#[utoipa::path(delete, path = "/v1/events/{id}/data", tag = "events", operation_id = "deleteEventData",
    security(("api_key" = ["operator"])),
    responses((status = 200, description = "The data is deleted; twice is the same as once", body = ErasedView)))]
pub(in crate::api) async fn delete_data(
    operator: Authorized<Operator>,
    Id(id): Id<EventId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Answer<ErasedView>, Problem> {
    let erased = erase(&api, operator.tenant_id, id).await?;
    Ok(Answer(ErasedView::of(id, &erased)))
}
