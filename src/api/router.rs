//! The table of contents.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, get, on};
use pastey::paste;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::HttpMethod;
use utoipa::{OpenApi, Path};

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
    let paths = paths(api.max_event_bytes());
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

/// Makes of one list the paths of the API, and what describes them. A handler says its method and its path itself, in its
/// `#[utoipa::path]`. The description takes a MiB or two to make, and most processes are never asked for it.
macro_rules! contents {
    (|$max_event_bytes:ident| $($room:ident::$handler:ident $(($limit:expr))?,)+) => {
        /// Every path of the API.
        fn paths($max_event_bytes: usize) -> Router<Api> {
            Router::new()$(.route(
                &paste!($room::[<__path_ $handler>]::path()),
                on(filter(&paste!($room::[<__path_ $handler>]::methods())), $room::$handler)$(.layer(DefaultBodyLimit::max($limit)))?,
            ))+
        }

        /// What every path takes and answers.
        #[derive(OpenApi)]
        #[openapi(paths($($room::$handler),+))]
        pub(super) struct Description;
    };
}

contents! { |max_event_bytes|
    webhooks::create,
    webhooks::list,
    webhooks::show,
    webhooks::change,
    webhooks::delete,
    webhooks::verify,
    webhooks::rotate,
    webhooks::activate,
    webhooks::deactivate,
    webhooks::test,
    webhooks::health,
    events::report (max_event_bytes),
    events::list,
    events::report_batch (events::MAX_BATCH_BYTES),
    events::show,
    events::delete_data,
    event_types::list,
    event_types::show,
    event_types::describe,
    event_types::forget,
    deliveries::list,
    deliveries::show,
    deliveries::attempts,
    deliveries::resend,
    attempts::list,
    dead_letters::list,
    dead_letters::show,
    dead_letters::delete,
    dead_letters::resend,
    replays::start,
    replays::list,
    replays::show,
    replays::pause,
    replays::resume,
    replays::cancel,
    dialects::list,
    dialects::show_one,
    // for platform keys only
    tenants::create,
    tenants::list,
    tenants::show,
    tenants::change,
    tenants::delete,
    api_keys::create,
    api_keys::list,
    api_keys::delete,
    // without a key
    health::healthz,
    health::readyz,
    scrape::scrape,
    docs::openapi,
}

/// The methods of a handler, as axum names them.
fn filter(methods: &[HttpMethod]) -> MethodFilter {
    let each = methods.iter().map(|method| match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    });
    each.reduce(MethodFilter::or).unwrap_or(MethodFilter::GET)
}
