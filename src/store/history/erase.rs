//! Erasure: the data of an event is deleted, the fact stays.

use chrono::{DateTime, Utc};

use crate::domain::ids::{EventId, TenantId};
use crate::store::{Store, StoreError};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// When the data was deleted: at the first call.
    pub deleted_at: DateTime<Utc>,
    /// Deliveries that this call cancelled, pending or dead.
    pub cancelled: i64,
}

impl Store {
    /// Deletes the data of an event and cancels what is owed of it; `None` where the tenant has no such event.
    pub async fn erase(
        &self,
        tenant_id: TenantId,
        event_id: EventId,
        now: DateTime<Utc>,
    ) -> Result<Option<Erased>, StoreError> {
        let erased = sqlx::query_as!(
            Erased,
            r#"SELECT deleted_at AS "deleted_at!", cancelled AS "cancelled!" FROM tidings.erase($1, $2, $3)"#,
            tenant_id as TenantId,
            event_id as EventId,
            now,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(erased)
    }

    /// When the data of an event was deleted, if it was.
    pub async fn erased_at(&self, tenant_id: TenantId, event_id: EventId) -> Result<Option<DateTime<Utc>>, StoreError> {
        let at = sqlx::query_scalar!(
            "SELECT deleted_at FROM tidings.erasures WHERE tenant_id = $1 AND event_id = $2",
            tenant_id as TenantId,
            event_id as EventId,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(at)
    }

    /// Those of some events whose data was deleted, with when.
    pub async fn erased_among(
        &self,
        tenant_id: TenantId,
        events: &[EventId],
    ) -> Result<Vec<(EventId, DateTime<Utc>)>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT event_id AS "event_id: EventId", deleted_at FROM tidings.erasures
               WHERE tenant_id = $1 AND event_id = ANY ($2)"#,
            tenant_id as TenantId,
            events as _,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.event_id, row.deleted_at)).collect())
    }

    /// Whether every dispatcher that is alive has dropped what it held of an event whose data was deleted.
    pub async fn erasure_in_force(
        &self,
        tenant_id: TenantId,
        event_id: EventId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let waiting = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM tidings.dispatchers AS d, tidings.erasures AS x
                   WHERE x.tenant_id = $1 AND x.event_id = $2 AND d.lease_until > $3
                     AND NOT pg_visible_in_snapshot(x.changed, d.caught_up)
               ) AS "waiting!""#,
            tenant_id as TenantId,
            event_id as EventId,
            now,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(!waiting)
    }
}
