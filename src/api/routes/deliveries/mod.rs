//! `/v1/deliveries`: what became of events, webhook by webhook, attempt by attempt.

pub(super) mod view;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa::IntoParams;

use self::view::{AttemptView, DeliveryView};
use super::filters;
use super::path::Id;
use crate::actions::resend::resend_delivery;
use crate::actions::show_attempt::{ShownAttempt, show_attempts};
use crate::api::Api;
use crate::api::auth::{Authorized, Operator, Viewer};
use crate::api::intake::NoBody;
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query, Reader};
use crate::domain::delivery::State as DeliveryState;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::store::history::deliveries::DeliveryFilter;

/// Which deliveries to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`filter` reads them; this describes them")]
pub(in crate::api) struct Filters {
    /// Owed to this webhook.
    #[param(rename = "filter[webhook_id]")]
    webhook_id: Option<WebhookId>,
    /// Owed for this event.
    #[param(rename = "filter[event_id]")]
    event_id: Option<EventId>,
    /// Of events of this type.
    #[param(rename = "filter[event]", pattern = "^[A-Za-z0-9_.:-]{1,128}$")]
    event: Option<String>,
    /// That stand so.
    #[param(rename = "filter[state]", inline)]
    state: Option<DeliveryState>,
}

/// List deliveries
///
/// Newest first, by the time their events were accepted.
#[utoipa::path(get, path = "/v1/deliveries", tag = "deliveries", operation_id = "listDeliveries",
    security(("api_key" = ["viewer"])), params(Paging, filters::SpanFilters, Filters),
    responses((status = 200, description = "A page of them", body = List<DeliveryView>)))]
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
    Ok(page.answer(deliveries, |delivery| delivery.id, DeliveryView::from))
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

/// Show a delivery
#[utoipa::path(get, path = "/v1/deliveries/{id}", tag = "deliveries", operation_id = "getDelivery",
    security(("api_key" = ["viewer"])),
    responses((status = 200, description = "The delivery", body = DeliveryView)))]
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Answer<DeliveryView>, Problem> {
    let delivery = api.store.delivery(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("delivery"))?;
    Ok(Answer(delivery.into()))
}

/// List a delivery's attempts
///
/// Newest first. Each shows the exact request (secret values redacted) and what came back, up to 16 KiB of its body.
#[utoipa::path(get, path = "/v1/deliveries/{id}/attempts", tag = "deliveries", operation_id = "listAttempts",
    security(("api_key" = ["viewer"])), params(Paging),
    responses((status = 200, description = "A page of them", body = List<AttemptView>)))]
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
    let number = |attempt: &ShownAttempt| u128::from(attempt.record.number.unsigned_abs());
    Ok(page.answer(attempts, number, |attempt| AttemptView::of(id, attempt)))
}

/// Resend a delivery
///
/// A delivered or cancelled one: a new delivery of the same event, with fresh attempts. A dead one: pending again, with fresh
/// attempts. A pending one: due now.
#[utoipa::path(post, path = "/v1/deliveries/{id}/resend", tag = "deliveries", operation_id = "resendDelivery",
    security(("api_key" = ["operator"])),
    responses((status = 202, description = "The delivery that will be attempted", body = DeliveryView),
        (status = 409, description = "event_gone, event_data_deleted, changing, too_many_resends, webhook_deleted, webhook_inactive, webhook_disabled, webhook_not_verified")))]
pub(in crate::api) async fn resend(
    operator: Authorized<Operator>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<(StatusCode, Answer<DeliveryView>), Problem> {
    let delivery = resend_delivery(&api, operator.tenant_id, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(delivery.into())))
}
