//! Housekeeping: what grows old.

use chrono::{DateTime, Utc};

use super::{Store, StoreError};

/// Days for which partitions are made ahead.
const DAYS_AHEAD: i32 = 8;

impl Store {
    /// Makes partitions for the days to come and drops idempotency keys older than 24 hours.
    pub async fn keep_house(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!("SELECT tidings.make_partitions($1, $2)::text", now.date_naive(), DAYS_AHEAD)
            .fetch_one(&self.pool)
            .await?;
        sqlx::query!(
            "DELETE FROM tidings.idempotency_keys WHERE created_at <= $1::timestamptz - interval '24 hours'",
            now
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
