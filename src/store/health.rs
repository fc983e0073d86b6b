//! Health: how webhooks fare, added up from what dispatchers tell, and what follows from a stretch of failures.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::connections::Transaction;
use super::{Store, StoreError};
use crate::domain::health::{Streak, Traffic};
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};

/// What one process saw of a webhook since it last told.
#[derive(Debug)]
pub struct Pulse {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Its successes and failures in their order.
    pub streak: Streak,
    /// What was sent to it, by the quarter of an hour.
    pub traffic: Vec<(DateTime<Utc>, Traffic)>,
}

/// How a webhook fares.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// What was sent to it in the time asked for.
    pub traffic: Traffic,
    /// Failures since the last success.
    pub consecutive_failures: i32,
    /// The first of them.
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when its receiver asked for quiet, if it did.
    pub parked_until: Option<DateTime<Utc>>,
    /// Deliveries that wait for an attempt, those beyond the limit not counted.
    pub waiting: i64,
    /// The oldest of those counted.
    pub oldest: Option<DeliveryId>,
}

impl Store {
    /// Adds up what a process saw. Should the connection break while this is committed, it may be told, and count, twice.
    pub async fn note_pulses(&self, pulses: &[Pulse]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        add_traffic(&mut transaction, pulses).await?;
        add_streaks(&mut transaction, pulses).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Reports `webhook.failing` of each active webhook that only failed for this long, once for each stretch; says of how many.
    /// Whoever comes second finds them told.
    pub async fn report_failing(
        &self,
        lasted: Duration,
        disable_after: Option<Duration>,
        now: DateTime<Utc>,
    ) -> Result<i64, StoreError> {
        let told = sqlx::query_scalar!(
            r#"SELECT tidings.report_failing($1::double precision * interval '1 second',
                                             $2::double precision * interval '1 second', $3) AS "told!""#,
            lasted.as_secs_f64(),
            disable_after.map(|time| time.as_secs_f64()),
            now,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(told)
    }

    /// Disables each active webhook that only failed for this long, and returns them. `webhook.disabled` is reported by the database
    /// itself, in the same transaction. One that is changed at this moment stays: what failed may not be what it is now.
    pub async fn disable_failing(
        &self,
        lasted: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<(TenantId, WebhookId)>, StoreError> {
        let disabled = sqlx::query!(
            r#"UPDATE tidings.webhooks AS w SET
                   state = 'disabled', disabled_reason = 'every attempt has failed since ' || tidings.rfc3339(h.failing_since),
                   revision = w.revision + 1, updated_at = $2, changed = pg_current_xact_id()
               FROM tidings.webhook_health AS h
               JOIN tidings.webhooks AS seen ON seen.tenant_id = h.tenant_id AND seen.id = h.webhook_id
               WHERE h.failing_since IS NOT NULL
                 AND h.last_failure_at - h.failing_since >= $1::double precision * interval '1 second'
                 AND w.tenant_id = h.tenant_id AND w.id = h.webhook_id AND w.state = 'active' AND w.deleted_at IS NULL
                 AND w.revision = seen.revision
               RETURNING w.tenant_id AS "tenant_id: TenantId", w.id AS "id: WebhookId""#,
            lasted.as_secs_f64(),
            now,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(disabled.into_iter().map(|row| (row.tenant_id, row.id)).collect())
    }

    /// Deletes the traffic of quarters that began before a time.
    pub async fn forget_traffic(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query!("DELETE FROM tidings.webhook_traffic WHERE began_at < $1", before).execute(&self.pool).await?;
        Ok(())
    }

    /// How a webhook has fared since a time. Of what waits, at most `most` is looked at: those due for longest.
    pub async fn health(
        &self,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        since: DateTime<Utc>,
        most: i64,
    ) -> Result<Health, StoreError> {
        let quarters = sqlx::query!(
            "SELECT attempts, successes, latencies FROM tidings.webhook_traffic
             WHERE tenant_id = $1 AND webhook_id = $2 AND began_at >= $3",
            tenant_id as TenantId,
            webhook_id as WebhookId,
            since,
        )
        .fetch_all(&self.pool)
        .await?;
        let rest = sqlx::query!(
            r#"WITH waiting AS MATERIALIZED (
                   SELECT id FROM tidings.outbox
                   WHERE tenant_id = $1 AND webhook_id = $2 AND holder IS NULL ORDER BY due_at LIMIT $3
               )
               SELECT (SELECT count(*) FROM waiting) AS "waiting!",
                      (SELECT id FROM waiting ORDER BY id LIMIT 1) AS "oldest: DeliveryId",
                      (SELECT parked_until FROM tidings.webhooks WHERE tenant_id = $1 AND id = $2) AS parked_until,
                      h.consecutive_failures AS "failures?", h.failing_since AS "since?"
               FROM (SELECT) AS one
               LEFT JOIN tidings.webhook_health AS h ON h.tenant_id = $1 AND h.webhook_id = $2"#,
            tenant_id as TenantId,
            webhook_id as WebhookId,
            most,
        )
        .fetch_one(&self.pool)
        .await?;
        let mut traffic = Traffic::default();
        for quarter in quarters {
            traffic.attempts = traffic.attempts.saturating_add(quarter.attempts.unsigned_abs());
            traffic.successes = traffic.successes.saturating_add(quarter.successes.unsigned_abs());
            traffic.latencies.merge(&quarter.latencies);
        }
        Ok(Health {
            traffic,
            consecutive_failures: rest.failures.unwrap_or(0),
            failing_since: rest.since,
            parked_until: rest.parked_until,
            waiting: rest.waiting,
            oldest: rest.oldest,
        })
    }
}

async fn add_traffic(transaction: &mut Transaction, pulses: &[Pulse]) -> Result<(), StoreError> {
    let rows =
        || pulses.iter().flat_map(|pulse| pulse.traffic.iter().map(move |(began, traffic)| (pulse, began, traffic)));
    let tenants: Vec<_> = rows().map(|(pulse, ..)| pulse.tenant_id).collect();
    let webhooks: Vec<_> = rows().map(|(pulse, ..)| pulse.webhook_id).collect();
    let began: Vec<_> = rows().map(|(_, began, _)| *began).collect();
    let attempts: Vec<_> = rows().map(|(_, _, traffic)| traffic.attempts.cast_signed()).collect();
    let successes: Vec<_> = rows().map(|(_, _, traffic)| traffic.successes.cast_signed()).collect();
    // An array of arrays would have to be taken apart again.
    let latencies: Vec<_> = rows().map(|(_, _, traffic)| array_text(&traffic.latencies.counts())).collect();
    sqlx::query!(
        "INSERT INTO tidings.webhook_traffic AS t (tenant_id, webhook_id, began_at, attempts, successes, latencies)
         SELECT tenant_id, webhook_id, began_at, attempts, successes, latencies::integer[]
         FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::integer[], $5::integer[], $6::text[])
             AS told (tenant_id, webhook_id, began_at, attempts, successes, latencies)
         ORDER BY tenant_id, webhook_id, began_at
         ON CONFLICT (tenant_id, webhook_id, began_at) DO UPDATE SET
             attempts = t.attempts + excluded.attempts, successes = t.successes + excluded.successes,
             latencies = ARRAY(
                 SELECT coalesce(one.before, 0) + coalesce(one.more, 0)
                 FROM unnest(t.latencies, excluded.latencies) WITH ORDINALITY AS one (before, more, class) ORDER BY class)",
        &tenants as _,
        &webhooks as _,
        &began,
        &attempts,
        &successes,
        &latencies,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Puts stretches together by time: the last success of anybody ends both. Of a stretch that it falls into, only the last failure is
/// known to lie behind it.
async fn add_streaks(transaction: &mut Transaction, pulses: &[Pulse]) -> Result<(), StoreError> {
    let tenants: Vec<_> = pulses.iter().map(|pulse| pulse.tenant_id).collect();
    let webhooks: Vec<_> = pulses.iter().map(|pulse| pulse.webhook_id).collect();
    let successes: Vec<_> = pulses.iter().map(|pulse| pulse.streak.last_success_at).collect();
    let failures: Vec<_> = pulses.iter().map(|pulse| pulse.streak.last_failure_at).collect();
    let since: Vec<_> = pulses.iter().map(|pulse| pulse.streak.failing_since).collect();
    let counts: Vec<_> = pulses.iter().map(|pulse| pulse.streak.failures.cast_signed()).collect();
    sqlx::query!(
        "INSERT INTO tidings.webhook_health AS h
             (tenant_id, webhook_id, last_success_at, last_failure_at, failing_since, consecutive_failures)
         SELECT told.* FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::integer[])
             AS told (tenant_id, webhook_id, success, failure, since, failures)
         JOIN tidings.webhooks AS w ON w.tenant_id = told.tenant_id AND w.id = told.webhook_id AND w.deleted_at IS NULL
         ORDER BY told.tenant_id, told.webhook_id
         ON CONFLICT (tenant_id, webhook_id) DO UPDATE SET
             (last_success_at, last_failure_at, failing_since, consecutive_failures, told_failing_at) = (
                 SELECT success.at, greatest(h.last_failure_at, excluded.last_failure_at), min(part.since),
                        least(coalesce(sum(part.failures), 0), 2147483647),
                        -- What was told of a stretch that goes on was told.
                        CASE WHEN success.at IS NULL OR h.failing_since > success.at THEN h.told_failing_at END
                 FROM (SELECT greatest(h.last_success_at, excluded.last_success_at) AS at) AS success
                 LEFT JOIN LATERAL (
                     SELECT CASE WHEN success.at IS NULL OR one.since > success.at THEN one.since ELSE one.last END AS since,
                            CASE WHEN success.at IS NULL OR one.since > success.at THEN one.failures ELSE 1 END AS failures
                     FROM (VALUES (h.failing_since, h.last_failure_at, h.consecutive_failures),
                                  (excluded.failing_since, excluded.last_failure_at, excluded.consecutive_failures))
                         AS one (since, last, failures)
                     WHERE one.since IS NOT NULL AND (success.at IS NULL OR one.last > success.at)
                 ) AS part ON true
                 GROUP BY success.at)",
        &tenants as _,
        &webhooks as _,
        &successes as _,
        &failures as _,
        &since as _,
        &counts,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn array_text(counts: &[i32]) -> String {
    let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
    format!("{{{}}}", counts.join(","))
}
