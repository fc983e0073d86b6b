//! Partitions of the days to come, which must be there before they are needed.

use chrono::{DateTime, Utc};

use super::{Store, StoreError};

/// Days for which partitions are made ahead.
const DAYS_AHEAD: i32 = 8;

impl Store {
    /// Makes partitions for the days to come.
    pub async fn make_partitions(&self, now: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!("SELECT tidings.make_partitions($1, $2)::text", now.date_naive(), DAYS_AHEAD)
            .fetch_one(&self.pool)
            .await?;
        Ok(())
    }
}
