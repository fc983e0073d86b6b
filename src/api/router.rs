//! The table of contents.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use super::Api;
use super::entrance::{entrance, panicked};
use super::routes::{
    api_keys, attempts, dead_letters, deliveries, dialects, docs, event_types, events, health, replays, scrape,
    tenants, webhooks,
};
use crate::actions::Context;

/// Bytes of a body, where the path has no limit of its own.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// Every path of the API, with what happens on the way to it.
pub(super) fn router(api: Api) -> Router {
    let (paths, _) = routes(api.max_event_bytes()).split_for_parts();
    // As one layer, since the router boxes each that it is given, for every request. An event that is reported alone does not come by
    // here: `front` has the same for it.
    let passage = ServiceBuilder::new()
        .layer(from_fn_with_state(api.clone(), entrance))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    paths.merge(docs::pages()).layer(passage).with_state(api)
}

/// `/metrics` by itself, for a socket of its own.
pub fn metrics_router(context: Context) -> Router {
    Router::new().route("/metrics", get(scrape::scrape_alone)).with_state(context)
}

/// Every path of the API, with its description. A handler says its path itself.
pub(super) fn routes(max_event_bytes: usize) -> OpenApiRouter<Api> {
    let event = DefaultBodyLimit::max(max_event_bytes);
    let batch = DefaultBodyLimit::max(events::MAX_BATCH_BYTES);
    OpenApiRouter::new()
        // /v1/webhooks
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::show, webhooks::change, webhooks::delete))
        .routes(routes!(webhooks::verify))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::activate))
        .routes(routes!(webhooks::deactivate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::health))
        // /v1/events
        .routes(routes!(events::report).layer(event))
        .routes(routes!(events::list))
        .routes(routes!(events::report_batch).layer(batch))
        .routes(routes!(events::show))
        .routes(routes!(events::delete_data))
        // /v1/event-types
        .routes(routes!(event_types::list))
        .routes(routes!(event_types::show, event_types::describe, event_types::forget))
        // /v1/deliveries
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::show))
        .routes(routes!(deliveries::attempts))
        .routes(routes!(deliveries::resend))
        .routes(routes!(attempts::list))
        // /v1/dead-letters
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::show, dead_letters::delete))
        .routes(routes!(dead_letters::resend))
        // /v1/replays
        .routes(routes!(replays::start, replays::list))
        .routes(routes!(replays::show))
        .routes(routes!(replays::pause))
        .routes(routes!(replays::resume))
        .routes(routes!(replays::cancel))
        // /v1/dialects
        .routes(routes!(dialects::list))
        .routes(routes!(dialects::show_one))
        // /v1/tenants, /v1/api-keys: platform keys only
        .routes(routes!(tenants::create, tenants::list))
        .routes(routes!(tenants::show, tenants::change, tenants::delete))
        .routes(routes!(api_keys::create, api_keys::list))
        .routes(routes!(api_keys::delete))
        // without a key
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(scrape::scrape))
        .routes(routes!(docs::openapi))
}
