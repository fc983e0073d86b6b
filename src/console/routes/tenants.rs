//! Tenants, for platform keys.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;

use super::filters::Filters;
use crate::console::nouns::{List, Tenant};
use crate::console::page::{Detour, Links, html};
use crate::console::session::Session;
use crate::console::show;

/// Tenants are listed as they are.
const FILTERS: &[&str] = &[];

#[derive(Template)]
#[template(path = "tenants.html", config = ".askama.toml")]
struct TenantsPage {
    links: Links,
    tenants: List<Tenant>,
    filters: Filters,
}

pub(in crate::console) async fn list(session: Session, Query(filters): Query<Filters>) -> Result<Response, Detour> {
    let tenants = session.caller.read(&filters.path("/v1/tenants", FILTERS)).await?;
    Ok(html(&TenantsPage { links: Links::new(), tenants, filters }))
}
