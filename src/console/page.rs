//! How pages answer.

use std::any::Any;

use askama::Template;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::assets::{self, ICON, SCRIPT, STYLE};
use super::caller::Refusal;
use super::origin;
use super::routes::sign_in;

/// Only what is ours is loaded, and nobody shows these pages inside their own.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum Detour {
    /// Nobody has signed in, or not with a key that is still good.
    SignIn,
    /// The API refused what the page asked for.
    Refused(Refusal),
}

impl From<Refusal> for Detour {
    fn from(refusal: Refusal) -> Self {
        if refusal.problem.status == StatusCode::UNAUTHORIZED.as_u16() { Self::SignIn } else { Self::Refused(refusal) }
    }
}

impl IntoResponse for Detour {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn => Redirect::to(sign_in::PATH).into_response(),
            Self::Refused(refusal) => refusal.into_response(),
        }
    }
}

/// What links every page has.
pub(super) struct Links {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

impl Links {
    pub(super) fn new() -> Self {
        Self { style: assets::link(&STYLE), script: assets::link(&SCRIPT), icon: assets::link(&ICON) }
    }
}

#[derive(Template)]
#[template(path = "refused.html", config = ".askama.toml")]
struct Refused<'a> {
    links: Links,
    refusal: &'a Refusal,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), html(&Refused { links: Links::new(), refusal: &self })).into_response();
        response.headers_mut().extend(self.retry_after.map(|seconds| (RETRY_AFTER, seconds.into())));
        response
    }
}

/// A page as an answer.
pub(super) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => ([(CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a page of the console cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What every request passes, and what every answer tells browsers.
pub(super) async fn pass(request: Request, next: Next) -> Response {
    // Links to a page are passed on, so whoever has to sign in first comes back to it.
    let wanted = (request.method() == Method::GET).then(|| request.uri().clone());
    let mut response = if origin::is_ours(&request) {
        next.run(request).await
    } else {
        let detail = "this form was sent by a page of another site: open the console itself";
        Refusal::new(StatusCode::FORBIDDEN, "From another site", detail).into_response()
    };
    let headers = response.headers_mut();
    if let Some(wanted) = wanted
        && headers.get(LOCATION).is_some_and(|place| place == sign_in::PATH)
        && let Ok(place) = HeaderValue::try_from(sign_in::before(&wanted))
    {
        headers.insert(LOCATION, place);
    }
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Not `no-referrer`: a form would then not say which origin it comes from.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The answer to any path that is no page's.
pub(super) async fn nothing() -> Refusal {
    nowhere()
}

/// There is no such page.
pub(super) fn nowhere() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "Not found", "there is no such page")
}

/// It is the address of a button.
pub(super) async fn no_page() -> Refusal {
    let detail = "this address is a button's or a form's: open the console, and use that";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "No page", detail)
}

/// What a panic becomes; it is in the log already, as every one is.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let detail = "this is a defect of Tidings; its operator finds the cause in the log";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error", detail).into_response()
}
