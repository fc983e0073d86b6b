//! Registering, reading, changing and deleting webhooks.

use axum::extract::State;
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::super::path::Id;
use super::view;
use crate::actions::webhooks::{self, Input};
use crate::api::auth::{Authorized, Manager, Viewer};
use crate::api::intake::Json;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::{Api, kinds};
use crate::domain::event::is_event_pattern;
use crate::domain::ids::WebhookId;
use crate::domain::webhook::State as Standing;
use crate::store::webhooks::Selection;

pub(in crate::api) async fn create(
    manager: Authorized<Manager>,
    State(api): State<Api>,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let registered = webhooks::register(&api, manager.tenant_id, input).await?;
    view::with_secrets(&api, StatusCode::CREATED, &registered)
}

pub(in crate::api) async fn list(
    viewer: Authorized<Viewer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let (page, selection) = query.read(|reader| {
        let states = "`pending_verification`, `active`, `inactive` or `disabled`";
        let selection = Selection {
            is_active: reader.flag("filter[is_active]")?,
            state: reader.take("filter[state]", states, Standing::parse)?,
            event: reader.take("filter[event]", "an event type", |text| is_event_pattern(text).then_some(text))?,
            ..Selection::default()
        };
        Ok((reader.page(viewer.tenant_id)?, selection))
    })?;
    let selection = Selection { after: page.after, ..selection };
    let found = api.store.webhooks(viewer.tenant_id, selection, page.limit()).await?;
    page.try_answer(&found, |webhook| webhook.id, |webhook| view::webhook(&api, webhook)).map_err(Problem::internal)
}

pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
) -> Result<Response, Problem> {
    let webhook = api.store.webhook(viewer.tenant_id, id).await?;
    view::answer(&api, &webhook.ok_or_else(|| Problem::not_found("webhook"))?)
}

pub(in crate::api) async fn change(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    headers: HeaderMap,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let expected = expected_revision(&headers)?;
    view::answer(&api, &webhooks::change(&api, manager.tenant_id, id, &input, expected).await?)
}

pub(in crate::api) async fn delete(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
) -> Result<StatusCode, Problem> {
    webhooks::delete(&api, manager.tenant_id, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `If-Match: "7"`, where it is there and is not `*`.
fn expected_revision(headers: &HeaderMap) -> Result<Option<i32>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    match value.to_str().map(str::trim) {
        Ok("*") => Ok(None),
        Ok(text) => {
            let revision = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')?.parse().ok());
            revision.map(Some).ok_or_else(bad_etag)
        }
        Err(_) => Err(bad_etag()),
    }
}

fn bad_etag() -> Problem {
    Problem::new(kinds::INVALID_HEADER, "`If-Match` must be one `ETag` as an answer gave it, such as \"3\"")
}
