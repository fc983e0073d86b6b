//! The console: the REST API as pages, for people.
//!
//! | file | does |
//! |---|---|
//! | `session` | who has signed in: their key, sealed, in a cookie |
//! | `seat` | what a page about a tenant works with |
//! | `caller` | asks the REST API from within the process |
//! | `form`, `origin` | what somebody typed; refuses what another site's page sends |
//! | `page`, `nouns`, `show`, `labels` | how pages answer; what they read of the API's answers; how they write times and the like |
//! | `routes` | the pages, a noun a file; their HTML is in `pages`, their style and script in `assets` |
//!
//! **Invariants**
//! - A page knows and does only what the REST API answers to the key of whoever looks at it. So roles, tenants, limits and the rule that
//!   secrets are shown once are the API's, and are written down once.
//! - What changes something is a POST from a page of this console, and the answer to it says what was done or why not.
//! - Nothing is loaded from elsewhere, and pages work without their script, which spares people a reload and asks before what cannot be undone.
//!
//! **To add** a page: a handler in `routes`, its HTML in `pages`, a line in [`pages`], a step in `tests/console.rs`.

mod assets;
mod caller;
mod form;
mod labels;
mod nouns;
mod origin;
mod page;
mod routes;
mod seat;
mod session;
mod show;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::response::Redirect;
use axum::routing::{get, post};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::{Api, Front};
use routes::{acts, attempts, dead_letters, deliveries, events, replays, sign_in, tenants, webhooks};

/// Where the console is.
pub const PATH: &str = "/console";

/// Bytes of a form at most. A form is read into memory before anybody has looked at it, so there is none for large events.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// What every page works with. Clones share it.
#[derive(Clone)]
struct Console {
    api: Api,
    /// The API's, without these pages.
    front: Front,
}

/// Every page.
pub fn pages(api: Api, front: Front) -> Router {
    let passage = ServiceBuilder::new()
        .layer(from_fn(page::pass))
        .layer(CatchPanicLayer::custom(page::panicked))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES));
    let pages = Router::new()
        .route("/", get(sign_in::start))
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route(assets::STYLE.path, get(assets::style))
        .route(assets::SCRIPT.path, get(assets::script))
        .route(assets::ICON.path, get(assets::icon))
        .route("/tenants", get(tenants::list))
        .route("/{tenant}", get(attempts::overview))
        .route("/{tenant}/webhooks", get(webhooks::list).post(webhooks::register))
        .route("/{tenant}/webhooks/new", get(webhooks::new_form))
        .route("/{tenant}/webhooks/{id}", get(webhooks::show).post(webhooks::change))
        .route("/{tenant}/webhooks/{id}/test", post(webhooks::test))
        .route("/{tenant}/webhooks/{id}/rotate", post(webhooks::rotate))
        .route("/{tenant}/events", get(events::list).post(events::send))
        .route("/{tenant}/events/new", get(events::form))
        .route("/{tenant}/events/{id}", get(events::show))
        .route("/{tenant}/deliveries", get(deliveries::list))
        .route("/{tenant}/deliveries/{id}", get(deliveries::show))
        .route("/{tenant}/dead-letters", get(dead_letters::list))
        .route("/{tenant}/replays", get(replays::list).post(replays::start))
        .route("/{tenant}/replays/{id}", get(replays::show))
        .route("/{tenant}/{noun}/{id}/{verb}", post(acts::act))
        .fallback(page::nothing)
        .method_not_allowed_fallback(page::no_page)
        .layer(passage)
        .with_state(Console { api, front });
    Router::new().nest(PATH, pages).route("/console/", get(|| async { Redirect::permanent(PATH) }))
}
