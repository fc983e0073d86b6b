//! Replays: what an operator started, how far it is, and the work on it.
//!
//! **Invariants**
//! - A replay is worked on under a lock of its row, one short transaction a page: what a page resends and how far the replay is then
//!   are stored together or not at all.
//! - A page reads a bounded number of rows along an index, wherever in its set the replay is and however few of them match.
//! - The state is compared as it is changed, so a pause or a cancellation and the work on a page never overlap.

mod around;
mod page;
mod rows;
mod work;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use page::{ForecastPage, WebhookCounts};
pub use work::Worked;

use self::page::span;
use self::rows::{Row, replays};
use crate::domain::delivery::{self, DeadReason};
use crate::domain::ids::{EventId, ReplayId, TenantId, WebhookId};
use crate::domain::replay::{Filter, Replay, Source, State};
use crate::store::{Store, StoreError};

/// A replay that somebody could work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueReplay {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Its id.
    pub id: ReplayId,
}

/// What became of a new replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It is stored, and due at once.
    Stored,
    /// The tenant has so many unfinished ones already.
    TooMany,
    /// There is no such tenant (any more).
    NoTenant,
}

impl Store {
    /// Stores a new replay, where its tenant has fewer than so many unfinished ones.
    pub async fn insert_replay(&self, replay: &Replay, most: i64) -> Result<Started, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // New ones of a tenant wait for each other here, or each would count without the others; and for its deletion.
        let tenant = sqlx::query!(
            "SELECT FROM tidings.tenants WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE",
            replay.tenant_id as TenantId,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if tenant.is_none() {
            return Ok(Started::NoTenant);
        }
        let Filter { webhook_id, event_type, event_id, reason, state, from, to } = &replay.filter;
        let inserted = sqlx::query!(
            "INSERT INTO tidings.replays (tenant_id, id, source, webhook_id, event_type, event_id, reason, delivery_state,
                                          from_at, to_at, rate_per_second, state, count_below, resend_below, open_at,
                                          created_at, updated_at)
             SELECT $1, $2, $3, $4, $5, $6, $7::text::tidings.dead_reason, $8, $9, $10, $11, $12, $13, $13, $14, $14, $14
             WHERE (SELECT count(*) FROM tidings.replays WHERE tenant_id = $1 AND finished_at IS NULL) < $15",
            replay.tenant_id as TenantId,
            replay.id as ReplayId,
            replay.source.as_str(),
            *webhook_id as Option<WebhookId>,
            event_type.as_deref(),
            *event_id as Option<EventId>,
            reason.map(DeadReason::as_str),
            state.map(delivery::State::as_str),
            *from,
            *to,
            i32::try_from(replay.rate_per_second).unwrap_or(i32::MAX),
            replay.state.as_str(),
            span(&replay.filter).end() as Uuid,
            replay.created_at,
            most,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(if inserted.rows_affected() == 1 { Started::Stored } else { Started::TooMany })
    }

    /// One replay, where the tenant has it.
    pub async fn replay(&self, tenant_id: TenantId, id: ReplayId) -> Result<Option<Replay>, StoreError> {
        let row = replays!("WHERE tenant_id = $1 AND id = $2", tenant_id as TenantId, id as ReplayId)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(Replay::from))
    }

    /// A tenant's replays, newest first, at most `limit`.
    pub async fn list_replays(
        &self,
        tenant_id: TenantId,
        state: Option<State>,
        after: Option<ReplayId>,
        limit: i64,
    ) -> Result<Vec<Replay>, StoreError> {
        let rows = replays!(
            "WHERE tenant_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
            tenant_id as TenantId,
            state.map(State::as_str),
            after as Option<ReplayId>,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Replay::from).collect())
    }

    /// Moves a replay from one state to another, after whatever is being done on it. `false` where it does not stand so (any more).
    pub async fn move_replay(
        &self,
        tenant_id: TenantId,
        id: ReplayId,
        from: State,
        to: State,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let moved = sqlx::query!(
            "UPDATE tidings.replays SET state = $4, updated_at = $5, finished_at = CASE WHEN $6 THEN $5::timestamptz END
             WHERE tenant_id = $1 AND id = $2 AND state = $3",
            tenant_id as TenantId,
            id as ReplayId,
            from.as_str(),
            to.as_str(),
            now,
            to.is_final(),
        )
        .execute(&self.pool)
        .await?;
        Ok(moved.rows_affected() == 1)
    }

    /// Running replays that may resend something now, the one that waited longest first, and whether any runs at all.
    pub async fn due_replays(&self, now: DateTime<Utc>, limit: i64) -> Result<(Vec<DueReplay>, bool), StoreError> {
        let rows = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id: TenantId", id AS "id: ReplayId", open_at <= $1 AS "is_due!"
               FROM tidings.replays WHERE state = 'running' ORDER BY updated_at LIMIT $2"#,
            now,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let any = !rows.is_empty();
        let due = rows.into_iter().filter(|row| row.is_due);
        Ok((due.map(|row| DueReplay { tenant_id: row.tenant_id, id: row.id }).collect(), any))
    }

    /// Forgets replays that finished before a time: retention's, whose days count for replays as for what they resent.
    pub async fn purge_replays(&self, finished_before: DateTime<Utc>) -> Result<u64, StoreError> {
        let purged = sqlx::query!("DELETE FROM tidings.replays WHERE finished_at < $1", finished_before)
            .execute(&self.pool)
            .await?;
        Ok(purged.rows_affected())
    }
}

/// What a source's filter covers, as the pages ask for it.
fn covered(source: Source, filter: &Filter) -> [bool; 3] {
    [delivery::State::Dead, delivery::State::Delivered, delivery::State::Cancelled]
        .map(|state| filter.covers(source, state))
}
