//! `/v1/tenants`: platform keys only.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::path::Id;
use crate::actions::{Fault, Member, tenants};
use crate::api::Api;
use crate::api::auth::Platform;
use crate::api::intake::Json;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::dialect::DEFAULT_DIALECT;
use crate::domain::ids::TenantId;
use crate::domain::tenant::{Environment, Tenant};

const MAX_NAME_CHARS: usize = 200;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Input {
    #[serde(default)]
    name: Member<String>,
    #[serde(default)]
    environment: Member<Environment>,
    #[serde(default)]
    default_dialect: Member<String>,
}

pub(in crate::api) async fn create(
    _: Platform,
    State(api): State<Api>,
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

pub(in crate::api) async fn list(_: Platform, State(api): State<Api>, query: Query) -> Result<Response, Problem> {
    let page = query.read(|reader| reader.page(None))?;
    let tenants = api.store.tenants(page.after, page.limit()).await?;
    Ok(page.answer(tenants, |tenant| tenant.id, |tenant| json!(tenant)))
}

pub(in crate::api) async fn show(
    _: Platform,
    Id(id): Id<TenantId>,
    State(api): State<Api>,
) -> Result<Answer<Tenant>, Problem> {
    api.store.tenant(id).await?.map(Answer).ok_or_else(|| Problem::not_found("tenant"))
}

pub(in crate::api) async fn change(
    _: Platform,
    Id(id): Id<TenantId>,
    State(api): State<Api>,
    Json(input): Json<Input>,
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

pub(in crate::api) async fn delete(
    _: Platform,
    Id(id): Id<TenantId>,
    State(api): State<Api>,
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
