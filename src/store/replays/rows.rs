//! A replay as its row.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::delivery::{self, DeadReason};
use crate::domain::ids::{EventId, ReplayId, TenantId, WebhookId};
use crate::domain::replay::{Filter, Progress, Replay, SkipReason, Skipped, Source, State};

/// Reads rows; the literal is what follows `FROM`.
macro_rules! replays {
    ($tail:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Row,
            r#"SELECT tenant_id AS "tenant_id: TenantId", id AS "id: ReplayId", source AS "source: Source",
                      webhook_id AS "webhook_id: WebhookId", event_type, event_id AS "event_id: EventId",
                      reason AS "reason: DeadReason", delivery_state AS "delivery_state: delivery::State", from_at, to_at,
                      rate_per_second, state AS "state: State", count_below, counted, total, resend_below, resent, skipped,
                      open_at, created_at, updated_at, finished_at
               FROM tidings.replays "# + $tail,
            $($argument),+
        )
    };
}
pub(super) use replays;

#[derive(Debug)]
pub(super) struct Row {
    pub(super) tenant_id: TenantId,
    pub(super) id: ReplayId,
    pub(super) source: Source,
    pub(super) webhook_id: Option<WebhookId>,
    pub(super) event_type: Option<String>,
    pub(super) event_id: Option<EventId>,
    pub(super) reason: Option<DeadReason>,
    pub(super) delivery_state: Option<delivery::State>,
    pub(super) from_at: Option<DateTime<Utc>>,
    pub(super) to_at: Option<DateTime<Utc>>,
    pub(super) rate_per_second: i32,
    pub(super) state: State,
    pub(super) count_below: Uuid,
    pub(super) counted: bool,
    pub(super) total: i64,
    pub(super) resend_below: Uuid,
    pub(super) resent: i64,
    pub(super) skipped: Value,
    pub(super) open_at: DateTime<Utc>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) finished_at: Option<DateTime<Utc>>,
}

impl From<Row> for Replay {
    fn from(row: Row) -> Self {
        Self {
            tenant_id: row.tenant_id,
            id: row.id,
            source: row.source,
            filter: Filter {
                webhook_id: row.webhook_id,
                event_type: row.event_type,
                event_id: row.event_id,
                reason: row.reason,
                state: row.delivery_state,
                from: row.from_at,
                to: row.to_at,
            },
            state: row.state,
            rate_per_second: row.rate_per_second.unsigned_abs(),
            progress: Progress {
                total: row.total.unsigned_abs(),
                counted: row.counted,
                resent: row.resent.unsigned_abs(),
                skipped: read_skipped(&row.skipped),
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
            finished_at: row.finished_at,
        }
    }
}

fn read_skipped(stored: &Value) -> Skipped {
    let reasons = stored.as_object().into_iter().flatten();
    reasons.filter_map(|(word, count)| Some((SkipReason::parse(word)?, count.as_u64()?))).collect()
}

pub(super) fn write_skipped(skipped: &Skipped) -> Value {
    skipped.iter().map(|(reason, count)| (reason.as_str().to_owned(), Value::from(*count))).collect()
}
