//! Dispatchers: each process's own lease, what became of those that stopped renewing, and the news of changed webhooks.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::domain::clock::later;
use crate::domain::ids::{EventId, TenantId, WebhookId};
use crate::domain::lease::DispatcherId;
use crate::store::{Store, StoreError};

/// Deliveries that lapsed before become due over this time, one after the other: what a process held is sent again within five seconds of
/// its lease's end.
const TURNS: Duration = Duration::from_secs(3);

/// What a look has seen of the database; only compared there.
pub type Snapshot = String;

/// What is new since the last look.
#[derive(Debug)]
pub struct News {
    /// The database's clock.
    pub database_now: DateTime<Utc>,
    /// What this look has seen.
    pub snapshot: Snapshot,
    /// Webhooks that were changed, deleted or given other secrets since.
    pub changed: Vec<WebhookId>,
    /// Events whose data was deleted since.
    pub erased: Vec<EventId>,
}

impl Store {
    /// The database's clock.
    pub async fn database_now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#).fetch_one(&self.pool).await?)
    }

    /// Marks webhooks whose last change lies in the future as changed now, and returns how many; likewise whatever else is dated so. A row
    /// cannot have been written by a transaction that is yet to come, so these were restored from a dump of another server, which counts
    /// its own transactions: to every look they would be news, for ever.
    pub async fn date_restored(&self) -> Result<u64, StoreError> {
        let dated = sqlx::query!(
            "WITH dialects AS (
                 UPDATE tidings.dialects SET changed = pg_current_xact_id() WHERE changed >= pg_snapshot_xmax(pg_current_snapshot())
             ), erasures AS (
                 UPDATE tidings.erasures SET changed = pg_current_xact_id() WHERE changed >= pg_snapshot_xmax(pg_current_snapshot())
             ), catalogues AS (
                 UPDATE tidings.catalogues SET changed = pg_current_xact_id() WHERE changed >= pg_snapshot_xmax(pg_current_snapshot())
             )
             UPDATE tidings.webhooks SET changed = pg_current_xact_id() WHERE changed >= pg_snapshot_xmax(pg_current_snapshot())"
        )
        .execute(&self.pool)
        .await?;
        Ok(dated.rows_affected())
    }

    /// Enlists a process and gives it its first lease.
    pub async fn enlist(&self, now: DateTime<Utc>, lease: Duration) -> Result<DispatcherId, StoreError> {
        let id = sqlx::query_scalar!(
            "INSERT INTO tidings.dispatchers (lease_until) VALUES ($1) RETURNING id",
            later(now, lease),
        )
        .fetch_one(&self.watch)
        .await?;
        Ok(DispatcherId(id))
    }

    /// Renews a process's lease. `false` means that it ran out and others may have taken its deliveries; whether it did is asked of the
    /// database's clock, since a connection may have been waited for.
    pub async fn renew(&self, id: DispatcherId, now: DateTime<Utc>, lease: Duration) -> Result<bool, StoreError> {
        let renewed = sqlx::query!(
            "UPDATE tidings.dispatchers SET lease_until = $2 WHERE id = $1 AND lease_until > greatest($3, clock_timestamp())",
            id.0,
            later(now, lease),
            now,
        )
        .execute(&self.watch)
        .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// What changed since a snapshot. Without one: no webhooks, and the erasures of the time for which they are `remembered`.
    pub async fn news(&self, since: Option<&Snapshot>, remembered: Duration) -> Result<News, StoreError> {
        let row = sqlx::query!(
            r#"SELECT clock_timestamp() AS "now!", pg_current_snapshot()::text AS "snapshot!",
                      ARRAY(SELECT w.id FROM tidings.webhooks AS w
                            WHERE w.changed >= pg_snapshot_xmin($1::text::pg_snapshot)
                              AND NOT pg_visible_in_snapshot(w.changed, $1::text::pg_snapshot)) AS "changed!: Vec<WebhookId>",
                      ARRAY(SELECT x.event_id FROM tidings.erasures AS x
                            WHERE x.changed >= pg_snapshot_xmin($1::text::pg_snapshot)
                              AND NOT pg_visible_in_snapshot(x.changed, $1::text::pg_snapshot)
                            UNION ALL
                            SELECT x.event_id FROM tidings.erasures AS x
                            WHERE $1::text IS NULL AND x.deleted_at > clock_timestamp() - make_interval(secs => $2)
                      ) AS "erased!: Vec<EventId>""#,
            since,
            remembered.as_secs_f64(),
        )
        .fetch_one(&self.watch)
        .await?;
        Ok(News { database_now: row.now, snapshot: row.snapshot, changed: row.changed, erased: row.erased })
    }

    /// Says that every change in a snapshot is in force in this process.
    pub async fn caught_up(&self, ids: &[DispatcherId], snapshot: &Snapshot) -> Result<(), StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        sqlx::query!(
            "UPDATE tidings.dispatchers SET caught_up = $2::text::pg_snapshot WHERE id = ANY ($1)",
            &ids,
            snapshot
        )
        .execute(&self.watch)
        .await?;
        Ok(())
    }

    /// Whether every dispatcher that is alive has taken over the last change of each of these webhooks.
    pub async fn change_in_force(
        &self,
        tenant_id: TenantId,
        webhooks: &[WebhookId],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let waiting = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM tidings.dispatchers AS d, tidings.webhooks AS w
                   WHERE w.tenant_id = $3 AND w.id = ANY ($1) AND d.lease_until > $2 AND NOT pg_visible_in_snapshot(w.changed, d.caught_up)
               ) AS "waiting!""#,
            webhooks as _,
            now,
            tenant_id as TenantId,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(!waiting)
    }

    /// Frees the deliveries of dispatchers whose lease ran out, and of any that are no longer known; returns how many.
    ///
    /// Which dispatchers these are is read first: one that enlists meanwhile is among neither. One is forgotten only after a grace time, so
    /// that a statement of its own that was under way is seen too, and not while a delivery that somebody has locked still names it.
    pub async fn rescue(&self, now: DateTime<Utc>, grace: Duration) -> Result<u64, StoreError> {
        let gone = sqlx::query!(
            r#"SELECT id AS "id!", lease_until <= $2 AS "is_past_grace!" FROM tidings.dispatchers WHERE lease_until <= $1
               UNION
               SELECT o.holder, false FROM tidings.outbox AS o
               WHERE o.holder IS NOT NULL AND o.holder NOT IN (SELECT id FROM tidings.dispatchers)"#,
            now,
            now - grace,
        )
        .fetch_all(&self.pool)
        .await?;
        if gone.is_empty() {
            return Ok(0);
        }
        let ids: Vec<_> = gone.iter().map(|row| row.id).collect();
        let freed = self.free(&ids, now).await?;
        let past: Vec<_> = gone.iter().filter(|row| row.is_past_grace).map(|row| row.id).collect();
        if !past.is_empty() {
            sqlx::query!(
                "DELETE FROM tidings.dispatchers
                 WHERE id = ANY ($1) AND id NOT IN (SELECT o.holder FROM tidings.outbox AS o WHERE o.holder = ANY ($1))",
                &past,
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(freed)
    }

    /// Frees what is held under some numbers, except deliveries that another transaction has locked: nobody is waited for. Nobody knows
    /// which of them were sent, so each counts a lapse, and none an attempt. Those that had a lapse before are due one after the other, the
    /// fewer the further apart, those that lapsed most often last: if one of them kills each process that sends it, the others are not
    /// there every time. Among equals their order is another each time, lest the same two stay neighbours.
    async fn free(&self, holders: &[i32], now: DateTime<Utc>) -> Result<u64, StoreError> {
        let freed = sqlx::query!(
            "WITH held AS MATERIALIZED (
                 SELECT ctid AS place, lapses FROM tidings.outbox AS row WHERE row.holder = ANY ($1) FOR UPDATE SKIP LOCKED
             ), freed AS (
                 SELECT place, NULL AS turn FROM held WHERE lapses = 0
                 UNION ALL
                 SELECT place, (row_number() OVER (ORDER BY lapses, random()) - 1) * make_interval(secs => $3) / count(*) OVER ()
                 FROM held WHERE lapses > 0
             )
             UPDATE tidings.outbox AS o SET holder = NULL, attempts = o.attempts - 1, lapses = least(o.lapses + 1, 1000),
                 due_at = CASE WHEN turn IS NULL THEN o.due_at ELSE greatest(o.due_at, $2) + turn END
             FROM freed WHERE o.ctid = freed.place AND o.holder = ANY ($1)",
            holders,
            now,
            TURNS.as_secs_f64(),
        )
        // Planned anew each time: a plan that is kept may be from when the outbox was empty, and reads all of it for each row.
        .persistent(false)
        .execute(&self.pool)
        .await?;
        Ok(freed.rows_affected())
    }

    /// Whether any dispatcher's lease ran out, which is when [`Store::rescue`] is worth its cost.
    pub async fn any_lapsed(&self, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let lapsed = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM tidings.dispatchers WHERE lease_until <= $1) AS "lapsed!""#,
            now,
        )
        .fetch_one(&self.hot)
        .await?;
        Ok(lapsed)
    }

    /// Frees whatever is held under a number that is in doubt, and ends its lease. It stays on the list for the time that
    /// [`Store::rescue`] allows: the claim that put it in doubt may still be under way, and take effect after this.
    ///
    /// That counts lapses, too, although the process lives: one of these may have ended its worker by a defect, or have a result that
    /// cannot be recorded, and would do so for ever.
    pub async fn retire(&self, id: DispatcherId, now: DateTime<Utc>) -> Result<(), StoreError> {
        // First of all, so that no renewal comes between.
        sqlx::query!("UPDATE tidings.dispatchers SET lease_until = least(lease_until, $2) WHERE id = $1", id.0, now)
            .execute(&self.pool)
            .await?;
        self.free(&[id.0], now).await?;
        Ok(())
    }

    /// Frees whatever a process still holds and strikes it off the list. Where somebody has locked some of it, its lease ends, and
    /// [`Store::rescue`] does the rest.
    pub async fn discharge(&self, id: DispatcherId, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.retire(id, now).await?;
        sqlx::query!(
            "DELETE FROM tidings.dispatchers WHERE id = $1 AND NOT EXISTS (SELECT FROM tidings.outbox WHERE holder = $1)",
            id.0
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
