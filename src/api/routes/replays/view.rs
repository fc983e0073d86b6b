//! Replays as JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::actions::replays::{Forecast, Request, WebhookForecast};
use crate::domain::delivery::{DeadReason, State};
use crate::domain::ids::{EventId, ReplayId, WebhookId};
use crate::domain::replay::{self, Filter, Replay, Skipped, Source};

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub(in crate::api) struct ReplayView {
    id: ReplayId,
    source: Source,
    filter: FilterView,
    state: replay::State,
    #[schema(example = 100)]
    rate_per_second: u32,
    progress: ProgressView,
    /// Why deliveries were passed over, and how many.
    #[schema(value_type = BTreeMap<String, u64>, example = json!({"webhook_inactive": 3}))]
    skipped_reasons: BTreeMap<&'static str, u64>,
    /// `null` where it does not run, or is still counting.
    estimated_end_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// What narrows a replay, as it was given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayFilter)]
pub(super) struct FilterView {
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<WebhookId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DeadReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<DateTime<Utc>>,
}

/// How far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayProgress)]
struct ProgressView {
    /// Deliveries that match; where `counting`, as far as they are counted.
    total: u64,
    resent: u64,
    skipped: u64,
    remaining: u64,
    /// Whether there may be more than `total`.
    counting: bool,
}

impl ReplayView {
    pub(super) fn of(replay: Replay, now: DateTime<Utc>) -> Self {
        let progress = &replay.progress;
        Self {
            estimated_end_at: replay.estimated_end_at(now),
            progress: ProgressView {
                total: progress.total,
                resent: progress.resent,
                skipped: progress.skipped(),
                remaining: progress.remaining(),
                counting: !progress.counted,
            },
            skipped_reasons: reasons(&progress.skipped),
            id: replay.id,
            source: replay.source,
            filter: replay.filter.into(),
            state: replay.state,
            rate_per_second: replay.rate_per_second,
            created_at: replay.created_at,
            updated_at: replay.updated_at,
            finished_at: replay.finished_at,
        }
    }
}

impl From<Filter> for FilterView {
    fn from(filter: Filter) -> Self {
        let Filter { webhook_id, event_type, event_id, reason, state, from, to } = filter;
        Self { webhook_id, event: event_type, event_id, reason, state, from, to }
    }
}

fn reasons(skipped: &Skipped) -> BTreeMap<&'static str, u64> {
    skipped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
}

/// What a replay would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayForecast)]
pub(in crate::api) struct ForecastView {
    dry_run: bool,
    source: Source,
    filter: FilterView,
    #[schema(example = 100)]
    rate_per_second: u32,
    /// Deliveries that match.
    total: u64,
    would_resend: u64,
    would_skip: u64,
    #[schema(value_type = BTreeMap<String, u64>, example = json!({"webhook_inactive": 3}))]
    skipped_reasons: BTreeMap<&'static str, u64>,
    /// Where it is false, there is more than could be looked at in time.
    complete: bool,
    webhooks: Vec<WebhookForecastView>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReplayForecastOfWebhook)]
struct WebhookForecastView {
    webhook_id: WebhookId,
    total: u64,
    would_resend: u64,
    would_skip: u64,
    #[schema(value_type = BTreeMap<String, u64>, example = json!({"webhook_inactive": 3}))]
    skipped_reasons: BTreeMap<&'static str, u64>,
}

impl ForecastView {
    pub(super) fn of(request: Request, forecast: &Forecast) -> Self {
        let webhooks: Vec<_> = forecast.webhooks.iter().map(WebhookForecastView::from).collect();
        let mut skipped_reasons = BTreeMap::new();
        for (reason, count) in webhooks.iter().flat_map(|webhook| &webhook.skipped_reasons) {
            *skipped_reasons.entry(*reason).or_default() += count;
        }
        Self {
            dry_run: true,
            source: request.source,
            filter: request.filter.into(),
            rate_per_second: request.rate_per_second,
            total: webhooks.iter().map(|webhook| webhook.total).sum(),
            would_resend: webhooks.iter().map(|webhook| webhook.would_resend).sum(),
            would_skip: webhooks.iter().map(|webhook| webhook.would_skip).sum(),
            skipped_reasons,
            complete: forecast.complete,
            webhooks,
        }
    }
}

impl From<&WebhookForecast> for WebhookForecastView {
    fn from(forecast: &WebhookForecast) -> Self {
        let would_skip = forecast.skipped.values().sum();
        Self {
            webhook_id: forecast.webhook_id,
            total: forecast.total,
            would_resend: forecast.total.saturating_sub(would_skip),
            would_skip,
            skipped_reasons: reasons(&forecast.skipped),
        }
    }
}
