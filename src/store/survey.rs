//! A survey: how much the database holds, for people who watch it.

use std::time::{Duration, Instant};

use super::connections::Pool;
use super::{Store, StoreError};
use crate::telemetry::meters::{self, Holdings};
use chrono::{DateTime, Utc};

impl Store {
    /// Counts what is there. A table of up to 8 MiB is counted, which takes milliseconds however much of it is dead; of a larger
    /// one Postgres' running estimate is taken, or the last analysis after a crash has reset that.
    pub async fn survey(&self, now: DateTime<Utc>) -> Result<Holdings, StoreError> {
        let row = sqlx::query!(
            r#"SELECT
                   CASE WHEN pg_relation_size('tidings.outbox') <= 8388608 THEN (SELECT count(*) FROM tidings.outbox)
                        ELSE coalesce(nullif(pg_stat_get_live_tuples('tidings.outbox'::regclass), 0),
                                      (SELECT reltuples::bigint FROM pg_class WHERE oid = 'tidings.outbox'::regclass))
                   END AS "backlog!",
                   CASE WHEN pg_relation_size('tidings.dead_letters') <= 8388608 THEN (SELECT count(*) FROM tidings.dead_letters)
                        ELSE coalesce(nullif(pg_stat_get_live_tuples('tidings.dead_letters'::regclass), 0),
                                      (SELECT reltuples::bigint FROM pg_class WHERE oid = 'tidings.dead_letters'::regclass))
                   END AS "dead_letters!",
                   (SELECT count(*) FROM tidings.dispatchers WHERE lease_until > $1) AS "dispatchers!",
                   webhooks.active AS "active!", webhooks.parked AS "parked!", webhooks.disabled AS "disabled!",
                   webhooks.inactive AS "inactive!", webhooks.unverified AS "unverified!"
               FROM (SELECT count(*) FILTER (WHERE state = 'active' AND coalesce(parked_until <= $1, true)) AS active,
                            count(*) FILTER (WHERE state = 'active' AND parked_until > $1) AS parked,
                            count(*) FILTER (WHERE state = 'disabled') AS disabled,
                            count(*) FILTER (WHERE state = 'inactive') AS inactive,
                            count(*) FILTER (WHERE state = 'pending_verification') AS unverified
                     FROM tidings.webhooks WHERE deleted_at IS NULL) AS webhooks"#,
            now,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Holdings {
            backlog: row.backlog,
            dead_letters: row.dead_letters,
            active: row.active,
            parked: row.parked,
            disabled: row.disabled,
            inactive: row.inactive,
            unverified: row.unverified,
            dispatchers: row.dispatchers,
        })
    }

    /// How the pools that are shared are used, and how long each takes to give a connection, up to `patience`.
    pub async fn pools(&self, patience: Duration) -> [meters::Pool; 2] {
        let (hot, general) = tokio::join!(pool("hot", &self.hot, patience), pool("general", &self.pool, patience));
        [hot, general]
    }
}

async fn pool(name: &'static str, pool: &Pool, patience: Duration) -> meters::Pool {
    let (most, open, idle) = pool.size();
    let begun = Instant::now();
    let acquired = tokio::time::timeout(patience, pool.acquire()).await;
    let acquired_in = matches!(acquired, Ok(Ok(_))).then(|| begun.elapsed());
    meters::Pool { name, open, idle, most, acquired_in }
}
