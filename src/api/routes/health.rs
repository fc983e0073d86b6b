//! Whether the process is alive, and whether it can work.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::api::problem::Problem;
use crate::api::{Api, kinds};
use crate::store::StoreError;

/// The process is alive.
pub(in crate::api) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The database answers and its schema is this version's.
pub(in crate::api) async fn readyz(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    match api.store.check_schema().await {
        Ok(()) => Ok(Json(json!({ "status": "ready" }))),
        Err(StoreError::Schema(_)) => Err(Problem::new(
            kinds::UNAVAILABLE,
            "the database's schema is older than this program: run `tidings migrate`",
        )),
        Err(error) => Err(error.into()),
    }
}
