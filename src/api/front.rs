//! The front: where requests come in, before the router.
//!
//! Nearly all of them report an event. The router would box each a dozen times on its way, which takes as long as storing it. So these go
//! to their handler without the router and its layers, and what the layers do is done here. The router has the same handler for the path.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use secrecy::ExposeSecret;
use tower::ServiceExt;

use super::Api;
use super::auth::{OfPage, TENANT_HEADER};
use super::entrance::{panicked, pass};
use super::leftover::guarded;
use super::problem::Problem;
use super::router::router;
use super::routes::events;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;

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

    /// With further pages, which are no part of the API.
    #[must_use]
    pub fn with_pages(self, pages: Router) -> Self {
        // Of two routers without a fallback of their own, the one that is merged in keeps its own: paths that nobody knows are the API's.
        Self { router: pages.merge(self.router), ..self }
    }

    /// Answers what a page asks with the key of whoever looks at it, as if it had come by the socket: JSON, or nothing. The key is not
    /// charged for it: [`Api::principal`] does that, once for a page.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        key: &Secret,
        tenant: Option<TenantId>,
        body: Bytes,
    ) -> Response {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .extension(OfPage)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", key.expose_secret()));
        if let Some(tenant) = tenant {
            request = request.header(TENANT_HEADER, tenant.to_string());
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        match request.body(Body::from(body)) {
            Ok(request) => self.answer(request).await,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, %path, "a request from within cannot be made");
                Problem::internal(error).into_response()
            }
        }
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
