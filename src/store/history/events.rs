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

impl Store {
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
