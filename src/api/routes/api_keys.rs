//! `/v1/api-keys`: platform keys only.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::path::Id;
use crate::actions::{Fault, Member};
use crate::api::Api;
use crate::api::auth::Platform;
use crate::api::intake::Json;
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::domain::ids::{KeyId, TenantId};
use crate::domain::tenant::{ApiKey, Environment, Role};

const MAX_DESCRIPTION_CHARS: usize = 500;
const MAX_RATE: i64 = 100_000;
const MAX_BURST: i64 = 1_000_000;

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewApiKey)]
pub(in crate::api) struct Input {
    /// Whose it is; `null` makes a platform key.
    #[serde(default)]
    #[schema(value_type = Option<TenantId>, required)]
    tenant_id: Member<TenantId>,
    /// At least one; a platform key has none.
    #[serde(default)]
    #[schema(example = json!(["producer"]))]
    roles: Vec<Role>,
    /// For people.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500, example = "the billing service")]
    description: Member<String>,
    /// Requests a second in each process; as `server.requests_per_second` says where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 100_000)]
    requests_per_second: Member<i64>,
    /// Requests at once, out of rest; as many as a second brings where it is left out.
    #[serde(default)]
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 1_000_000)]
    burst: Member<i64>,
}

/// An API key; the key itself is shown once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(in crate::api) struct KeyView {
    #[serde(flatten)]
    #[schema(inline)]
    key: ApiKey,
    kind: Kind,
}

/// Whose an API key is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ApiKeyKind)]
enum Kind {
    /// One tenant's.
    Tenant,
    /// The platform's.
    Platform,
}

/// An API key with the key itself, shown once.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiKeyWithSecret)]
pub(in crate::api) struct NewKeyView {
    #[serde(flatten)]
    view: KeyView,
    /// What to send as `Authorization: Bearer …`. It is not shown again.
    #[schema(example = "tk_sandbox_5f0c…")]
    key: String,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self { kind: if key.tenant_id.is_some() { Kind::Tenant } else { Kind::Platform }, key }
    }
}

/// Make an API key
///
/// The key itself is in this answer and never shown again.
#[utoipa::path(post, path = "/v1/api-keys", tag = "API keys", operation_id = "createApiKey",
    security(("platform_key" = [])), request_body = Input,
    responses((status = 201, description = "Made", body = NewKeyView)))]
pub(in crate::api) async fn create(
    _: Platform,
    State(api): State<Api>,
    _: NoQuery,
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
    Ok((StatusCode::CREATED, Answer(NewKeyView { view: key.into(), key: text })).into_response())
}

/// Which keys to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`list` reads it; this describes it")]
pub(in crate::api) struct Filters {
    /// Of this tenant.
    #[param(rename = "filter[tenant_id]")]
    tenant_id: Option<TenantId>,
}

/// List API keys
#[utoipa::path(get, path = "/v1/api-keys", tag = "API keys", operation_id = "listApiKeys",
    security(("platform_key" = [])), params(Paging, Filters),
    responses((status = 200, description = "A page of them", body = List<KeyView>)))]
pub(in crate::api) async fn list(_: Platform, State(api): State<Api>, query: Query) -> Result<Response, Problem> {
    let (page, tenant_id) = query.read(|reader| {
        let tenant_id = reader.take("filter[tenant_id]", "a tenant's id, `ten_…`", |text| text.parse().ok())?;
        Ok((reader.page(None)?, tenant_id))
    })?;
    let keys = api.store.api_keys(tenant_id, page.after, page.limit()).await?;
    Ok(page.answer(keys, |key| key.id, KeyView::from))
}

/// Revoke an API key
///
/// Refused at once by the process that answered, and within a second by the others.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "API keys", operation_id = "deleteApiKey",
    security(("platform_key" = [])),
    responses((status = 204, description = "Revoked")))]
pub(in crate::api) async fn delete(
    _: Platform,
    Id(id): Id<KeyId>,
    State(api): State<Api>,
    _: NoQuery,
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
    let rate = rate(input.requests_per_second, input.burst, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    let (requests_per_second, burst) = rate.unzip();
    Ok(ApiKey { id, tenant_id, roles, description, requests_per_second, burst, created_at: now })
}

/// The rate and the burst, where there is a rate.
fn rate(per_second: Member<i64>, burst: Member<i64>, faults: &mut Vec<Fault>) -> Option<(i32, i32)> {
    let mut within = |member: Member<i64>, pointer: &str, most: i64| {
        let number = member.or_none(None)?;
        if !(1..=most).contains(&number) {
            faults.push(Fault::new(pointer, "out_of_range", format!("must be from 1 to {most}")));
        }
        i32::try_from(number).ok()
    };
    let per_second = within(per_second, "/requests_per_second", MAX_RATE);
    let burst = within(burst, "/burst", MAX_BURST);
    if per_second.is_none() && burst.is_some() {
        faults.push(Fault::new("/burst", "needs_a_rate", "means nothing without `requests_per_second`"));
    }
    per_second.map(|rate| (rate, burst.unwrap_or(rate)))
}
