//! Pages: a replay's deliveries from the newest id to the oldest, a bounded number of rows at a time.
//!
//! A page first reads rows along an index and then looks which of them match, so that it costs the same where few do; how far it
//! read is told beside what it found. It ends between two events, so that all deliveries of an event are on one page.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::covered;
use crate::domain::delivery::{DeadReason, State};
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::replay::{Candidate, Filter, Source};
use crate::store::history::Span;
use crate::store::{Store, StoreError};

/// Where to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tenant_id: TenantId,
    pub(super) source: Source,
    pub(super) filter: &'a Filter,
    /// Only what had come to its end by then.
    pub(super) settled_by: DateTime<Utc>,
    /// Only ids from here…
    pub(super) first: Uuid,
    /// … to before here.
    pub(super) below: Uuid,
}

/// What was found, and how far it was looked for.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) found: T,
    /// Only ids below this one have not been looked at.
    pub(super) below: Uuid,
    /// Whether there are none.
    pub(super) is_last: bool,
}

/// What would be resent, and what would not.
#[derive(Debug, Default)]
pub struct ForecastPage {
    /// Webhook by webhook.
    pub webhooks: Vec<WebhookCounts>,
    /// Where to go on; `None` where this was all.
    pub below: Option<Uuid>,
}

/// What of it is owed to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookCounts {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Deliveries that match.
    pub total: u64,
    /// Those of them whose event, or its data, is gone.
    pub event_gone: u64,
    /// Those of them that an other delivery of the same event to the same webhook stands for.
    pub already_resent: u64,
}

/// The ids that a filter names.
pub(super) fn span(filter: &Filter) -> Span {
    let span = filter.from.map_or(Span::default(), |from| Span::default().from(from));
    let span = filter.to.map_or(span, |to| span.to(to));
    filter.event_id.map_or(span, |event| span.of_event(event))
}

/// Reads a page: `$tail` makes of its `kept` rows and its `edge` what is wanted. The webhook is part of the text rather than a
/// nullable parameter, so that each text keeps the plan that suits it.
macro_rules! page {
    ($row:ident, $tail:literal, $place:expr, $limit:expr, $executor:expr) => {
        match $place.filter.webhook_id {
            None => page!(@ $row, " ", $tail, $place, $limit,).fetch_all($executor).await?,
            Some(webhook_id) => {
                page!(@ $row, " AND webhook_id = $11 ", $tail, $place, $limit, webhook_id as WebhookId)
                    .fetch_all($executor)
                    .await?
            }
        }
    };
    (@ $row:ident, $only:literal, $tail:literal, $place:expr, $limit:expr, $($webhook:expr)?) => {{
        let [dead, delivered, cancelled] = covered($place.source, $place.filter);
        sqlx::query_as!(
            $row,
            r#"WITH page AS (
                   (SELECT id, webhook_id, 'dead' AS state, died_at AS settled_at, reason::text AS reason FROM tidings.dead_letters
                    WHERE $4::boolean AND tenant_id = $1 AND id >= $2 AND id < $3"#
                + $only
                + r#"ORDER BY id DESC LIMIT $7)
                   UNION ALL
                   (SELECT delivery_id, webhook_id, CASE verdict WHEN 'delivered' THEN 'delivered' END,
                           started_at + duration_us * interval '1 microsecond', NULL
                    FROM tidings.attempts
                    WHERE $5::boolean AND tenant_id = $1 AND delivery_id >= $2 AND delivery_id < $3"#
                + $only
                + r#"ORDER BY delivery_id DESC, number DESC LIMIT $7)
                   UNION ALL
                   (SELECT id, webhook_id, 'cancelled', cancelled_at, NULL FROM tidings.cancellations
                    WHERE $6::boolean AND tenant_id = $1 AND id >= $2 AND id < $3"#
                + $only
                + r#"ORDER BY id DESC LIMIT $7)
                   ORDER BY id DESC LIMIT $7
               ), bounds AS (
                   SELECT count(*) = $7 AS is_full, (SELECT id FROM page ORDER BY id LIMIT 1) AS lowest,
                          (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS highest
                   FROM page
               ), edge AS (
                   -- The last event of a full page may go on beyond it, so it is left for the next, unless it fills the page.
                   SELECT is_full, lowest, CASE WHEN is_full AND tidings.event_of(lowest) <> tidings.event_of(highest)
                                                THEN tidings.delivery_id(tidings.event_of(lowest), 1048575) END AS left_over
                   FROM bounds
               ), kept AS (
                   SELECT page.id, page.webhook_id, page.state,
                          EXISTS (SELECT FROM tidings.events AS e WHERE e.tenant_id = $1 AND e.id = tidings.event_of(page.id))
                              AND NOT EXISTS (SELECT FROM tidings.erasures AS x
                                              WHERE x.tenant_id = $1 AND x.event_id = tidings.event_of(page.id)) AS has_event
                   FROM page CROSS JOIN edge
                   WHERE page.state IS NOT NULL AND page.settled_at <= $8 AND ($9::text IS NULL OR page.reason = $9)
                     AND ($10::text IS NULL OR $10 = (SELECT e.type FROM tidings.events AS e
                                                      WHERE e.tenant_id = $1 AND e.id = tidings.event_of(page.id)))
                     AND (edge.left_over IS NULL OR page.id > edge.left_over)
               ) "#
                + $tail,
            $place.tenant_id as TenantId,
            $place.first,
            $place.below,
            dead,
            delivered,
            cancelled,
            $limit,
            $place.settled_by,
            $place.filter.reason.map(DeadReason::as_str),
            $place.filter.event_type.as_deref(),
            $($webhook)?
        )
    }};
}

/// How far a page read.
#[derive(Debug, Clone, Copy)]
struct Edge {
    is_full: bool,
    lowest: Option<Uuid>,
    left_over: Option<Uuid>,
}

impl Edge {
    /// `None` where nothing is left.
    fn below(self) -> Option<Uuid> {
        let left_over = self.left_over.map(|id| Uuid::from_u128(id.as_u128().saturating_add(1)));
        left_over.or(self.lowest).filter(|_| self.is_full)
    }

    fn page<T>(self, found: T, place: Place<'_>) -> Page<T> {
        let below = self.below();
        Page { found, below: below.unwrap_or(place.first), is_last: below.is_none() }
    }
}

struct CountRow {
    is_full: bool,
    lowest: Option<Uuid>,
    left_over: Option<Uuid>,
    found: i64,
}

/// How many match.
pub(super) async fn count(
    executor: impl PgExecutor<'_>,
    place: Place<'_>,
    limit: i64,
) -> Result<Page<u64>, StoreError> {
    let rows = page!(
        CountRow,
        r#"SELECT is_full AS "is_full!", lowest, left_over, (SELECT count(*) FROM kept) AS "found!" FROM edge"#,
        place,
        limit,
        executor
    );
    let row = rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
    let edge = Edge { is_full: row.is_full, lowest: row.lowest, left_over: row.left_over };
    Ok(edge.page(row.found.unsigned_abs(), place))
}

struct CandidateRow {
    is_full: bool,
    lowest: Option<Uuid>,
    left_over: Option<Uuid>,
    id: Option<DeliveryId>,
    webhook_id: Option<WebhookId>,
    state: Option<State>,
    has_event: Option<bool>,
}

/// What matches, newest first.
pub(super) async fn candidates(
    executor: impl PgExecutor<'_>,
    place: Place<'_>,
    limit: i64,
) -> Result<Page<Vec<Candidate>>, StoreError> {
    let rows = page!(
        CandidateRow,
        r#"SELECT is_full AS "is_full!", lowest, left_over, kept.id AS "id?: DeliveryId", kept.webhook_id AS "webhook_id?: WebhookId",
                  kept.state AS "state?: State", kept.has_event AS "has_event?"
           FROM edge LEFT JOIN kept ON true ORDER BY kept.id DESC"#,
        place,
        limit,
        executor
    );
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let edge = Edge { is_full: row.is_full, lowest: row.lowest, left_over: row.left_over };
    let found = rows.iter().filter_map(|row| {
        Some(Candidate { id: row.id?, webhook_id: row.webhook_id?, state: row.state?, has_event: row.has_event? })
    });
    Ok(edge.page(found.collect(), place))
}

struct ForecastRow {
    is_full: bool,
    lowest: Option<Uuid>,
    left_over: Option<Uuid>,
    webhook_id: Option<WebhookId>,
    total: i64,
    event_gone: i64,
    already_resent: i64,
}

impl Store {
    /// What a replay would do that is started now, as far as a page tells. `below` is where an earlier page ended.
    pub async fn forecast_replay(
        &self,
        tenant_id: TenantId,
        source: Source,
        filter: &Filter,
        now: DateTime<Utc>,
        below: Option<Uuid>,
        limit: i64,
    ) -> Result<ForecastPage, StoreError> {
        // One for each page: a forecast has many, and whoever comes meanwhile waits for none but the first.
        let _turn = self.search(tenant_id).await?;
        let span = span(filter);
        let below = below.unwrap_or(span.end());
        let place = Place { tenant_id, source, filter, settled_by: now, first: span.first(), below };
        let rows = page!(
            ForecastRow,
            r#", told AS (
                   SELECT *, state <> 'dead' AND (
                       row_number() OVER (PARTITION BY tidings.event_of(id), webhook_id ORDER BY id DESC) > 1
                       OR EXISTS (SELECT FROM tidings.outbox AS o
                                  WHERE o.tenant_id = $1 AND o.id > kept.id AND o.id <= tidings.delivery_id(tidings.event_of(kept.id), 1048575)
                                    AND o.webhook_id = kept.webhook_id)
                   ) AS is_resent
                   FROM kept
               )
               SELECT is_full AS "is_full!", lowest, left_over, webhook_id AS "webhook_id?: WebhookId", count(id) AS "total!",
                      count(*) FILTER (WHERE NOT has_event) AS "event_gone!",
                      count(*) FILTER (WHERE has_event AND is_resent) AS "already_resent!"
               FROM edge LEFT JOIN told ON true GROUP BY 1, 2, 3, 4"#,
            place,
            limit,
            &self.pool
        );
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let edge = Edge { is_full: row.is_full, lowest: row.lowest, left_over: row.left_over };
        let webhooks = rows.iter().filter_map(|row| {
            Some(WebhookCounts {
                webhook_id: row.webhook_id?,
                total: row.total.unsigned_abs(),
                event_gone: row.event_gone.unsigned_abs(),
                already_resent: row.already_resent.unsigned_abs(),
            })
        });
        Ok(ForecastPage { webhooks: webhooks.collect(), below: edge.below() })
    }
}
