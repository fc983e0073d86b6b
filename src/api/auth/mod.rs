//! Who asks, for which tenant, and whether they may.
//!
//! A handler takes [`Authorized`] with the role it needs, or [`Platform`], before the body. There is no other way for it to
//! learn a tenant's id.

mod keyring;
mod memory;
mod rate;

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

use super::problem::Problem;
use super::{Api, kinds};
use crate::domain::ids::TenantId;
use crate::domain::tenant::{Principal, Role};

pub(super) use keyring::Keyring;

/// Names the tenant that a platform key acts for.
pub(super) const TENANT_HEADER: &str = "tidings-tenant";

/// Marks a request that a page makes. The page was charged to its key, as one request, however many it makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfPage;

/// Who sent a request.
async fn identify(parts: &Parts, api: &Api) -> Result<Arc<Principal>, Problem> {
    match parts.extensions.get::<OfPage>() {
        Some(OfPage) => api.keyring().recall(&parts.headers, &api.store).await,
        None => api.keyring().identify(&parts.headers, &api.store).await,
    }
}

/// A role that a route asks for, as a type.
pub trait Need: Send + Sync + 'static {
    /// The role.
    const ROLE: Role;
}

macro_rules! needs {
    ($($(#[$doc:meta])* $name:ident),+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Need for $name {
            const ROLE: Role = Role::$name;
        }
    )+};
}

needs!(
    /// The route registers or changes webhooks.
    Manager,
    /// The route reports events.
    Producer,
    /// The route resends or gives up deliveries.
    Operator,
    /// The route reads: managers, operators and viewers may, producers alone may not.
    Viewer
);

/// The key may do what `N` names, for this tenant.
#[derive(Debug, Clone, Copy)]
pub struct Authorized<N: Need> {
    /// The tenant that the request is about.
    pub tenant_id: TenantId,
    need: PhantomData<N>,
}

impl<N: Need> FromRequestParts<Api> for Authorized<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let principal = identify(parts, api).await?;
        let named = named_tenant(&parts.headers)?;
        let tenant_id = match (&*principal, named) {
            (Principal::Tenant { tenant, .. }, None) => *tenant,
            (Principal::Tenant { tenant, .. }, Some(named)) if *tenant == named => named,
            (Principal::Tenant { .. }, Some(_)) => {
                return Err(Problem::new(
                    kinds::OTHER_TENANT,
                    "leave the header `Tidings-Tenant` out, or use that tenant's key",
                ));
            }
            (Principal::Platform { .. }, Some(named)) => {
                api.keyring().check_tenant(named, &api.store).await?;
                named
            }
            (Principal::Platform { .. }, None) => {
                let detail = "a platform key names the tenant it acts for: send the header `Tidings-Tenant: ten_…`";
                return Err(Problem::new(kinds::INVALID_TENANT_HEADER, detail));
            }
        };
        check_role(&principal, N::ROLE)?;
        Ok(Self { tenant_id, need: PhantomData })
    }
}

/// The key is a platform key.
#[derive(Debug, Clone, Copy)]
pub struct Platform;

impl FromRequestParts<Api> for Platform {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match &*identify(parts, api).await? {
            Principal::Platform { .. } => Ok(Self),
            Principal::Tenant { .. } => Err(Problem::new(
                kinds::MISSING_ROLE,
                "this takes a platform key (`tk_platform_…`); yours is a tenant's",
            )),
        }
    }
}

/// The key is known, whoever's it is.
#[derive(Debug, Clone, Copy)]
pub struct Anyone;

impl FromRequestParts<Api> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        identify(parts, api).await.map(|_| Self)
    }
}

/// Whom a request is charged to that its handler has let in: the tenant that it is about; `None` where it is about none.
pub(super) async fn charged(headers: &HeaderMap, api: &Api) -> Result<Option<TenantId>, Problem> {
    match &*api.keyring().recall(headers, &api.store).await? {
        Principal::Tenant { tenant, .. } => Ok(Some(*tenant)),
        Principal::Platform { .. } => named_tenant(headers),
    }
}

fn named_tenant(headers: &HeaderMap) -> Result<Option<TenantId>, Problem> {
    let mut values = headers.get_all(TENANT_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    if id.is_none() || values.next().is_some() {
        let detail = "send `Tidings-Tenant` once, with a tenant's id: `ten_` and 26 lowercase characters";
        return Err(Problem::new(kinds::INVALID_TENANT_HEADER, detail));
    }
    Ok(id)
}

fn check_role(principal: &Principal, role: Role) -> Result<(), Problem> {
    if principal.may(role) {
        return Ok(());
    }
    Err(Problem::new(kinds::MISSING_ROLE, format!("this takes a key with the role `{}`", role.as_str())))
}
