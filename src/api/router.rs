//! The table of contents.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::Api;
use super::entrance::{entrance, panicked};
use super::routes::{api_keys, dead_letters, deliveries, dialects, events, health, scrape, tenants, webhooks};
use crate::actions::Context;

/// Bytes of a body, where the path has no limit of its own.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Every path of the API.
pub fn router(api: Api) -> Router {
    let event = DefaultBodyLimit::max(api.max_event_bytes());
    let batch = DefaultBodyLimit::max(events::MAX_BATCH_BYTES);
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(scrape::scrape))
        .route("/v1/tenants", post(tenants::create).get(tenants::list))
        .route("/v1/tenants/{id}", get(tenants::show).patch(tenants::change).delete(tenants::delete))
        .route("/v1/api-keys", post(api_keys::create).get(api_keys::list))
        .route("/v1/api-keys/{id}", delete(api_keys::delete))
        .route("/v1/dialects", get(dialects::list))
        .route("/v1/dialects/{name}", get(dialects::show_one))
        .route("/v1/webhooks", post(webhooks::create).get(webhooks::list))
        .route("/v1/webhooks/{id}", get(webhooks::show).patch(webhooks::change).delete(webhooks::delete))
        .route("/v1/webhooks/{id}/verify", post(webhooks::verify))
        .route("/v1/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/v1/webhooks/{id}/activate", post(webhooks::activate))
        .route("/v1/webhooks/{id}/deactivate", post(webhooks::deactivate))
        .route("/v1/webhooks/{id}/test", post(webhooks::test))
        .route("/v1/events", post(events::report).layer(event).get(events::list))
        .route("/v1/events/batch", post(events::report_batch).layer(batch))
        .route("/v1/events/{id}", get(events::show))
        .route("/v1/deliveries", get(deliveries::list))
        .route("/v1/deliveries/{id}", get(deliveries::show))
        .route("/v1/deliveries/{id}/attempts", get(deliveries::attempts))
        .route("/v1/deliveries/{id}/resend", post(deliveries::resend))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", get(dead_letters::show).delete(dead_letters::delete))
        .route("/v1/dead-letters/{id}/resend", post(dead_letters::resend))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(api.clone(), entrance))
        .with_state(api)
}

/// `/metrics` by itself, for a socket of its own.
pub fn metrics_router(context: Context) -> Router {
    Router::new().route("/metrics", get(scrape::scrape_alone)).with_state(context)
}
