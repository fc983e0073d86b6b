//! Registering, reading, changing and deleting webhooks.

use axum::extract::State;
use axum::http::header::IF_MATCH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use utoipa::IntoParams;

use super::super::path::Id;
use super::view::{self, WebhookView, WithSecrets};
use crate::actions::webhooks::{self, Input};
use crate::api::auth::{Authorized, Manager, Viewer};
use crate::api::intake::Json;
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::api::{Api, kinds};
use crate::domain::event::is_event_pattern;
use crate::domain::ids::WebhookId;
use crate::domain::webhook::State as Standing;
use crate::store::webhooks::Selection;

/// Register a webhook
///
/// The signing secret (and the token, where the dialect has one) is in this answer and never shown again. The answer also has
/// the members that the dialect's vendor has beside, such as `webhook_config_id`. Needs `url` and `events`.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", operation_id = "createWebhook",
    security(("api_key" = ["manager"])), request_body = Input,
    responses((status = 201, description = "Registered", body = WithSecrets,
        headers(("ETag" = String, description = "Its revision"), ("Location" = String, description = "Its path")))))]
pub(in crate::api) async fn create(
    manager: Authorized<Manager>,
    State(api): State<Api>,
    _: NoQuery,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let registered = webhooks::register(&api, manager.tenant_id, input).await?;
    Ok(view::with_secrets(&api, StatusCode::CREATED, &registered))
}

/// Which webhooks to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`list` reads them; this describes them")]
pub(in crate::api) struct Filters {
    /// That get their events, or do not.
    #[param(rename = "filter[is_active]")]
    is_active: Option<bool>,
    /// That want events of this type, of all types that begin so (a prefix ending in `.*`), or of all (`*`).
    #[param(rename = "filter[event]", pattern = r"^([A-Za-z0-9_.:-]{1,128}|[A-Za-z0-9_.:-]{1,126}\.\*|\*)$")]
    event: Option<String>,
    /// That stand so.
    #[param(rename = "filter[state]", inline)]
    state: Option<Standing>,
}

/// List webhooks
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", operation_id = "listWebhooks",
    security(("api_key" = ["viewer"])), params(Paging, Filters),
    responses((status = 200, description = "A page of them", body = List<WebhookView>)))]
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
    Ok(page.answer(found, |webhook| webhook.id, |webhook| view::webhook(&api, &webhook)))
}

/// Show a webhook
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "getWebhook",
    security(("api_key" = ["viewer"])), params(IfNoneMatch),
    responses((status = 200, description = "The webhook", body = WebhookView, headers(("ETag" = String, description = "Its revision"))),
        (status = 304, description = "It is as it was")))]
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let webhook = api.store.webhook(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("webhook"))?;
    if view::is_known(&webhook, &headers) {
        return Ok(view::unchanged(&webhook));
    }
    Ok(view::answer(&api, &webhook))
}

/// Only if it is another.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`view::is_known` reads it; this describes it")]
pub(in crate::api) struct IfNoneMatch {
    /// An `ETag` that an answer gave: answered with 304 and nothing else where the webhook is still as it was.
    #[param(rename = "If-None-Match", example = "\"3\"")]
    if_none_match: Option<String>,
}

/// Only if it is unchanged.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`expected_revision` reads it; this describes it")]
pub(in crate::api) struct IfMatch {
    /// The `ETag` that an answer gave: refused with 412 where the webhook was changed since. `*`: in any case.
    #[param(rename = "If-Match", pattern = r#"^("[0-9]{1,9}"|\*)$"#, example = "\"3\"")]
    if_match: Option<String>,
}

/// Change a webhook
///
/// Only the members that are given; `null` clears one that may be cleared. `{"is_active": false}` deactivates. Its dialect
/// cannot be changed.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "changeWebhook",
    security(("api_key" = ["manager"])), params(IfMatch), request_body = Input,
    responses((status = 200, description = "The webhook as it is now", body = WebhookView, headers(("ETag" = String, description = "Its revision"))),
        (status = 400, description = "invalid_header"),
        (status = 409, description = "changing, unknown_dialect"),
        (status = 412, description = "precondition_failed")))]
pub(in crate::api) async fn change(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
    headers: HeaderMap,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let expected = expected_revision(&headers)?;
    Ok(view::answer(&api, &webhooks::change(&api, manager.tenant_id, id, &input, expected).await?))
}

/// Delete a webhook
///
/// Once this is answered, no send to it begins any more; its deliveries are cancelled and its secrets forgotten. What was
/// delivered stays readable until retention ends.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "webhooks", operation_id = "deleteWebhook",
    security(("api_key" = ["manager"])), params(IfMatch),
    responses((status = 204, description = "Deleted"),
        (status = 400, description = "invalid_header"),
        (status = 412, description = "precondition_failed")))]
pub(in crate::api) async fn delete(
    manager: Authorized<Manager>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    webhooks::delete(&api, manager.tenant_id, id, expected_revision(&headers)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `If-Match: "7"`, where it is there and is not `*`.
fn expected_revision(headers: &HeaderMap) -> Result<Option<i32>, Problem> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|_| values.next().is_none());
    if text == Some("*") {
        return Ok(None);
    }
    let digits = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let revision = digits.and_then(|digits| digits.parse().ok());
    revision.map(Some).ok_or_else(|| {
        Problem::new(kinds::INVALID_HEADER, "`If-Match` must be one `ETag` as an answer gave it, such as \"3\"")
    })
}
