//! `/v1/api-keys`: platform keys only.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::path::Id;
use crate::actions::{Fault, Member};
use crate::api::Api;
use crate::api::auth::Platform;
use crate::api::intake::Json;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::domain::ids::{KeyId, TenantId};
use crate::domain::tenant::{ApiKey, Environment, Role};

const MAX_DESCRIPTION_CHARS: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Input {
    /// Null makes a platform key.
    #[serde(default)]
    tenant_id: Member<TenantId>,
    #[serde(default)]
    roles: Vec<Role>,
    #[serde(default)]
    description: Member<String>,
}

pub(in crate::api) async fn create(
    _: Platform,
    State(api): State<Api>,
    Json(input): Json<Input>,
) -> Result<Response, Problem> {
    let now = api.clock.now();
    let key = check(input, KeyId::new(now, rand::random()), now).map_err(Problem::invalid)?;
    let no_tenant = || Problem::invalid(vec![Fault::new("/tenant_id", "unknown_tenant", "names no tenant")]);
    let prefix = match key.tenant_id {
        None => "tk_platform_",
        Some(id) => match api.store.tenant(id).await?.ok_or_else(no_tenant)?.environment {
            Environment::Live => "tk_live_",
            Environment::Sandbox => "tk_sandbox_",
        },
    };
    let text = format!("{prefix}{}", hex::encode(rand::random::<[u8; 32]>()));
    if !api.store.insert_api_key(&key, &Sha256::digest(&text).into()).await? {
        return Err(no_tenant());
    }
    let mut shown = show(&key);
    shown["key"] = text.into();
    Ok((StatusCode::CREATED, Answer(shown)).into_response())
}

pub(in crate::api) async fn list(_: Platform, State(api): State<Api>, query: Query) -> Result<Response, Problem> {
    let (page, tenant_id) = query.read(|reader| {
        let tenant_id = reader.take("filter[tenant_id]", "a tenant's id, `ten_…`", |text| text.parse().ok())?;
        Ok((reader.page(None)?, tenant_id))
    })?;
    let keys = api.store.api_keys(tenant_id, page.after, page.limit()).await?;
    Ok(page.answer(keys, |key| key.id, |key| show(&key)))
}

pub(in crate::api) async fn delete(
    _: Platform,
    Id(id): Id<KeyId>,
    State(api): State<Api>,
) -> Result<StatusCode, Problem> {
    let deleted = api.store.delete_api_key(id).await?;
    api.keyring().forget();
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found("API key")) }
}

fn check(input: Input, id: KeyId, now: chrono::DateTime<chrono::Utc>) -> Result<ApiKey, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut roles = input.roles;
    roles.sort_by_key(|role| role.as_str());
    roles.dedup();
    let tenant_id = match input.tenant_id {
        Member::Is(id) => Some(id),
        Member::Null => None,
        Member::Absent => {
            let detail = "must be given: a tenant's id, or null for a platform key";
            faults.push(Fault::new("/tenant_id", "required", detail));
            None
        }
    };
    if faults.is_empty() && tenant_id.is_some() == roles.is_empty() {
        let detail = "must name at least one of manager, producer, operator, viewer; a platform key has none";
        faults.push(Fault::new("/roles", "invalid_roles", detail));
    }
    let description = input.description.or_default(String::new(), String::new());
    if description.chars().count() > MAX_DESCRIPTION_CHARS || description.chars().any(char::is_control) {
        let detail = format!("must be at most {MAX_DESCRIPTION_CHARS} characters, without control characters");
        faults.push(Fault::new("/description", "invalid_description", detail));
    }
    if faults.is_empty() { Ok(ApiKey { id, tenant_id, roles, description, created_at: now }) } else { Err(faults) }
}

fn show(key: &ApiKey) -> Value {
    let mut shown = json!(key);
    shown["kind"] = if key.tenant_id.is_some() { "tenant" } else { "platform" }.into();
    shown
}
