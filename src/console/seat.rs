//! A seat: what a page about one tenant works with.

use std::sync::Arc;

use askama::filters::Safe;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::Console;
use super::caller::Caller;
use super::page::{Detour, Links, nowhere};
use super::session::Session;
use super::{nouns, show};
use crate::domain::ids::TenantId;
use crate::domain::tenant::{Principal, Role};

/// Somebody who has signed in, before one tenant's things.
pub(super) struct Seat {
    pub(super) caller: Caller,
    tenant_id: TenantId,
    principal: Arc<Principal>,
    /// For people; only a platform key is told it.
    name: Option<String>,
    now: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Place {
    tenant: String,
}

impl FromRequestParts<Console> for Seat {
    type Rejection = Detour;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Detour> {
        let Path(place) = Path::<Place>::from_request_parts(parts, console).await.map_err(|_| nowhere())?;
        let tenant_id: TenantId = place.tenant.parse().map_err(|_| nowhere())?;
        let Session { caller, principal } = Session::from_request_parts(parts, console).await?;
        let name = match &*principal {
            Principal::Tenant { tenant, .. } if *tenant == tenant_id => None,
            Principal::Tenant { .. } => return Err(nowhere().into()),
            Principal::Platform { .. } => {
                let tenant: nouns::Tenant = caller.read(&format!("/v1/tenants/{tenant_id}")).await?;
                Some(tenant.name)
            }
        };
        let caller = caller.for_tenant(tenant_id);
        Ok(Self { caller, tenant_id, principal, name, now: console.api.clock.now() })
    }
}

impl Seat {
    /// What surrounds the content of a page.
    pub(super) fn frame(&self, tab: &'static str) -> Frame {
        Frame {
            links: Links::new(),
            tab,
            at: self.path(),
            tenant: self.name.clone().unwrap_or_else(|| self.tenant_id.to_string()),
            principal: Arc::clone(&self.principal),
            now: self.now,
        }
    }

    /// Where this tenant's pages are.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", super::PATH, self.tenant_id)
    }
}

/// What surrounds the content of a page.
pub(super) struct Frame {
    pub(super) links: Links,
    /// The part of the console that it belongs to.
    pub(super) tab: &'static str,
    /// What the tenant's pages' paths begin with.
    pub(super) at: String,
    /// The tenant's name, or its id where the name is not known.
    pub(super) tenant: String,
    principal: Arc<Principal>,
    now: DateTime<Utc>,
}

impl Frame {
    /// The parts of the console: the end of the path, and what it is called.
    pub(super) const TABS: [(&'static str, &'static str); 6] = [
        ("", "Overview"),
        ("/webhooks", "Webhooks"),
        ("/events", "Events"),
        ("/deliveries", "Deliveries"),
        ("/dead-letters", "Dead letters"),
        ("/replays", "Replays"),
    ];

    /// Whether whoever looks at it may change to other tenants.
    pub(super) fn is_platform(&self) -> bool {
        matches!(*self.principal, Principal::Platform { .. })
    }

    /// Whether they may register and change webhooks. The API would refuse it, but a button that is always refused is no use.
    pub(super) fn manages(&self) -> bool {
        self.principal.may(Role::Manager)
    }

    /// Whether they may report events.
    pub(super) fn produces(&self) -> bool {
        self.principal.may(Role::Producer)
    }

    /// Whether they may resend and give up deliveries.
    pub(super) fn operates(&self) -> bool {
        self.principal.may(Role::Operator)
    }

    /// Whether they may look at all: a key that only reports events may not.
    pub(super) fn looks(&self) -> bool {
        self.principal.may(Role::Viewer)
    }

    /// How long ago something was, or in how long it will be.
    pub(super) fn ago(&self, at: &DateTime<Utc>) -> String {
        show::ago(self.now, *at)
    }

    /// The same as an element, which says the time itself to those who point at it.
    pub(super) fn when(&self, at: &DateTime<Utc>) -> Safe<String> {
        let (machine, person, ago) = (show::time(at), show::clock(at), self.ago(at));
        Safe(format!(r#"<time datetime="{machine}" title="{person} UTC">{ago}</time>"#))
    }
}
