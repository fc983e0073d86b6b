//! What is forgotten with the days, or after them.

use chrono::{DateTime, Utc};

use super::{BATCH, RetentionLock};
use crate::store::StoreError;

impl RetentionLock {
    /// Forgets idempotency keys that were used before a time. One that a producer has in an open transaction waits for the next time, as
    /// does whatever else somebody holds: nobody keeps the rest from being done.
    pub(super) async fn forget_keys(&mut self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let batch = sqlx::query!(
                "DELETE FROM tidings.idempotency_keys WHERE created_at <= $1 AND ctid = ANY (ARRAY(
                     SELECT ctid FROM tidings.idempotency_keys WHERE created_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED))",
                before,
                i64::from(BATCH),
            )
            .execute(&mut self.connection)
            .await?;
            forgotten += batch.rows_affected();
            if batch.rows_affected() == 0 {
                return Ok(forgotten);
            }
        }
    }

    /// Forgets what was said of events that are gone, secrets that sign no more and signed nothing that is left, and webhooks that were
    /// deleted of which nothing is left.
    pub(super) async fn forget_rest(&mut self, horizon: DateTime<Utc>) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let batch = sqlx::query_scalar!(
                r#"WITH cancelled AS (
                       DELETE FROM tidings.cancellations WHERE ctid = ANY (ARRAY(
                           SELECT old.place FROM tidings.tenants AS t CROSS JOIN LATERAL (
                               SELECT c.ctid AS place FROM tidings.cancellations AS c
                               WHERE c.tenant_id = t.id AND c.id < tidings.first_id_at($1) AND NOT EXISTS (
                                   SELECT FROM tidings.events AS e WHERE e.tenant_id = c.tenant_id AND e.id = tidings.event_of(c.id))
                               LIMIT $2 FOR UPDATE SKIP LOCKED
                           ) AS old LIMIT $2)) RETURNING 1
                   ), erased AS (
                       DELETE FROM tidings.erasures WHERE ctid = ANY (ARRAY(
                           SELECT x.ctid FROM tidings.erasures AS x
                           WHERE x.event_id < tidings.first_id_at($1) AND NOT EXISTS (
                               SELECT FROM tidings.events AS e WHERE e.tenant_id = x.tenant_id AND e.id = x.event_id)
                           LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING 1
                   ), expired AS (
                       DELETE FROM tidings.webhook_secrets WHERE ctid = ANY (ARRAY(
                           SELECT s.ctid FROM tidings.webhook_secrets AS s
                           WHERE s.valid_until <= $1 AND NOT EXISTS (
                               SELECT FROM tidings.attempts AS a
                               WHERE a.webhook_id = s.webhook_id AND a.delivery_id < tidings.first_id_at(s.valid_until + interval '1 second'))
                           LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING 1
                   ), webhooks AS (
                       DELETE FROM tidings.webhooks WHERE ctid = ANY (ARRAY(
                           SELECT w.ctid FROM tidings.webhooks AS w
                           WHERE w.deleted_at <= $1
                             AND NOT EXISTS (SELECT FROM tidings.outbox AS o WHERE o.tenant_id = w.tenant_id AND o.webhook_id = w.id)
                             AND NOT EXISTS (SELECT FROM tidings.attempts AS a WHERE a.webhook_id = w.id)
                             AND NOT EXISTS (SELECT FROM tidings.dead_letters AS d WHERE d.tenant_id = w.tenant_id AND d.webhook_id = w.id)
                             AND NOT EXISTS (SELECT FROM tidings.cancellations AS c WHERE c.tenant_id = w.tenant_id AND c.webhook_id = w.id)
                           LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING tenant_id, id
                   ), revisions AS (
                       DELETE FROM tidings.webhook_revisions AS r USING webhooks AS w
                       WHERE r.tenant_id = w.tenant_id AND r.webhook_id = w.id
                   )
                   SELECT (SELECT count(*) FROM cancelled) + (SELECT count(*) FROM erased) + (SELECT count(*) FROM expired)
                        + (SELECT count(*) FROM webhooks) AS "count!""#,
                horizon,
                i64::from(BATCH),
            )
            .fetch_one(&mut self.connection)
            .await?;
            forgotten += batch.unsigned_abs();
            if batch == 0 {
                return Ok(forgotten);
            }
        }
    }
}
