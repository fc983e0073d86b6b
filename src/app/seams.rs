//! Stand-ins for rooms that are still being built; deleted when they are there.
use std::sync::Arc;

use axum::Router;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::dialect::Dialects;
use crate::domain::clock::Clock;
use crate::domain::secret::MasterKey;
use crate::net::Sender;
use crate::store::{Store, StoreError};
use crate::{config, dispatch};

#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) dialects: Arc<Dialects>,
    pub(super) master_key: MasterKey,
    pub(super) sender: Sender,
}

#[derive(Debug)]
pub(super) struct Dispatcher;

impl Dispatcher {
    #[expect(clippy::unused_async)]
    pub(super) async fn start(context: Context, _config: dispatch::Config) -> Result<Arc<Self>, StoreError> {
        drop(context);
        Ok(Arc::new(Self))
    }

    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        shutdown.cancelled().await;
    }
}

pub(super) fn router(
    context: &Context,
    _config: &config::Server,
    _target: Option<Arc<Dispatcher>>,
    _tasks: &TaskTracker,
) -> Router {
    let Context { store: _, clock: _, dialects: _, master_key: _, sender: _ } = context;
    Router::new().route("/healthz", axum::routing::get(|| async { "ok" }))
}
