//! What somebody typed.

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::Deserialize;
use url::form_urlencoded;

use super::Console;
use super::caller::Refusal;
use super::page::Detour;

/// What somebody typed, by the names of its fields. One that is missing is as if it had been left empty.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Typed(BTreeMap<String, String>);

impl Typed {
    /// What was typed into a field, without the white space around it.
    pub(super) fn of(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// Those of these fields that something was typed into.
    pub(super) fn set<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        names.iter().map(|name| (*name, self.of(name))).filter(|(_, value)| !value.is_empty())
    }

    /// Whether something was typed into any of these fields.
    pub(super) fn is_set(&self, names: &[&str]) -> bool {
        self.set(names).next().is_some()
    }
}

impl FromIterator<(String, String)> for Typed {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// A form that was sent.
pub(super) struct Form(pub(super) Typed);

impl FromRequest<Console> for Form {
    type Rejection = Detour;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Detour> {
        let media_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
        if media_type.is_some_and(|it| !it.starts_with("application/x-www-form-urlencoded")) {
            let detail = "this takes what a form of a page sends";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "No form", detail).into());
        }
        let body = console.api.form(request).await.map_err(|problem| match problem.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(problem.title()),
            _ => Refusal::from(&problem),
        })?;
        // Browsers end the lines of a form so, whatever somebody typed.
        let typed = form_urlencoded::parse(&body).map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n")));
        Ok(Self(typed.collect()))
    }
}

fn too_large(title: &str) -> Refusal {
    let detail = format!(
        "a form may take {} KiB at most: go back, and send larger data by the command line (`tidings events send`)",
        super::MAX_FORM_BYTES / 1024
    );
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, title, detail)
}
