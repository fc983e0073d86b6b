//! The API's description, for programs and for people.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa_swagger_ui::{Config, serve};

use crate::api::Api;
use crate::api::kinds;
use crate::api::problem::Problem;

/// What the pages load, they load from here: they work without a network, and tell nobody who reads them.
const ONLY_FROM_HERE: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

static SWAGGER: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("/openapi.json").validator_url("none").display_operation_id(true);
    Arc::new(config.doc_expansion("none").use_base_layout())
});

/// Describe the API
///
/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "process", operation_id = "describeApi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(in crate::api) async fn openapi(State(api): State<Api>) -> Response {
    ([(CONTENT_TYPE, "application/json")], api.document()).into_response()
}

/// `/docs`: the description as pages.
pub(in crate::api) fn pages() -> Router<Api> {
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async || page("index.html")))
        .route("/docs/{file}", get(async |Path(file): Path<String>| page(&file)))
}

fn page(file: &str) -> Result<Response, Problem> {
    let found = serve(file, Arc::clone(&SWAGGER)).map_err(|error| Problem::internal(error.to_string()))?;
    let found = found.ok_or_else(|| Problem::new(kinds::UNKNOWN_PATH, "the pages begin at /docs/"))?;
    let headers = [(CONTENT_TYPE, found.content_type.as_str()), (CONTENT_SECURITY_POLICY, ONLY_FROM_HERE)];
    let encoding = found.gzpipped.then_some([(CONTENT_ENCODING, "gzip")]);
    let bytes = if file == "index.html" { titled(&found.bytes) } else { found.bytes.into_owned() };
    Ok((headers, encoding, bytes).into_response())
}

/// The page says what it is about, not what it was made with.
fn titled(page: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(page).replace("<title>Swagger UI</title>", "<title>Tidings API</title>").into_bytes()
}
