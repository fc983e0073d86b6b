//! `/v1/tenants`: platform keys only.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::path::Id;
use crate::actions::{Fault, Member, tenants};
use crate::api::Api;
use crate::api::auth::Platform;
use crate::api::intake::Json;
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::dialect::DEFAULT_DIALECT;
use crate::domain::ids::TenantId;
use crate::domain::tenant::{Environment, Tenant};

const MAX_NAME_CHARS: usize = 200;

/// A tenant to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTenant)]
pub(in crate::api) struct Input {
    /// For people.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 200, required, example = "Acme")]
    name: Member<String>,
    /// Never changes: keys and URLs depend on it.
    #[serde(default)]
    #[schema(value_type = Environment, required)]
    environment: Member<Environment>,
    /// The dialect of its webhooks that name none; `standard` where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "standard")]
    default_dialect: Member<String>,
}

/// Create a tenant
#[utoipa::path(post, path = "/v1/tenants", tag = "tenants", operation_id = "createTenant",
    security(("platform_key" = [])), request_body = Input,
    responses((status = 201, description = "Created", body = Tenant, headers(("Location" = String, description = "Its path")))))]
pub(in crate::api) async fn create(
    _: Platform,
    State(api): State<Api>,
    _: NoQuery,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let mut faults = Vec::new();
    let name = input.name.required("/name", None, &mut faults);
    let environment = input.environment.required("/environment", None, &mut faults);
    let dialect = input.default_dialect.or_default(DEFAULT_DIALECT.to_owned(), DEFAULT_DIALECT.to_owned());
    check(&api, name.as_deref(), Some(&dialect), &mut faults);
    let (Some(name), Some(environment), []) = (name, environment, &faults[..]) else {
        return Err(Problem::invalid(faults));
    };
    let now = api.clock.now();
    let id = TenantId::new(now, rand::random());
    let tenant = Tenant { id, name, environment, default_dialect: dialect, created_at: now, updated_at: now };
    api.store.insert_tenant(&tenant).await?;
    let place = [(LOCATION, format!("/v1/tenants/{id}"))];
    Ok((StatusCode::CREATED, place, Answer(tenant)).into_response())
}

/// List tenants
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", operation_id = "listTenants",
    security(("platform_key" = [])), params(Paging),
    responses((status = 200, description = "A page of them", body = List<Tenant>)))]
pub(in crate::api) async fn list(_: Platform, State(api): State<Api>, query: Query) -> Result<Response, Problem> {
    let page = query.read(|reader| reader.page(None))?;
    let tenants = api.store.tenants(page.after, page.limit()).await?;
    Ok(page.answer(tenants, |tenant| tenant.id, |tenant| tenant))
}

/// Show a tenant
#[utoipa::path(get, path = "/v1/tenants/{id}", tag = "tenants", operation_id = "getTenant",
    security(("platform_key" = [])),
    responses((status = 200, description = "The tenant", body = Tenant)))]
pub(in crate::api) async fn show(
    _: Platform,
    Id(id): Id<TenantId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Answer<Tenant>, Problem> {
    api.store.tenant(id).await?.map(Answer).ok_or_else(|| Problem::not_found("tenant"))
}

/// What to change of a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantChange)]
pub(in crate::api) struct Change {
    /// For people.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 200)]
    name: Member<String>,
    /// The dialect of its webhooks that name none.
    #[serde(default)]
    #[schema(value_type = String)]
    default_dialect: Member<String>,
    /// Cannot be changed; given, it is refused with the reason.
    #[serde(default)]
    #[schema(ignore)]
    environment: Member<Environment>,
}

/// Change a tenant
///
/// Its `environment` cannot be changed.
#[utoipa::path(patch, path = "/v1/tenants/{id}", tag = "tenants", operation_id = "changeTenant",
    security(("platform_key" = [])), request_body = Change,
    responses((status = 200, description = "The tenant as it is now", body = Tenant)))]
pub(in crate::api) async fn change(
    _: Platform,
    Id(id): Id<TenantId>,
    State(api): State<Api>,
    _: NoQuery,
    Json(input): Json<Change>,
) -> Result<Answer<Tenant>, Problem> {
    let mut faults = Vec::new();
    if input.environment != Member::Absent {
        let detail = "cannot be changed, since keys and URLs depend on it: create another tenant";
        faults.push(Fault::new("/environment", "unchangeable", detail));
    }
    let name = input.name.unless_absent("/name", &mut faults);
    let dialect = input.default_dialect.unless_absent("/default_dialect", &mut faults);
    check(&api, name.as_deref(), dialect.as_deref(), &mut faults);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let changed = api.store.update_tenant(id, name.as_deref(), dialect.as_deref(), api.clock.now()).await?;
    changed.map(Answer).ok_or_else(|| Problem::not_found("tenant"))
}

/// Delete a tenant
///
/// With its keys; its webhooks stop and their secrets are forgotten.
#[utoipa::path(delete, path = "/v1/tenants/{id}", tag = "tenants", operation_id = "deleteTenant",
    security(("platform_key" = [])),
    responses((status = 204, description = "Deleted")))]
pub(in crate::api) async fn delete(
    _: Platform,
    Id(id): Id<TenantId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<StatusCode, Problem> {
    tenants::delete(&api, id).await?;
    api.keyring().forget();
    Ok(StatusCode::NO_CONTENT)
}

fn check(api: &Api, name: Option<&str>, dialect: Option<&str>, faults: &mut Vec<Fault>) {
    if let Some(name) = name
        && (!(1..=MAX_NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control))
    {
        let detail = format!("must be 1 to {MAX_NAME_CHARS} characters, without control characters");
        faults.push(Fault::new("/name", "invalid_name", detail));
    }
    if let Some(dialect) = dialect
        && api.dialects.get(dialect).is_none()
    {
        faults.push(Fault::new("/default_dialect", "unknown_dialect", api.unknown_dialect()));
    }
}
