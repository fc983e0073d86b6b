//! A stand-in for the API's router; deleted when that is there.

use std::sync::Arc;

use axum::Router;
use tokio_util::task::TaskTracker;

use crate::actions::Context;
use crate::actions::accept::Acceptor;
use crate::config;
use crate::dispatch::Dispatcher;

pub(super) fn router(
    context: &Context,
    _config: &config::Server,
    dispatcher: Option<Arc<Dispatcher>>,
    tasks: &TaskTracker,
) -> Router {
    let target = dispatcher.map(|dispatcher| Arc::new(dispatcher) as _);
    let _acceptor = Acceptor::start(context.store.clone(), context.clock.clone(), target, tasks);
    Router::new().route("/healthz", axum::routing::get(|| async { "ok" }))
}
