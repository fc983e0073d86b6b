//! Events, read back.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::Span;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};
use crate::store::{Store, StoreError};

/// An event as a list shows it: without its data, which may be large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSummary {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub event_type: String,
    /// When it happened, where its reporter said so.
    pub occurred_at: Option<DateTime<Utc>>,
}

/// A type with fewer events than this is rare: then its events are the short way to its deliveries.
const RARE: i64 = 1_000;

impl Store {
    /// Whether few events of this type are in a span.
    pub(super) async fn is_rare(&self, tenant_id: TenantId, span: Span, event_type: &str) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            r#"SELECT count(*) AS "found!" FROM (
                   SELECT FROM tidings.events WHERE tenant_id = $1 AND type = $2 AND id >= tidings.event_of($3) AND id < $4 LIMIT $5
               ) AS first_few"#,
            tenant_id as TenantId,
            event_type,
            span.first(),
            span.end(),
            RARE,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found < RARE)
    }

    /// A tenant's events, newest first, at most `limit`; of one type, where one is given.
    pub async fn list_events(
        &self,
        tenant_id: TenantId,
        span: Span,
        event_type: Option<&str>,
        limit: i64,
    ) -> Result<Vec<EventSummary>, StoreError> {
        // Two texts, so that each keeps the plan that suits it.
        let Some(event_type) = event_type else {
            let events = sqlx::query_as!(
                EventSummary,
                r#"SELECT id AS "id: EventId", type AS event_type, occurred_at FROM tidings.events
                   WHERE tenant_id = $1 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4"#,
                tenant_id as TenantId,
                span.first(),
                span.end(),
                limit,
            );
            return Ok(events.fetch_all(&self.pool).await?);
        };
        let _turn = self.search(tenant_id).await?;
        let events = sqlx::query_as!(
            EventSummary,
            r#"SELECT id AS "id: EventId", type AS event_type, occurred_at FROM tidings.events
               WHERE tenant_id = $1 AND type = $5 AND id >= $2 AND id < $3 ORDER BY id DESC LIMIT $4"#,
            tenant_id as TenantId,
            span.first(),
            span.end(),
            limit,
            event_type,
        );
        Ok(events.fetch_all(&self.pool).await?)
    }

    /// One event, where the tenant has it.
    pub async fn event(&self, tenant_id: TenantId, id: EventId) -> Result<Option<Event>, StoreError> {
        let row = sqlx::query!(
            "SELECT type AS event_type, occurred_at, data FROM tidings.events WHERE tenant_id = $1 AND id = $2",
            tenant_id as TenantId,
            id as EventId,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| Event {
            tenant_id,
            id,
            event_type: row.event_type,
            occurred_at: row.occurred_at,
            data: Bytes::from(row.data),
        }))
    }
}
