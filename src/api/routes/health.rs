//! Whether the process is alive, and whether it can work.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::problem::Problem;
use crate::api::{Api, kinds};
use crate::store::StoreError;

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Health {
    /// `ok`, or `ready`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process is alive
#[utoipa::path(get, path = "/healthz", tag = "process", operation_id = "isAlive",
    responses((status = 200, description = "It is", body = Health)))]
pub(in crate::api) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the process can work
///
/// The database answers and its schema is this version's.
#[utoipa::path(get, path = "/readyz", tag = "process", operation_id = "isReady",
    responses((status = 200, description = "It can", body = Health), (status = 503, description = "unavailable")))]
pub(in crate::api) async fn readyz(State(api): State<Api>) -> Result<Json<Health>, Problem> {
    match api.store.check_schema().await {
        Ok(()) => Ok(Json(Health { status: "ready" })),
        Err(StoreError::Schema(_)) => Err(Problem::new(
            kinds::UNAVAILABLE,
            "the database's schema is older than this program: run `tidings migrate`",
        )),
        Err(error) => Err(error.into()),
    }
}
