//! `/v1/event-types`: the tenant's catalogue.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::path::Id;
use crate::actions::catalogue::{self, Description};
use crate::api::Api;
use crate::api::auth::{Authorized, Manager, Viewer};
use crate::api::intake::Json;
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::domain::event_type::EventType;

/// What may be said of an event type; what is left out, or null, is said not to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventTypeInput)]
pub(in crate::api) struct Input {
    /// For people.
    #[schema(example = "An order was paid")]
    description: Option<String>,
    /// A JSON Schema that data must fit: at most 64 KiB, without references to elsewhere or to itself.
    #[schema(value_type = Option<Value>, example = json!({"type": "object", "required": ["id"]}))]
    schema: Option<Box<RawValue>>,
    /// Data as such an event may have it; it must fit the schema. Test deliveries carry it.
    #[schema(value_type = Option<Value>, example = json!({"id": 7}))]
    example: Option<Box<RawValue>>,
    /// Producers are told that the type is on its way out.
    deprecated: Option<bool>,
}

/// An event type of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventType)]
pub(in crate::api) struct EventTypeView {
    #[schema(example = "order.paid")]
    name: String,
    description: String,
    /// As it was given.
    #[schema(value_type = Option<Value>)]
    schema: Option<Box<RawValue>>,
    /// As it was given.
    #[schema(value_type = Option<Value>)]
    example: Option<Box<RawValue>>,
    deprecated: bool,
    /// Since when producers are told so, by the header `Deprecation`.
    deprecated_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<EventType> for EventTypeView {
    type Error = Problem;

    fn try_from(shown: EventType) -> Result<Self, Problem> {
        let raw = |text: Option<String>| text.map(RawValue::from_string).transpose().map_err(Problem::internal);
        Ok(Self {
            name: shown.name,
            description: shown.description,
            schema: raw(shown.schema)?,
            example: raw(shown.example)?,
            deprecated: shown.deprecated_at.is_some(),
            deprecated_at: shown.deprecated_at,
            created_at: shown.created_at,
            updated_at: shown.updated_at,
        })
    }
}

/// List event types
///
/// Newest first. While there are any, events of other types are refused.
#[utoipa::path(get, path = "/v1/event-types", tag = "event types", operation_id = "listEventTypes",
    security(("api_key" = ["viewer"])), params(Paging),
    responses((status = 200, description = "A page of them", body = List<EventTypeView>)))]
pub(in crate::api) async fn list(
    viewer: Authorized<Viewer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let page = query.read(|reader| reader.page::<u128>(viewer.tenant_id))?;
    let after = page.after.map(|after| i64::try_from(after).unwrap_or(i64::MAX));
    let types = api.store.event_types(viewer.tenant_id, after, page.limit()).await?;
    let place = |shown: &EventType| u128::from(shown.number.unsigned_abs());
    page.try_answer(types, place, EventTypeView::try_from)
}

/// Show an event type
#[utoipa::path(get, path = "/v1/event-types/{name}", tag = "event types", operation_id = "getEventType",
    security(("api_key" = ["viewer"])),
    responses((status = 200, description = "The event type", body = EventTypeView)))]
pub(in crate::api) async fn show(
    viewer: Authorized<Viewer>,
    Id(name): Id<String>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Answer<EventTypeView>, Problem> {
    let found = api.store.event_type(viewer.tenant_id, &name).await?;
    EventTypeView::try_from(found.ok_or_else(|| Problem::not_found("event type"))?).map(Answer)
}

/// Describe an event type
///
/// In place of what was said of it before. In force in the process that answers; in others within about a second. SQL
/// `tidings.enqueue` refuses types that are not described, but cannot check schemas.
#[utoipa::path(put, path = "/v1/event-types/{name}", tag = "event types", operation_id = "describeEventType",
    security(("api_key" = ["manager"])), request_body = Input,
    responses((status = 201, description = "It is new", body = EventTypeView),
        (status = 200, description = "It takes the place of what was said before", body = EventTypeView),
        (status = 409, description = "catalogue_full")))]
pub(in crate::api) async fn describe(
    manager: Authorized<Manager>,
    Id(name): Id<String>,
    State(api): State<Api>,
    _: NoQuery,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let said = Description {
        description: input.description.unwrap_or_default(),
        schema: input.schema.map(|schema| schema.get().to_owned()),
        example: input.example.map(|example| example.get().to_owned()),
        deprecated: input.deprecated.unwrap_or(false),
    };
    let (described, is_new) = catalogue::describe(&api, api.catalogues(), manager.tenant_id, &name, said).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Answer(EventTypeView::try_from(described)?)).into_response())
}

/// Forget an event type
///
/// Events of it are refused from now on, unless it was the last: then every type is accepted.
#[utoipa::path(delete, path = "/v1/event-types/{name}", tag = "event types", operation_id = "forgetEventType",
    security(("api_key" = ["manager"])),
    responses((status = 204, description = "It is forgotten")))]
pub(in crate::api) async fn forget(
    manager: Authorized<Manager>,
    Id(name): Id<String>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    catalogue::forget(&api, api.catalogues(), manager.tenant_id, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}
