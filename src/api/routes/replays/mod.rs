//! `/v1/replays`: jobs that resend many deliveries, at a pace.

pub(super) mod view;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use utoipa::IntoParams;

use self::view::{ForecastView, ReplayView};
use super::path::Id;
use crate::actions::replays::{self, Input};
use crate::api::Api;
use crate::api::auth::{Authorized, Operator, Viewer};
use crate::api::intake::{Json, NoBody};
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::domain::ids::{ReplayId, TenantId};
use crate::domain::replay::{State as ReplayState, Word};

/// Start a replay
///
/// Many deliveries are resent, at a pace, by a job that survives the end of any process: dead letters leave the dead letters and are
/// pending again; what was delivered or cancelled gets a new delivery of the same event, one for each webhook. It works on what had
/// come to an end when it was started. Without any filter it needs `"all": true`. With `"dry_run": true` it only says what would
/// happen, webhook by webhook.
#[utoipa::path(post, path = "/v1/replays", tag = "replays", operation_id = "startReplay",
    security(("api_key" = ["operator"])), request_body = Input,
    responses((status = 201, description = "Started", body = ReplayView, headers(("Location" = String, description = "Its path"))),
        (status = 200, description = "What would happen (`dry_run`)", body = ForecastView),
        (status = 409, description = "too_many_replays")))]
pub(in crate::api) async fn start(
    operator: Authorized<Operator>,
    State(api): State<Api>,
    _: NoQuery,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let dry_run = input.dry_run;
    let request = input.check(api.replay_rates()).map_err(Problem::invalid)?;
    if dry_run {
        let forecast = replays::forecast(&api, operator.tenant_id, &request).await?;
        return Ok(Answer(ForecastView::of(request, &forecast)).into_response());
    }
    let replay = replays::start(&api, operator.tenant_id, request).await?;
    let place = [(LOCATION, format!("/v1/replays/{}", replay.id))];
    Ok((StatusCode::CREATED, place, Answer(ReplayView::of(replay, api.clock.now()))).into_response())
}

/// Which replays to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`list` reads it; this describes it")]
pub(in crate::api) struct Filters {
    /// That stand so.
    #[param(rename = "filter[state]", inline)]
    state: Option<ReplayState>,
}

/// List replays
///
/// Newest first.
#[utoipa::path(get, path = "/v1/replays", tag = "replays", operation_id = "listReplays",
    security(("api_key" = ["viewer"])), params(Paging, Filters),
    responses((status = 200, description = "A page of them", body = List<ReplayView>)))]
pub(in crate::api) async fn list(
    viewer: Authorized<Viewer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let tenant_id = viewer.tenant_id;
    let (page, state) = query.read(|reader| {
        let states = "`running`, `paused`, `completed` or `cancelled`";
        Ok((reader.page::<ReplayId>(tenant_id)?, reader.take("filter[state]", states, ReplayState::parse)?))
    })?;
    let found = api.store.list_replays(tenant_id, state, page.after, page.limit()).await?;
    let now = api.clock.now();
    Ok(page.answer(found, |replay| replay.id, |replay| ReplayView::of(replay, now)))
}

/// Show a replay
///
/// With its progress, and when it will end if nothing is skipped.
#[utoipa::path(get, path = "/v1/replays/{id}", tag = "replays", operation_id = "getReplay",
    security(("api_key" = ["viewer"])),
    responses((status = 200, description = "The replay", body = ReplayView)))]
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<ReplayId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Answer<ReplayView>, Problem> {
    let replay = replays::find(&api, viewer.tenant_id, id).await?;
    Ok(Answer(ReplayView::of(replay, api.clock.now())))
}

/// Pause a replay
///
/// When this is answered, it resends nothing more until it is resumed. Pausing a paused one changes nothing.
#[utoipa::path(post, path = "/v1/replays/{id}/pause", tag = "replays", operation_id = "pauseReplay",
    security(("api_key" = ["operator"])),
    responses((status = 200, description = "The replay, paused", body = ReplayView),
        (status = 409, description = "replay_finished, changing")))]
pub(in crate::api) async fn pause(
    operator: Authorized<Operator>,
    Id(id): Id<ReplayId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<Answer<ReplayView>, Problem> {
    say(&api, operator.tenant_id, id, Word::Pause).await
}

/// Resume a replay
///
/// It goes on where it was. Resuming a running one changes nothing.
#[utoipa::path(post, path = "/v1/replays/{id}/resume", tag = "replays", operation_id = "resumeReplay",
    security(("api_key" = ["operator"])),
    responses((status = 200, description = "The replay, running", body = ReplayView),
        (status = 409, description = "replay_finished, changing")))]
pub(in crate::api) async fn resume(
    operator: Authorized<Operator>,
    Id(id): Id<ReplayId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<Answer<ReplayView>, Problem> {
    say(&api, operator.tenant_id, id, Word::Resume).await
}

/// Cancel a replay
///
/// When this is answered, it resends nothing more. What it resent stays so. Cancelling a cancelled one changes nothing.
#[utoipa::path(post, path = "/v1/replays/{id}/cancel", tag = "replays", operation_id = "cancelReplay",
    security(("api_key" = ["operator"])),
    responses((status = 200, description = "The replay, cancelled", body = ReplayView),
        (status = 409, description = "replay_finished, changing")))]
pub(in crate::api) async fn cancel(
    operator: Authorized<Operator>,
    Id(id): Id<ReplayId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<Answer<ReplayView>, Problem> {
    say(&api, operator.tenant_id, id, Word::Cancel).await
}

async fn say(api: &Api, tenant_id: TenantId, id: ReplayId, word: Word) -> Result<Answer<ReplayView>, Problem> {
    let replay = replays::say(api, tenant_id, id, word).await?;
    Ok(Answer(ReplayView::of(replay, api.clock.now())))
}
