//! How a webhook fares.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::path::Id;
use crate::api::Api;
use crate::api::auth::{Authorized, Viewer};
use crate::api::problem::Problem;
use crate::api::query::NoQuery;
use crate::domain::health::quarter_of;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::webhook::State as Standing;

/// The time that attempts are counted over.
const WINDOW: Duration = Duration::from_hours(24);

/// Waiting deliveries that are counted at most.
const MAX_COUNTED: i64 = 10_000;

/// A webhook's health. Attempts are told by dispatchers every few seconds; what waits is looked at now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookHealth)]
pub(in crate::api) struct HealthView {
    webhook_id: WebhookId,
    state: Standing,
    /// Why Tidings disabled it.
    disabled_reason: Option<String>,
    /// Its receiver asked for quiet until then (`Retry-After`): nothing is attempted before, unless somebody deactivates and activates it.
    parked_until: Option<DateTime<Utc>>,
    /// Attempts are those since then: 24 hours, to the quarter of an hour.
    since: DateTime<Utc>,
    attempts: u32,
    successes: u32,
    /// From 0 to 1; `null` without attempts.
    #[schema(example = 0.998)]
    success_rate: Option<f64>,
    latency_ms: LatencyView,
    /// Failed attempts since the last success.
    consecutive_failures: i32,
    /// The first of them.
    failing_since: Option<DateTime<Utc>>,
    /// The oldest event that waits to be attempted; of a backlog beyond the limit, among those due for longest.
    oldest_undelivered: Option<OldestView>,
    backlog: BacklogView,
}

/// From the start of an attempt to the answer, or to the end of the time for it; attempts that reached nobody do not count.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LatencyMs)]
struct LatencyView {
    p50: Option<f64>,
    p95: Option<f64>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OldestUndelivered)]
struct OldestView {
    /// When its event was accepted.
    at: DateTime<Utc>,
    /// How long ago that is.
    seconds: i64,
}

/// Deliveries that wait for an attempt, now or later.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backlog)]
struct BacklogView {
    count: i64,
    /// There are as many or more; they are not counted further.
    at_least: bool,
}

/// Show a webhook's health
///
/// Attempts of the last 24 hours, and what waits now. Dispatchers tell what they saw every few seconds.
#[utoipa::path(get, path = "/v1/webhooks/{id}/health", tag = "webhooks", operation_id = "getWebhookHealth",
    security(("api_key" = ["viewer"])),
    responses((status = 200, description = "How it fares", body = HealthView)))]
pub(in crate::api) async fn health(
    viewer: Authorized<Viewer>,
    Id(id): Id<WebhookId>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Json<HealthView>, Problem> {
    let webhook = api.store.webhook(viewer.tenant_id, id).await?.ok_or_else(|| Problem::not_found("webhook"))?;
    let now = api.clock.now();
    let since = quarter_of(now - WINDOW);
    let found = api.store.health(viewer.tenant_id, id, since, MAX_COUNTED).await?;
    let traffic = found.traffic;
    let percentile = |share| traffic.latencies.percentile(share).map(|millis| (millis * 10.0).round() / 10.0);
    let oldest = found.oldest.map(DeliveryId::created_at);
    Ok(Json(HealthView {
        webhook_id: id,
        state: webhook.state,
        disabled_reason: webhook.disabled_reason,
        parked_until: found.parked_until.filter(|until| *until > now),
        since,
        attempts: traffic.attempts,
        successes: traffic.successes,
        success_rate: (traffic.attempts > 0).then(|| f64::from(traffic.successes) / f64::from(traffic.attempts)),
        latency_ms: LatencyView { p50: percentile(0.5), p95: percentile(0.95) },
        consecutive_failures: found.consecutive_failures,
        failing_since: found.failing_since,
        oldest_undelivered: oldest.map(|at| OldestView { at, seconds: (now - at).num_seconds().max(0) }),
        backlog: BacklogView { count: found.waiting, at_least: found.waiting >= MAX_COUNTED },
    }))
}
