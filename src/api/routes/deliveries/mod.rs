//! `/v1/deliveries`: what became of events, webhook by webhook, attempt by attempt.

pub(super) mod view;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use self::view::{AttemptView, DeliveryView};
use super::filters;
use super::path::Id;
use crate::actions::resend::resend_delivery;
use crate::actions::show_attempt::show_attempts;
use crate::api::Api;
use crate::api::auth::{Authorized, Operator, Viewer};
use crate::api::problem::Problem;
use crate::api::query::{Query, Reader};
use crate::domain::delivery::State as DeliveryState;
use crate::domain::ids::{DeliveryId, EventId};
use crate::store::history::deliveries::DeliveryFilter;

/// `GET /v1/deliveries`.
pub(in crate::api) async fn list(
    viewer: Authorized<Viewer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let tenant_id = viewer.tenant_id;
    let (page, mut filter) = query.read(|reader| Ok((reader.page::<DeliveryId>(tenant_id)?, filter(reader)?)))?;
    if let Some(after) = page.after {
        filter.span = filter.span.before(after.as_u128());
    }
    let deliveries = api.store.list_deliveries(tenant_id, &filter, page.limit()).await?;
    Ok(page.answer(deliveries, |delivery| delivery.id, |delivery| json!(DeliveryView::from(delivery))))
}

fn filter(reader: &mut Reader<'_>) -> Result<DeliveryFilter, Problem> {
    let span = filters::span(reader)?;
    let event_id = reader.take("filter[event_id]", "an event's id, `evt_…`", |text| text.parse::<EventId>().ok())?;
    let states = "`pending`, `delivered`, `dead` or `cancelled`";
    Ok(DeliveryFilter {
        span: event_id.map_or(span, |event| span.of_event(event)),
        webhook_id: filters::webhook_id(reader)?,
        event_type: filters::event_type(reader, "filter[event]")?,
        state: reader.take("filter[state]", states, DeliveryState::parse)?,
    })
}

/// `GET /v1/deliveries/{id}`.
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    query: Query,
) -> Result<Answer<DeliveryView>, Problem> {
    query.none()?;
    let delivery = api.store.delivery(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok(Answer(delivery.into()))
}

/// `GET /v1/deliveries/{id}/attempts`.
pub(in crate::api) async fn attempts(
    viewer: Authorized<Viewer>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let tenant_id = viewer.tenant_id;
    let page = query.read(|reader| reader.page::<u128>(tenant_id))?;
    let before = page.after.and_then(|after| i16::try_from(after).ok()).unwrap_or(i16::MAX);
    let attempts = show_attempts(&api, tenant_id, id, before, page.limit()).await?;
    let number = |attempt: &AttemptView| u128::from(attempt.number.unsigned_abs());
    let attempts = attempts.into_iter().map(|attempt| AttemptView::of(id, attempt)).collect();
    Ok(page.answer(attempts, number, |attempt| json!(attempt)))
}

/// `POST /v1/deliveries/{id}/resend`: answers with the delivery that will be attempted.
pub(in crate::api) async fn resend(
    operator: Authorized<Operator>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    query: Query,
) -> Result<(StatusCode, Answer<DeliveryView>), Problem> {
    query.none()?;
    let delivery = resend_delivery(&api, operator.tenant_id, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(delivery.into())))
}
