//! Retention: what has outlived its time. How days are dropped is told in migration 0019; here are its steps.

mod forget;

use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::Executor;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::connections::Session;
use super::{Store, StoreError};
use crate::domain::event::KEY_LASTS;

/// Rows that a statement deletes at most, and events that it copies.
const BATCH: i32 = 1_000;
/// Days that are dropped together, so that their locks are taken in one go.
const DAYS_AT_ONCE: i32 = 8;
/// How long changing the partitions may take, waiting included: the hot path gives up after 500 ms.
const SWAP_TIMEOUT: &str = "SET LOCAL statement_timeout = '400ms'";
/// How long the rest waits for a row that somebody else holds.
const LOCK_TIMEOUT: &str = "1s";
/// Every join here looks few rows up in something large. Statistics say nothing of a table that was made a moment ago, and a plan
/// that reads a day's attempts for each event would take hours.
const PLANS: [(&str, &str); 4] =
    [("enable_seqscan", "off"), ("enable_mergejoin", "off"), ("enable_hashjoin", "off"), ("jit", "off")];

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tidied {
    /// Rounds in which days were dropped.
    pub rounds: u32,
    /// How long everybody was kept out of events and attempts by the longest round.
    pub longest_swap: Duration,
    /// Deliveries held for disabled webhooks that became dead letters.
    pub buried: u64,
    /// Dead letters of deleted webhooks that were cancelled.
    pub cancelled: u64,
    /// Idempotency keys, cancellations, deletions, secrets and webhooks that are forgotten.
    pub forgotten: u64,
}

/// One process's right to tidy up: nobody else has it as long as this exists.
#[derive(Debug)]
pub struct RetentionLock {
    /// Its own, so that the lock goes with it however the work ends.
    connection: Session,
}

/// How far a copying statement came: tenant and event.
type Place = (Uuid, Uuid);

impl Store {
    /// The right to tidy up; `None` while another process has it.
    pub async fn lock_retention(&self) -> Result<Option<RetentionLock>, StoreError> {
        let adapt = |options: PgConnectOptions| options.options([("lock_timeout", LOCK_TIMEOUT)]).options(PLANS);
        let mut connection = self.pool.apart(adapt).await?;
        let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock(hashtext('tidings.retention')) AS "locked!""#)
            .fetch_one(&mut connection)
            .await?;
        if locked {
            return Ok(Some(RetentionLock { connection }));
        }
        connection.close().await?;
        Ok(None)
    }
}

impl RetentionLock {
    /// Does all there is to do at `now`, where things are kept for this many days. What it has done stays done even if it then fails; the
    /// next run goes on from there.
    pub async fn tidy(&mut self, now: DateTime<Utc>, days: u32) -> Result<Tidied, StoreError> {
        let horizon = now.checked_sub_days(Days::new(days.into())).unwrap_or(DateTime::UNIX_EPOCH);
        let mut tidied = Tidied { forgotten: self.forget_keys(now - KEY_LASTS).await?, ..Tidied::default() };
        tidied.buried = self.bury_held(horizon, now).await?;
        tidied.cancelled = self.cancel_dead(horizon, now).await?;
        self.drop_gone(now).await?;
        while let Some(first_day) = self.next_round(horizon.date_naive()).await? {
            tidied.longest_swap = tidied.longest_swap.max(self.round(first_day, now).await?);
            tidied.rounds += 1;
        }
        tidied.forgotten += self.forget_rest(horizon).await?;
        Ok(tidied)
    }

    /// Gives it up.
    pub async fn release(self) -> Result<(), StoreError> {
        Ok(self.connection.close().await?)
    }

    /// Makes dead letters of what is held for disabled webhooks since before `horizon`.
    async fn bury_held(&mut self, horizon: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut buried = 0;
        loop {
            let batch = sqlx::query!(
                "WITH held AS MATERIALIZED (
                     SELECT o.place, w.disabled_reason FROM tidings.webhooks AS w CROSS JOIN LATERAL (
                         SELECT row.ctid AS place FROM tidings.outbox AS row
                         WHERE row.tenant_id = w.tenant_id AND row.id < tidings.first_id_at($1) AND row.webhook_id = w.id
                           AND row.holder IS NULL
                         LIMIT $3 FOR UPDATE SKIP LOCKED
                     ) AS o
                     WHERE w.state = 'disabled' AND w.deleted_at IS NULL LIMIT $3 FOR SHARE OF w SKIP LOCKED
                 ), given_up AS (
                     DELETE FROM tidings.outbox AS o USING held WHERE o.ctid = held.place RETURNING o.*, held.disabled_reason
                 )
                 INSERT INTO tidings.dead_letters (tenant_id, id, webhook_id, died_at, dialect_revision, reason, attempts, detail)
                 SELECT tenant_id, id, webhook_id, $2, dialect_revision, 'webhook_disabled', attempts,
                        'the webhook was disabled (' || disabled_reason || ') and stayed so until retention ended'
                 FROM given_up",
                horizon,
                now,
                i64::from(BATCH),
            )
            // Planned anew each time: a plan that is kept may be from when the outbox was empty, and reads all of it for each row.
            .persistent(false)
            .execute(&mut self.connection)
            .await?;
            buried += batch.rows_affected();
            if batch.rows_affected() == 0 {
                return Ok(buried);
            }
        }
    }

    /// Cancels dead letters from before `horizon` whose webhook was deleted before it: nobody can resend them, nor, where the tenant was
    /// deleted, reach them at all.
    async fn cancel_dead(&mut self, horizon: DateTime<Utc>, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut cancelled = 0;
        loop {
            let batch = sqlx::query!(
                "WITH gone AS (
                     DELETE FROM tidings.dead_letters WHERE ctid = ANY (ARRAY(
                         SELECT old.place FROM tidings.webhooks AS w CROSS JOIN LATERAL (
                             SELECT d.ctid AS place FROM tidings.dead_letters AS d
                             WHERE d.tenant_id = w.tenant_id AND d.webhook_id = w.id AND d.id < tidings.first_id_at($1)
                             LIMIT $3 FOR UPDATE SKIP LOCKED
                         ) AS old
                         WHERE w.deleted_at <= $1 LIMIT $3
                     ))
                     RETURNING *
                 )
                 INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
                 SELECT tenant_id, id, webhook_id, $2, dialect_revision, 'webhook_deleted', attempts FROM gone",
                horizon,
                now,
                i64::from(BATCH),
            )
            .execute(&mut self.connection)
            .await?;
            cancelled += batch.rows_affected();
            if batch.rows_affected() == 0 {
                return Ok(cancelled);
            }
        }
    }

    async fn next_round(&mut self, first_day: NaiveDate) -> Result<Option<NaiveDate>, StoreError> {
        let round = sqlx::query_scalar!("SELECT tidings.next_round($1, $2)", first_day, DAYS_AT_ONCE);
        Ok(round.fetch_one(&mut self.connection).await?)
    }

    /// Drops the days before `first_day`, except for what is still needed of them. Returns how long everybody was kept out.
    async fn round(&mut self, first_day: NaiveDate, now: DateTime<Utc>) -> Result<Duration, StoreError> {
        while sqlx::query_scalar!(r#"SELECT tidings.clear_rest($1, $2) AS "cleared!""#, first_day, BATCH)
            .fetch_one(&mut self.connection)
            .await?
            > 0
        {}
        let begun = sqlx::query_scalar!(r#"SELECT tidings.begin_round($1)::text AS "begun!""#, first_day)
            .fetch_one(&mut self.connection)
            .await?;
        let midnight = first_day.and_time(chrono::NaiveTime::MIN).and_utc();
        self.keep_events("events_next", "events", midnight).await?;
        self.keep_attempts("attempts_next", "attempts", "events_next").await?;
        let swapped = self.swap(first_day, &begun).await?;
        self.drop_gone(now).await?;
        Ok(swapped)
    }

    async fn swap(&mut self, first_day: NaiveDate, begun: &str) -> Result<Duration, StoreError> {
        self.connection.execute(sqlx::raw_sql("BEGIN")).await?;
        let swapped = self.swap_in_time(first_day, begun).await;
        let end = if swapped.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let asked = Instant::now();
        self.connection.execute(sqlx::raw_sql(end)).await?;
        Ok(swapped? + asked.elapsed())
    }

    async fn swap_in_time(&mut self, first_day: NaiveDate, begun: &str) -> Result<Duration, StoreError> {
        sqlx::query(SWAP_TIMEOUT).execute(&mut self.connection).await?;
        let asked = Instant::now();
        sqlx::query!(r#"SELECT tidings.swap_kept($1, $2::text::xid8)::text"#, first_day, begun)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(asked.elapsed())
    }

    /// Takes what is needed out of the detached tables, and drops them.
    async fn drop_gone(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        let (events, attempts) = (self.gone("events").await?, self.gone("attempts").await?);
        for table in &events {
            self.keep_events("events", table, now).await?;
        }
        for table in &attempts {
            self.keep_attempts("attempts", table, "events_kept").await?;
        }
        for table in events.iter().chain(&attempts) {
            let drop = sqlx::AssertSqlSafe(format!("DROP TABLE tidings.{table}"));
            sqlx::query(drop).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    async fn gone(&mut self, parent: &str) -> Result<Vec<String>, StoreError> {
        let tables = sqlx::query_scalar!(r#"SELECT tidings.gone_tables($1) AS "table!""#, parent);
        Ok(tables.fetch_all(&mut self.connection).await?)
    }

    async fn keep_events(&mut self, target: &str, source: &str, before: DateTime<Utc>) -> Result<(), StoreError> {
        let mut place: Place = (Uuid::nil(), Uuid::nil());
        while let Some(came) = sqlx::query!(
            r#"SELECT tenant_id AS "tenant!", id AS "id!"
               FROM tidings.keep_events($1, $2, tidings.first_id_at($3), $4, $5, $6)"#,
            target,
            source,
            before,
            place.0,
            place.1,
            BATCH,
        )
        .fetch_optional(&mut self.connection)
        .await?
        {
            place = (came.tenant, came.id);
        }
        Ok(())
    }

    async fn keep_attempts(&mut self, target: &str, source: &str, kept: &str) -> Result<(), StoreError> {
        let mut place: Place = (Uuid::nil(), Uuid::nil());
        while let Some(came) = sqlx::query!(
            r#"SELECT tenant_id AS "tenant!", id AS "id!" FROM tidings.keep_attempts($1, $2, $3, $4, $5, $6)"#,
            target,
            source,
            kept,
            place.0,
            place.1,
            BATCH,
        )
        .fetch_optional(&mut self.connection)
        .await?
        {
            place = (came.tenant, came.id);
        }
        Ok(())
    }
}
