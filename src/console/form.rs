//! What somebody typed.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use url::form_urlencoded;

use super::Console;
use super::caller::Refusal;
use super::page::Detour;

/// The members of a form. One that is missing is as if it had been left empty.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    /// What was typed into a member, without the white space around it.
    pub(super) fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }
}

impl FromRequest<Console> for Form {
    type Rejection = Detour;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Detour> {
        let media_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        if media_type.is_some_and(|it| !it.starts_with("application/x-www-form-urlencoded")) {
            let detail = "this takes what a form of a page sends";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "No form", detail).into());
        }
        let body = console.api.form(request).await.map_err(|problem| Refusal::from(&problem))?;
        Ok(Self(form_urlencoded::parse(&body).into_owned().collect()))
    }
}
