//! `/v1/dead-letters`: deliveries given up, until somebody resends or deletes them.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::deliveries::view::DeliveryView;
use super::filters;
use super::path::Id;
use crate::actions::resend::resend_dead_letter;
use crate::api::Api;
use crate::api::auth::{Authorized, Operator, Viewer};
use crate::api::problem::Problem;
use crate::api::query::{Query, Reader};
use crate::domain::delivery::DeadReason;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::store::history::dead_letters::{DeadLetter, DeadLetterFilter};

/// A dead letter.
#[derive(Debug, Serialize)]
pub(in crate::api) struct DeadLetterView {
    id: DeliveryId,
    event_id: EventId,
    /// The event's type; `null` where the event was purged.
    event: Option<String>,
    webhook_id: WebhookId,
    dialect: String,
    reason: &'static str,
    detail: Option<String>,
    attempts: i16,
    created_at: DateTime<Utc>,
    died_at: DateTime<Utc>,
    /// `null` where nothing could be sent; `/v1/deliveries/{id}/attempts` has all of it.
    last_attempt: Option<LastAttemptView>,
}

#[derive(Debug, Serialize)]
struct LastAttemptView {
    number: i16,
    started_at: DateTime<Utc>,
    outcome: &'static str,
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
            reason: letter.reason.as_str(),
            detail: letter.detail,
            attempts: letter.attempts,
            created_at: letter.id.created_at(),
            died_at: letter.died_at,
            last_attempt: last.map(|(started_at, outcome)| LastAttemptView {
                number: letter.attempts,
                started_at,
                outcome: outcome.as_str(),
                status: letter.last_status,
            }),
        }
    }
}

/// `GET /v1/dead-letters`.
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
    Ok(page.answer(letters, |letter| letter.id, |letter| json!(DeadLetterView::from(letter))))
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

/// `GET /v1/dead-letters/{id}`.
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    query: Query,
) -> Result<Answer<DeadLetterView>, Problem> {
    query.none()?;
    let letter = api.store.dead_letter(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("dead letter"))?;
    Ok(Answer(letter.into()))
}

/// `POST /v1/dead-letters/{id}/resend`: answers with the delivery, which is pending again.
pub(in crate::api) async fn resend(
    operator: Authorized<Operator>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    query: Query,
) -> Result<(StatusCode, Answer<DeliveryView>), Problem> {
    query.none()?;
    let delivery = resend_dead_letter(&api, operator.tenant_id, id).await?;
    Ok((StatusCode::ACCEPTED, Answer(delivery.into())))
}

/// `DELETE /v1/dead-letters/{id}`: given up for good.
pub(in crate::api) async fn delete(
    operator: Authorized<Operator>,
    Id(id): Id<DeliveryId>,
    State(api): State<Api>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.none()?;
    let deleted = api.store.delete_dead_letter(operator.tenant_id, id, api.clock.now()).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("dead letter")) }
}
