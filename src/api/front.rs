//! The front: where requests come in, before the router.
//!
//! Nearly all of them report an event. The router would box each a dozen times on its way, which takes as long as storing it. So these go
//! to their handler without the router and its layers, and what the layers do is done here. The router has the same handler for the path.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::Method;
use axum::response::Response;
use futures_util::FutureExt;
use tower::ServiceExt;

use super::Api;
use super::entrance::{panicked, pass};
use super::leftover::guarded;
use super::router::router;
use super::routes::events;

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub struct Front {
    /// `None` where this is not the API.
    api: Option<Api>,
    router: Router,
}

impl Front {
    /// The API's.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { router: router(api.clone()), api: Some(api) }
    }

    /// Answers a request; whatever it is, with a response.
    pub async fn answer(&self, request: Request) -> Response {
        let request = guarded(request);
        match &self.api {
            Some(api) if request.method() == Method::POST && request.uri().path() == events::PATH => {
                report(api, request).await
            }
            _ => self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {}),
        }
    }
}

impl From<Router> for Front {
    fn from(router: Router) -> Self {
        Self { api: None, router }
    }
}

/// As the router would have it reported.
async fn report(api: &Api, mut request: Request) -> Response {
    DefaultBodyLimit::max(api.max_event_bytes()).apply(&mut request);
    let handle = |request| {
        let handled = AssertUnwindSafe(events::report.call(request, api.clone())).catch_unwind();
        handled.map(|done| done.unwrap_or_else(panicked))
    };
    pass(api, request, Some(events::PATH), handle).await
}
