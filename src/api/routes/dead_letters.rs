//! `/v1/dead-letters`: deliveries given up, until somebody resends or deletes them.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::deliveries::view::DeliveryView;
use super::filters;
use super::path::Id;
use crate::actions::resend::resend_dead_letter;
use crate::api::Api;
use crate::api::auth::{Authorized, Operator, Viewer};
use crate::api::intake::NoBody;
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query, Reader};
use crate::domain::delivery::DeadReason;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::domain::outcome::Class;
use crate::store::history::dead_letters::{DeadLetter, DeadLetterFilter};

/// A dead letter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub(in crate::api) struct DeadLetterView {
    /// The delivery's.
    id: DeliveryId,
    event_id: EventId,
    /// The event's type; `null` where the event was purged.
    #[schema(example = "document.processed")]
    event: Option<String>,
    webhook_id: WebhookId,
    #[schema(example = "standard")]
    dialect: String,
    reason: DeadReason,
    /// More about it, where there is more to say.
    detail: Option<String>,
    attempts: i16,
    created_at: DateTime<Utc>,
    died_at: DateTime<Utc>,
    /// `null` where nothing could be sent; `/v1/deliveries/{id}/attempts` has all of it.
    last_attempt: Option<LastAttemptView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastAttempt)]
struct LastAttemptView {
    number: i16,
    started_at: DateTime<Utc>,
    outcome: Class,
    status: Option<i16>,
}

impl From<DeadLetter> for DeadLetterView {
    fn from(letter: DeadLetter) -> Self {
        let last = letter.last_attempt_at.zip(letter.last_outcome);
        Self {
            id: letter.id,
            event_id: letter.id.event(),
            event: letter.event_type,
            webhook_id: letter.webhook_id,
            dialect: letter.dialect,
            reason: letter.reason,
            detail: letter.detail,
            attempts: letter.attempts,
            created_at: letter.id.created_at(),
            died_at: letter.died_at,
            last_attempt: last.map(|(started_at, outcome)| LastAttemptView {
                number: letter.attempts,
                started_at,
                outcome,
                status: letter.last_status,
            }),
        }
    }
}

/// Which dead letters to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`filter` reads them; this describes them")]
pub(in crate::api) struct Filters {
    /// Owed to this webhook.
    #[param(rename = "filter[webhook_id]")]
    webhook_id: Option<WebhookId>,
    /// Of events of this type.
    #[param(rename = "filter[event]", pattern = "^[A-Za-z0-9_.:-]{1,128}$")]
    event: Option<String>,
    /// Given up for this reason.
    #[param(rename = "filter[reason]", inline)]
    reason: Option<DeadReason>,
}

/// List dead letters
///
/// Newest first, by the time their events were accepted.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", operation_id = "listDeadLetters",
    security(("api_key" = ["viewer"])), params(Paging, filters::SpanFilters, Filters),
    responses((status = 200, description = "A page of them", body = List<DeadLetterView>)))]
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
    let letters = api.store.list_dead_letters(tenant_id, &filter, page.limit()).await?;
    Ok(page.answer(letters, |letter| letter.id, DeadLetterView::from))
}

fn filter(reader: &mut Reader<'_>) -> Result<DeadLetterFilter, Problem> {
    let reasons = "`attempts_exhausted`, `terminal_status`, `webhook_disabled` or `unrenderable`";
    Ok(DeadLetterFilter {
        span: filters::span(reader)?,
        webhook_id: filters::webhook_id(reader)?,
        event_type: filters::event_type(reader, "filter[event]")?,
        reason: reader.take("filter[reason]", reasons, DeadReason::parse)?,
    })
}

/// Show a dead letter
///
/// Its id is its delivery's id.
#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters", operation_id = "getDeadLetter",
    security(("api_key" = ["viewer"])),
    responses((status = 200, description = "The dead letter", body = DeadLetterView)))]
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Answer<DeadLetterView>, Problem> {
    let letter = api.store.dead_letter(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("dead letter"))?;
    Ok(Answer(letter.into()))
}

/// Resend a dead letter
///
/// The delivery leaves the dead letters and is pending again, with fresh attempts; its history stays.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/resend", tag = "dead letters", operation_id = "resendDeadLetter",
    security(("api_key" = ["operator"])),
    responses((status = 202, description = "The delivery, which is pending again", body = DeliveryView),
        (status = 409, description = "not_dead, event_gone, event_data_deleted, changing, too_many_resends, webhook_deleted, webhook_inactive, webhook_disabled, webhook_not_verified")))]
pub(in crate::api) async fn resend(
    operator: Authorized<Operator>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<(StatusCode, Answer<DeliveryView>), Problem> {
    let delivery = resend_dead_letter(&api, operator.tenant_id, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(delivery.into())))
}

/// Delete a dead letter
///
/// Given up for good: the delivery is `cancelled`.
#[utoipa::path(delete, path = "/v1/dead-letters/{id}", tag = "dead letters", operation_id = "deleteDeadLetter",
    security(("api_key" = ["operator"])),
    responses((status = 204, description = "It is no dead letter any more")))]
pub(in crate::api) async fn delete(
    operator: Authorized<Operator>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    let deleted = api.store.delete_dead_letter(operator.tenant_id, id, api.clock.now()).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("dead letter")) }
}
