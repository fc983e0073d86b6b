//! Who looks: a key is asked for once, and kept in the session.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded::Serializer;

use super::filters::Filters;
use crate::console::form::{Form, Typed};
use crate::console::page::{Detour, Links, html};
use crate::console::session::{self, Session};
use crate::console::{self, Console};
use crate::domain::secret::Secret;
use crate::domain::tenant::{Principal, Role};

/// Where somebody signs in.
pub(in crate::console) const PATH: &str = "/console/sign-in";
/// The field with the page that comes after it: a path without the console's own, so it leads nowhere else.
const TO: &str = "to";

/// Said where a browser comes back from signing in without its cookie.
const NOT_KEPT: &str = "Your browser did not keep the session. Over a network, the console needs HTTPS.";
const UNKNOWN: &str = "This key is unknown, or was revoked.";
const UNSEALED: &str = "The session cannot be sealed: see the master key in Tidings' configuration.";

#[derive(Template)]
#[template(path = "sign-in.html", config = ".askama.toml")]
struct SignInPage<'a> {
    links: Links,
    wrong: Option<&'static str>,
    to: &'a str,
}

fn page(wrong: Option<&'static str>, typed: &Typed) -> Response {
    html(&SignInPage { links: Links::new(), wrong, to: wanted(typed).unwrap_or_default() })
}

/// The page that somebody wanted to see before they signed in.
fn wanted(typed: &Typed) -> Option<&str> {
    Some(typed.of(TO)).filter(|to| to.starts_with('/') && to.parse::<PathAndQuery>().is_ok())
}

/// A path, and in its query the page that somebody wanted to see.
fn path(path: &str, to: Option<&str>) -> String {
    let Some(to) = to else { return path.to_owned() };
    let sign = if path.contains('?') { '&' } else { '?' };
    Serializer::for_suffix(format!("{path}{sign}"), path.len() + 1).append_pair(TO, to).finish()
}

/// Where somebody signs in who wanted to see this page of the console.
pub(in crate::console) fn before(page: &Uri) -> String {
    let page = page.path_and_query().filter(|page| page.path() != "/").map(PathAndQuery::as_str);
    path(PATH, page)
}

/// The first page of whoever has signed in.
pub(in crate::console) async fn start(Query(filters): Query<Filters>, session: Result<Session, Detour>) -> Response {
    match (session, wanted(&filters)) {
        (Ok(_), Some(to)) => Redirect::to(&format!("{}{to}", console::PATH)).into_response(),
        (Ok(Session { principal, .. }), None) => match &*principal {
            Principal::Platform { .. } => Redirect::to("/console/tenants").into_response(),
            Principal::Tenant { tenant, .. } => {
                let first = if principal.may(Role::Viewer) { "" } else { "/events/new" };
                Redirect::to(&format!("{}/{tenant}{first}", console::PATH)).into_response()
            }
        },
        (Err(Detour::SignIn), _) if filters.of("signed_in") == "true" => page(Some(NOT_KEPT), &filters),
        (Err(detour), _) => detour.into_response(),
    }
}

pub(in crate::console) async fn show(Query(filters): Query<Filters>) -> Response {
    page(None, &filters)
}

pub(in crate::console) async fn sign_in(
    State(console): State<Console>,
    headers: HeaderMap,
    Form(form): Form,
) -> Response {
    let key = Secret::from(form.of("key"));
    match Session::begin(&console, key.clone()).await {
        Ok(_) => {}
        Err(Detour::SignIn) => return (StatusCode::UNAUTHORIZED, page(Some(UNKNOWN), &form)).into_response(),
        Err(detour) => return detour.into_response(),
    }
    match session::cookie(&console.api.master_keys, &key, console.api.clock.now(), &headers) {
        Ok(cookie) => {
            ([(SET_COOKIE, cookie)], Redirect::to(&path("/console?signed_in=true", wanted(&form)))).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, page(Some(UNSEALED), &form)).into_response(),
    }
}

pub(in crate::console) async fn sign_out(headers: HeaderMap) -> Response {
    ([(SET_COOKIE, session::no_cookie(&headers))], Redirect::to(PATH)).into_response()
}
