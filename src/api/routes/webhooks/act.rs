//! What can be done with a webhook: `/verify`, `/rotate`, `/activate`, `/deactivate`, `/test`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::super::path::Id;
use super::view::{self, OutcomeView, TestView, WebhookView, WithSecrets};
use crate::actions::webhooks::{self, Verification};
use crate::api::auth::{Authorized, Manager};
use crate::api::intake::{NoBody, OptionalJson};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::api::{Api, kinds};
use crate::domain::ids::WebhookId;

/// Verify a webhook
///
/// Sends the dialect's challenge to its URL.
#[utoipa::path(post, path = "/v1/webhooks/{id}/verify", tag = "webhooks", operation_id = "verifyWebhook",
    security(("api_key" = ["manager"])),
    responses((status = 200, description = "The receiver passed", body = WebhookView, headers(("ETag" = String, description = "Its revision"))),
        (status = 409, description = "no_challenge, changed_meanwhile, unfit_secret, unreadable_secret, unreadable_headers, unknown_dialect"),
        (status = 422, description = "challenge_failed"),
        (status = 429, description = "too_many_tests")))]
pub(in crate::api) async fn verify(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<Response, Problem> {
    match webhooks::verify(&api, api.trials(), manager.tenant_id, id).await? {
        Verification::Passed(webhook) => Ok(view::answer(&api, &webhook)),
        Verification::Failed(outcome) => {
            let detail = match (outcome.class.as_str(), outcome.status()) {
                ("success", _) => "the receiver answered 2xx, but did not return the challenge's value".to_owned(),
                (_, Some(status)) => {
                    format!("the receiver answered {status}; it must answer 2xx with the challenge's value")
                }
                (class, None) => format!("the receiver did not answer ({class})"),
            };
            let answer = json!(OutcomeView::from(&outcome));
            Err(Problem::new(kinds::CHALLENGE_FAILED, detail).with_member("answer", answer))
        }
    }
}

/// How the old secret goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Rotation {
    /// For how long the old secret still counts. 24 h where it is left out and the dialect can carry two signatures; where it
    /// can carry one, the new secret signs at once, or after this long.
    #[schema(minimum = 0, maximum = 604_800, example = 3600)]
    overlap_seconds: Option<i64>,
}

/// Rotate the signing secret
///
/// The new secret is in this answer and never shown again. The token, where there is one, stays; one that the dialect has and the
/// webhook has not, or that was damaged in the database, is made, and shown this once.
#[utoipa::path(post, path = "/v1/webhooks/{id}/rotate", tag = "webhooks", operation_id = "rotateWebhookSecret",
    security(("api_key" = ["manager"])), request_body = Option<Rotation>,
    responses((status = 200, description = "The webhook with its new secret", body = WithSecrets,
            headers(("ETag" = String, description = "Its revision"), ("Location" = String, description = "Its path"))),
        (status = 409, description = "too_many_secrets, unknown_dialect")))]
pub(in crate::api) async fn rotate(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
    OptionalJson(rotation): OptionalJson<Rotation>,
) -> Result<Response, Problem> {
    let rotated = webhooks::rotate(&api, manager.tenant_id, id, rotation.overlap_seconds).await?;
    Ok(view::with_secrets(&api, StatusCode::OK, &rotated))
}

/// How to activate.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`activate` reads it; this describes it")]
pub(in crate::api) struct ActivateOptions {
    /// Drops the deliveries that were held, and says how many.
    skip_backlog: Option<bool>,
}

/// Activate a webhook
///
/// Its held deliveries are sent, unless `skip_backlog` drops them. It is `pending_verification` where its receiver has not passed
/// the challenge at this URL.
#[utoipa::path(post, path = "/v1/webhooks/{id}/activate", tag = "webhooks", operation_id = "activateWebhook",
    security(("api_key" = ["manager"])), params(ActivateOptions),
    responses((status = 200, description = "The webhook as it is now", body = WebhookView),
        (status = 409, description = "changing")))]
pub(in crate::api) async fn activate(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    query: Query,
    _: NoBody,
) -> Result<Response, Problem> {
    let skip_backlog = query.read(|reader| reader.flag("skip_backlog"))?.unwrap_or(false);
    let (webhook, skipped) = webhooks::activate(&api, manager.tenant_id, id, skip_backlog).await?;
    let Some(skipped) = skipped else { return Ok(view::answer(&api, &webhook)) };
    let mut shown = view::webhook(&api, &webhook);
    shown.skipped_deliveries = Some(skipped);
    Ok(Json(shown).into_response())
}

/// Deactivate a webhook
///
/// Once this is answered, no send to it begins any more. Its events are still accepted, and held.
#[utoipa::path(post, path = "/v1/webhooks/{id}/deactivate", tag = "webhooks", operation_id = "deactivateWebhook",
    security(("api_key" = ["manager"])),
    responses((status = 200, description = "The webhook as it is now", body = WebhookView, headers(("ETag" = String, description = "Its revision"))),
        (status = 409, description = "changing")))]
pub(in crate::api) async fn deactivate(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<Response, Problem> {
    Ok(view::answer(&api, &webhooks::deactivate(&api, manager.tenant_id, id).await?))
}

/// Send a test
///
/// One signed sample event, now, also to a webhook that is paused. Nothing is stored and nothing is sent again.
#[utoipa::path(post, path = "/v1/webhooks/{id}/test", tag = "webhooks", operation_id = "testWebhook",
    security(("api_key" = ["manager"])),
    responses((status = 200, description = "What was sent, and what the receiver did", body = TestView),
        (status = 409, description = "webhook_not_verified, unfit_secret, unreadable_secret, unreadable_headers, unrenderable, unknown_dialect"),
        (status = 429, description = "too_many_tests")))]
pub(in crate::api) async fn test(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
    _: NoBody,
) -> Result<Json<TestView>, Problem> {
    let result = webhooks::send_test(&api, api.trials(), manager.tenant_id, id).await?;
    Ok(Json(result.into()))
}
