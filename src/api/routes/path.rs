//! Ids and names in paths.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::api::problem::Problem;
use crate::api::{Api, kinds};

/// The one id or name in a path.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Id<T>(pub(in crate::api) T);

impl<T: FromStr<Err: Display>> FromRequestParts<Api> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let invalid = |detail: String| Problem::new(kinds::INVALID_ID, detail);
        let Path(text) = Path::<String>::from_request_parts(parts, api)
            .await
            .map_err(|_| invalid("the path is not UTF-8 once percent-decoded".to_owned()))?;
        text.parse().map(Self).map_err(|error: T::Err| invalid(error.to_string()))
    }
}
