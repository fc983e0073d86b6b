//! What can be done with a webhook: `/verify`, `/rotate`, `/activate`, `/deactivate`, `/test`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::path::Id;
use super::view;
use crate::actions::webhooks::{self, Verification};
use crate::api::auth::{Authorized, Manager};
use crate::api::intake::OptionalJson;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::{Api, kinds};
use crate::domain::ids::WebhookId;

pub(in crate::api) async fn verify(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
) -> Result<Response, Problem> {
    match webhooks::verify(&api, manager.tenant_id, id).await? {
        Verification::Passed(webhook) => view::answer(&api, &webhook),
        Verification::Failed(outcome) => {
            let detail = match (outcome.class.as_str(), outcome.status()) {
                ("success", _) => "the receiver answered 2xx, but did not return the challenge's value".to_owned(),
                (_, Some(status)) => {
                    format!("the receiver answered {status}; it must answer 2xx with the challenge's value")
                }
                (class, None) => format!("the receiver did not answer ({class})"),
            };
            Err(Problem::new(kinds::CHALLENGE_FAILED, detail).with_member("answer", view::outcome(&outcome)))
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Rotation {
    overlap_seconds: Option<i64>,
}

pub(in crate::api) async fn rotate(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    OptionalJson(rotation): OptionalJson<Rotation>,
) -> Result<Response, Problem> {
    let rotated = webhooks::rotate(&api, manager.tenant_id, id, rotation.overlap_seconds).await?;
    view::with_secrets(&api, StatusCode::OK, &rotated)
}

pub(in crate::api) async fn activate(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let skip_backlog = query.read(|reader| reader.flag("skip_backlog"))?.unwrap_or(false);
    let (webhook, skipped) = webhooks::activate(&api, manager.tenant_id, id, skip_backlog).await?;
    let Some(skipped) = skipped else { return view::answer(&api, &webhook) };
    let mut shown = view::webhook(&api, &webhook).map_err(Problem::internal)?;
    shown["skipped_deliveries"] = skipped.into();
    Ok(Json(shown).into_response())
}

pub(in crate::api) async fn deactivate(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
) -> Result<Response, Problem> {
    view::answer(&api, &webhooks::deactivate(&api, manager.tenant_id, id).await?)
}

pub(in crate::api) async fn test(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
) -> Result<Json<Value>, Problem> {
    let result = webhooks::send_test(&api, manager.tenant_id, id).await?;
    let headers: Map<_, _> = result.request.headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    let mut shown = json!({
        "event_id": result.event_id,
        "event_type": result.event_type,
        "request": { "url": result.request.url, "headers": headers, "body": result.request.body },
    });
    if let (Some(shown), Value::Object(outcome)) = (shown.as_object_mut(), view::outcome(&result.outcome)) {
        shown.extend(outcome);
    }
    Ok(Json(shown))
}
