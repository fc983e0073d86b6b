//! `/metrics`: for Prometheus to scrape.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::actions::Context;
use crate::actions::observe::observe;
use crate::api::problem::Problem;
use crate::api::{Api, kinds};

/// The version of the text format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics
///
/// For Prometheus to scrape. A 404 where the metrics have a socket of their own (`telemetry.metrics_listen`).
#[utoipa::path(get, path = "/metrics", tag = "process", operation_id = "scrapeMetrics",
    responses((status = 200, description = "Prometheus text", body = String, content_type = "text/plain"),
        (status = 404, description = "unknown_path")))]
pub(in crate::api) async fn scrape(State(api): State<Api>) -> Result<Response, Problem> {
    if api.telemetry.metrics_apart {
        return Err(Problem::new(
            kinds::UNKNOWN_PATH,
            "metrics are on the socket that `telemetry.metrics_listen` names",
        ));
    }
    Ok(scrape_alone(State((*api).clone())).await.into_response())
}

/// On a socket for metrics alone.
pub(in crate::api) async fn scrape_alone(State(context): State<Context>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT)], observe(&context).await)
}
