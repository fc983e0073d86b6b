//! The work on a replay: one page a transaction.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::around::{latest, make, resent, standings};
use super::page::{self, Place, span};
use super::rows::{Row, replays, write_skipped};
use crate::domain::delivery::{self, DeadReason};
use crate::domain::ids::{EventId, ReplayId, TenantId, WebhookId};
use crate::domain::replay::{Candidate, Pace, Plan, Replay, Siblings, SkipReason, Source, State};
use crate::failpoint::failpoint;
use crate::store::connections::{Session, Transaction};
use crate::store::history::resend::{hold_events, lock_resends_of, revive};
use crate::store::{Store, StoreError};

/// Rows that counting reads at a time.
const COUNT_PAGE: i64 = 20_000;
/// Rows that a page of resends reads, at least and at most.
const PAGE: (u64, u64) = (100, 1_000);

/// What came of working on a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// Nothing: somebody else works on it, or it does not run.
    NotNow,
    /// A page was done, and the next can be done at once.
    MoreAtOnce,
    /// A page was done, and the next may be when the rate allows it.
    Later,
    /// Nothing is left.
    Completed,
}

/// A replay whose row is locked.
struct Locked {
    replay: Replay,
    pace: Pace,
    count_below: Uuid,
    resend_below: Uuid,
    first: Uuid,
}

impl From<Row> for Locked {
    fn from(row: Row) -> Self {
        let pace = Pace { rate: row.rate_per_second.unsigned_abs(), open_at: row.open_at };
        let (count_below, resend_below) = (row.count_below, row.resend_below);
        let replay = Replay::from(row);
        let first = span(&replay.filter).first();
        Self { replay, pace, count_below, resend_below, first }
    }
}

impl Store {
    /// Counts and resends a page of a replay, if it runs and nobody else does.
    pub async fn work_on_replay(
        &self,
        tenant_id: TenantId,
        id: ReplayId,
        now: DateTime<Utc>,
    ) -> Result<Worked, StoreError> {
        let mut transaction = self.begin_work().await?;
        let Some(mut locked) = lock(&mut transaction, tenant_id, id).await? else { return Ok(Worked::NotNow) };
        locked.count(&mut transaction).await?;
        let worked = locked.resend(&mut transaction, now).await?;
        locked.save(&mut transaction, now).await?;
        failpoint!("replay.resent");
        transaction.commit().await?;
        failpoint!("replay.committed");
        Ok(worked)
    }

    /// Counts a page of a replay and resends nothing.
    pub async fn count_replay(&self, tenant_id: TenantId, id: ReplayId, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut transaction = self.begin_work().await?;
        if let Some(mut locked) = lock(&mut transaction, tenant_id, id).await? {
            locked.count(&mut transaction).await?;
            locked.save(&mut transaction, now).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// A transaction whose locks end with a process that stops without ending, and that waits for nobody for long. Its statements
    /// must not read a table whole because yesterday it was small.
    async fn begin_work(&self) -> Result<Transaction, StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            r#"SELECT set_config('idle_in_transaction_session_timeout', '5s', true) AS "idle!",
                      set_config('lock_timeout', '500ms', true) AS "lock!", set_config('enable_seqscan', 'off', true) AS "scan!""#
        )
        .fetch_one(&mut *transaction)
        .await?;
        Ok(transaction)
    }
}

/// Locks a replay that runs, unless somebody else works on it.
async fn lock(connection: &mut Session, tenant_id: TenantId, id: ReplayId) -> Result<Option<Locked>, StoreError> {
    let row = replays!(
        "WHERE tenant_id = $1 AND id = $2 AND state = 'running' FOR UPDATE SKIP LOCKED",
        tenant_id as TenantId,
        id as ReplayId
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Locked::from))
}

impl Locked {
    fn place(&self, first: Uuid, below: Uuid) -> Place<'_> {
        let Replay { tenant_id, source, filter, created_at, .. } = &self.replay;
        Place { tenant_id: *tenant_id, source: *source, filter, settled_by: *created_at, first, below }
    }

    async fn count(&mut self, connection: &mut Session) -> Result<(), StoreError> {
        if self.replay.progress.counted {
            return Ok(());
        }
        let page = page::count(&mut *connection, self.place(self.first, self.count_below), COUNT_PAGE).await?;
        self.count_below = page.below;
        self.replay.progress.total += page.found;
        self.replay.progress.counted = page.is_last;
        Ok(())
    }

    async fn resend(&mut self, connection: &mut Session, now: DateTime<Utc>) -> Result<Worked, StoreError> {
        let room = self.pace.room(now);
        // Only what is counted is resent, so that what is resent can never be more than all.
        let counted = self.replay.progress.counted;
        let first = if counted { self.first } else { self.count_below };
        let limit = i64::try_from(room.saturating_mul(2).clamp(PAGE.0, PAGE.1)).unwrap_or(i64::MAX);
        let mut page = page::candidates(&mut *connection, self.place(first, self.resend_below), limit).await?;
        let plan = self.plan(&mut *connection, &mut page.found, room).await?;
        let resent = self.carry_out(&mut *connection, &plan, now).await?;
        self.pace = self.pace.spend(resent, now);
        self.resend_below = match plan.stopped_at {
            Some(id) => Uuid::from_u128(id.as_u128() + 1),
            None => page.below,
        };
        if plan.stopped_at.is_some() {
            return Ok(Worked::Later);
        }
        if !(page.is_last && counted) {
            return Ok(Worked::MoreAtOnce);
        }
        self.replay.progress.close();
        self.replay.state = State::Completed;
        self.replay.finished_at = Some(now);
        Ok(Worked::Completed)
    }

    /// Decides about a page, when neither the webhooks nor the events' deliveries can change any more.
    async fn plan(&self, connection: &mut Session, page: &mut [Candidate], room: u64) -> Result<Plan, StoreError> {
        let tenant_id = self.replay.tenant_id;
        let ended = |one: &&Candidate| one.state != delivery::State::Dead;
        let events: BTreeSet<EventId> = page.iter().filter(ended).map(|one| one.id.event()).collect();
        let mut siblings = Siblings::default();
        if !events.is_empty() {
            let events: Vec<_> = events.into_iter().collect();
            lock_resends_of(&mut *connection, &events).await?;
            let held = hold_events(&mut *connection, tenant_id, &events).await?;
            for one in page.iter_mut().filter(|one| one.state != delivery::State::Dead) {
                one.has_event &= held.contains(&one.id.event());
            }
            siblings.latest = latest(&mut *connection, tenant_id, &events).await?;
            let ended: Vec<_> = page.iter().filter(ended).copied().collect();
            siblings.resent = resent(&mut *connection, tenant_id, &ended, self.replay.created_at).await?;
        }
        let webhooks: BTreeSet<WebhookId> = page.iter().map(|one| one.webhook_id).collect();
        let webhooks = standings(connection, tenant_id, &webhooks.into_iter().collect::<Vec<_>>()).await?;
        Ok(Plan::of(page, &webhooks, &siblings, room))
    }

    /// Does what was decided; returns how many were resent.
    async fn carry_out(
        &mut self,
        connection: &mut Session,
        plan: &Plan,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let tenant_id = self.replay.tenant_id;
        let mut resent = 0;
        if !plan.revive.is_empty() {
            let revived = revive(&mut *connection, tenant_id, &plan.revive, now).await?.len();
            // Somebody else resent or deleted the others since the page was read.
            self.replay.progress.skip(SkipReason::Gone, to_u64(plan.revive.len() - revived));
            resent += to_u64(revived);
        }
        if !plan.make.is_empty() {
            make(connection, tenant_id, &plan.make, now).await?;
            resent += to_u64(plan.make.len());
        }
        for (reason, count) in &plan.skipped {
            self.replay.progress.skip(*reason, *count);
        }
        self.replay.progress.resent += resent;
        Ok(resent)
    }

    async fn save(&self, connection: &mut Session, now: DateTime<Utc>) -> Result<(), StoreError> {
        let Replay { tenant_id, id, state, progress, finished_at, .. } = &self.replay;
        sqlx::query!(
            "UPDATE tidings.replays
             SET state = $3, count_below = $4, counted = $5, total = $6, resend_below = $7, resent = $8, skipped = $9, open_at = $10,
                 updated_at = $11, finished_at = $12
             WHERE tenant_id = $1 AND id = $2",
            *tenant_id as TenantId,
            *id as ReplayId,
            state.as_str(),
            self.count_below,
            progress.counted,
            progress.total.cast_signed(),
            self.resend_below,
            progress.resent.cast_signed(),
            write_skipped(&progress.skipped),
            self.pace.open_at,
            now,
            *finished_at,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

fn to_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
