//! `/v1/events`: the way in, and what became of what came in.

mod forecast;
mod intake;
mod receipt;
mod view;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use self::forecast::ForecastView;
use self::intake::{Intake, Submission};
use self::receipt::{answer, batch_answer};
use self::view::EventView;
use super::filters;
use super::path::Id;
use crate::actions::dry_run::dry_run;
use crate::api::Api;
use crate::api::auth::{Authorized, Producer, Viewer};
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::domain::ids::{EventId, TenantId};

/// Bytes of a batch at most.
pub(in crate::api) const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// `POST /v1/events`: answered after the commit.
pub(in crate::api) async fn report(
    producer: Authorized<Producer>,
    State(api): State<Api>,
    query: Query,
    submission: Submission,
) -> Result<Response, Problem> {
    let only_try = query.read(|reader| reader.flag("dry_run"))?.unwrap_or(false);
    let new = intake(&api, producer.tenant_id).one(submission)?;
    if only_try {
        let forecast = dry_run(&api, &new.event).await?;
        return Ok(Answer(ForecastView::from(forecast)).into_response());
    }
    let id = new.event.id;
    let accepted = api.acceptor().accept(new).await?;
    answer(&api.store, producer.tenant_id, id, accepted).await
}

/// `POST /v1/events/batch`: all or nothing.
pub(in crate::api) async fn report_batch(
    producer: Authorized<Producer>,
    State(api): State<Api>,
    query: Query,
    submission: Submission,
) -> Result<Response, Problem> {
    query.none()?;
    let events = intake(&api, producer.tenant_id).batch(&submission)?;
    drop(submission);
    let ids: Vec<_> = events.iter().map(|new| new.event.id).collect();
    let accepted = api.acceptor().accept_batch(events).await?;
    let receipts = batch_answer(&api.store, producer.tenant_id, &ids, &accepted).await?;
    Ok((StatusCode::ACCEPTED, Answer(receipts)).into_response())
}

fn intake(api: &Api, tenant_id: TenantId) -> Intake<impl Fn() -> EventId> {
    let now = api.clock.now();
    let new_id = move || EventId::new(now, rand::random());
    Intake { tenant_id, max_event_bytes: api.max_event_bytes(), new_id }
}

/// `GET /v1/events`: without their data, with the state of each delivery.
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
    Ok(page.answer(events, |event| event.id, |event| json!(EventView::listed(event, &deliveries))))
}

/// `GET /v1/events/{id}`.
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<EventId>,
    State(api): State<Api>,
    query: Query,
) -> Result<Answer<EventView>, Problem> {
    query.none()?;
    let event = api.store.event(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("event"))?;
    let deliveries = api.store.deliveries_of(viewer.tenant_id, &[id]).await?;
    EventView::whole(event, &deliveries).map(Answer).map_err(Problem::internal)
}
