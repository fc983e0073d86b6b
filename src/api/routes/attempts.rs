//! `/v1/attempts`: the feed of what was just attempted, across a tenant's deliveries.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::filters;
use crate::api::Api;
use crate::api::auth::{Authorized, Viewer};
use crate::api::paging::{List, Paging, Position};
use crate::api::problem::Problem;
use crate::api::query::{Query, Reader};
use crate::domain::ids::{AttemptId, DeliveryId, EventId, WebhookId};
use crate::domain::outcome::Class;
use crate::store::history::feed::{FeedEntry, FeedFilter, FeedPlace};

/// The API's time as it answered. Whoever follows the feed asks `filter[from]` a little before it next time.
const AS_OF: &str = "tidings-as-of";

/// An attempt, without the request and the answer: `/v1/deliveries/{id}/attempts` has those.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptBrief)]
pub(in crate::api) struct FeedView {
    id: AttemptId,
    delivery_id: DeliveryId,
    event_id: EventId,
    /// The event's type; `null` where the event was purged.
    event: Option<String>,
    webhook_id: WebhookId,
    /// From 1.
    number: i16,
    started_at: DateTime<Utc>,
    duration_ms: f64,
    outcome: Class,
    /// What followed: `delivered`, `retry` or `dead`.
    #[schema(example = "retry")]
    verdict: String,
    /// The HTTP status, where an answer came.
    status: Option<i16>,
}

impl From<FeedEntry> for FeedView {
    fn from(entry: FeedEntry) -> Self {
        Self {
            id: AttemptId::of(entry.delivery_id, entry.number.cast_unsigned(), entry.started_at),
            delivery_id: entry.delivery_id,
            event_id: entry.delivery_id.event(),
            event: entry.event_type,
            webhook_id: entry.webhook_id,
            number: entry.number,
            started_at: entry.started_at,
            duration_ms: f64::from(entry.duration_us) / 1_000.0,
            outcome: entry.class,
            verdict: entry.verdict,
            status: entry.status,
        }
    }
}

impl Position for FeedPlace {
    fn to_number(self) -> u128 {
        Self::to_number(self)
    }

    fn from_number(number: u128) -> Self {
        Self::from_number(number)
    }
}

/// Which attempts to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`filter` reads them; this describes them")]
pub(in crate::api) struct Filters {
    /// Started at this time or later, as in RFC 3339; write `+` as `%2B`.
    #[param(rename = "filter[from]", example = "2026-03-21T14:24:11Z")]
    from: Option<DateTime<Utc>>,
    /// Started before this time.
    #[param(rename = "filter[to]", example = "2026-03-22T00:00:00Z")]
    to: Option<DateTime<Utc>>,
    /// To this webhook.
    #[param(rename = "filter[webhook_id]")]
    webhook_id: Option<WebhookId>,
    /// With this outcome; `failure` is any but `success`.
    #[param(rename = "filter[outcome]", example = "failure")]
    outcome: Option<String>,
    /// That took so many milliseconds or more.
    #[param(rename = "filter[slower_than_ms]", minimum = 0, maximum = 600_000)]
    slower_than_ms: Option<i32>,
}

/// List attempts
///
/// Across all deliveries, newest first, by the time they started. To follow them, ask again from a little before the time in
/// the header `tidings-as-of`, and drop what was there before: an attempt is listed once it is recorded, shortly after its end.
#[utoipa::path(get, path = "/v1/attempts", tag = "deliveries", operation_id = "listRecentAttempts",
    security(("api_key" = ["viewer"])), params(Paging, Filters),
    responses((status = 200, description = "A page of them", body = List<FeedView>,
        headers(("tidings-as-of" = String, description = "The API's time as it answered")))))]
pub(in crate::api) async fn list(
    viewer: Authorized<Viewer>,
    State(api): State<Api>,
    query: Query,
) -> Result<Response, Problem> {
    let tenant_id = viewer.tenant_id;
    let (page, filter) = query.read(|reader| Ok((reader.page::<FeedPlace>(tenant_id)?, filter(reader)?)))?;
    let now = api.clock.now();
    let filter = FeedFilter { after: page.after, ..filter };
    let entries = api.store.attempts_feed(tenant_id, &filter, now, page.limit()).await?;
    let mut response = page.answer(entries, FeedEntry::place, FeedView::from);
    let as_of = now.to_rfc3339_opts(SecondsFormat::Micros, true);
    response
        .headers_mut()
        .extend(HeaderValue::from_str(&as_of).ok().map(|as_of| (axum::http::HeaderName::from_static(AS_OF), as_of)));
    Ok(response)
}

fn filter(reader: &mut Reader<'_>) -> Result<FeedFilter, Problem> {
    let (from, to) = filters::times(reader)?;
    let classes = "`failure` or one of `success`, `http_status`, `timeout`, `connect`, `dns`, `tls`, `protocol`, `blocked_address`";
    let classes = reader.take("filter[outcome]", classes, |text| match text {
        "failure" => Some(Class::ALL.into_iter().filter(|class| *class != Class::Success).collect()),
        word => Class::parse(word).map(|class| vec![class]),
    })?;
    let slower_than = reader.take("filter[slower_than_ms]", "a number of milliseconds from 0 to 600000", |text| {
        text.parse().ok().filter(|ms| (0..=600_000).contains(ms))
    })?;
    Ok(FeedFilter {
        from,
        to,
        after: None,
        webhook_id: filters::webhook_id(reader)?,
        classes: classes.unwrap_or_else(|| Class::ALL.into()),
        slower_than_us: slower_than.unwrap_or(0) * 1_000,
    })
}
