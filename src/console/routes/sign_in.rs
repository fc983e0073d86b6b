//! Who looks: a key is asked for once, and kept in the session.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::filters::Filters;
use crate::console::form::Form;
use crate::console::page::{Detour, Links, html};
use crate::console::session::{self, Session};
use crate::console::{Console, PATH};
use crate::domain::secret::Secret;
use crate::domain::tenant::{Principal, Role};

/// Said where a browser comes back from signing in without its cookie.
const NOT_KEPT: &str = "Your browser did not keep the session. Over a network, the console needs HTTPS.";
const UNKNOWN: &str = "This key is unknown, or was revoked.";
const UNSEALED: &str = "The session cannot be sealed: see the master key in Tidings' configuration.";

#[derive(Template)]
#[template(path = "sign-in.html", config = ".askama.toml")]
struct SignInPage {
    links: Links,
    wrong: Option<&'static str>,
}

fn page(wrong: Option<&'static str>) -> Response {
    html(&SignInPage { links: Links::new(), wrong })
}

/// The first page of whoever has signed in.
pub(in crate::console) async fn start(Query(filters): Query<Filters>, session: Result<Session, Detour>) -> Response {
    match session {
        Ok(Session { principal, .. }) => match &*principal {
            Principal::Platform { .. } => Redirect::to("/console/tenants").into_response(),
            Principal::Tenant { tenant, .. } => {
                let first = if principal.may(Role::Viewer) { "" } else { "/events/new" };
                Redirect::to(&format!("{PATH}/{tenant}{first}")).into_response()
            }
        },
        Err(Detour::SignIn) if filters.of("signed_in") == "true" => page(Some(NOT_KEPT)),
        Err(detour) => detour.into_response(),
    }
}

pub(in crate::console) async fn show() -> Response {
    page(None)
}

pub(in crate::console) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    let key = Secret::from(form.of("key"));
    match Session::begin(&console, key.clone()).await {
        Ok(_) => {}
        Err(Detour::SignIn) => return (StatusCode::UNAUTHORIZED, page(Some(UNKNOWN))).into_response(),
        Err(detour) => return detour.into_response(),
    }
    match session::cookie(&console.api.master_keys, &key, console.api.clock.now(), &headers) {
        Ok(cookie) => ([(SET_COOKIE, cookie)], Redirect::to("/console?signed_in=true")).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, page(Some(UNSEALED))).into_response(),
    }
}

pub(in crate::console) async fn sign_out(headers: HeaderMap) -> Response {
    ([(SET_COOKIE, session::no_cookie(&headers))], Redirect::to("/console/sign-in")).into_response()
}
