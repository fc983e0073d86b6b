//! Cancelling what webhooks are still owed.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::domain::ids::{TenantId, WebhookId};
use crate::store::{Store, StoreError};

/// Why a backlog is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The webhook is gone; an attempt under way finds its lease gone too.
    WebhookDeleted,
    /// A person did not want it; what is under way ends by itself.
    BacklogSkipped,
}

impl Cause {
    const fn as_str(self) -> &'static str {
        match self {
            Self::WebhookDeleted => "webhook_deleted",
            Self::BacklogSkipped => "backlog_skipped",
        }
    }
}

/// Cancels the pending deliveries of webhooks, and says how many. A row that is being settled this moment is passed over, so
/// that a batch of results and this never wait for each other in a circle.
pub(super) async fn cancel(
    executor: impl PgExecutor<'_>,
    tenant_id: TenantId,
    webhook_ids: &[WebhookId],
    cause: Cause,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let cancelled = sqlx::query!(
        "WITH gone AS (
             DELETE FROM tidings.outbox WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM tidings.outbox
                 WHERE tenant_id = $1 AND webhook_id = ANY ($2) AND (holder IS NULL OR $3) FOR UPDATE SKIP LOCKED
             ))
             RETURNING *
         )
         INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
         SELECT tenant_id, id, webhook_id, $5, dialect_revision, $4::text::tidings.cancel_cause, attempts FROM gone",
        tenant_id as TenantId,
        webhook_ids as _,
        cause == Cause::WebhookDeleted,
        cause.as_str(),
        now,
    )
    // Planned anew each time: a plan that is kept may be from when the outbox was small, and compares each of its rows with each place.
    .persistent(false)
    .execute(executor)
    .await?;
    Ok(cancelled.rows_affected())
}

impl Store {
    /// Whether a dispatcher holds any of a webhook's deliveries.
    pub async fn is_held(&self, tenant_id: TenantId, webhook_id: WebhookId) -> Result<bool, StoreError> {
        let held = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM tidings.outbox WHERE tenant_id = $1 AND webhook_id = $2 AND holder IS NOT NULL
               ) AS "held!""#,
            tenant_id as TenantId,
            webhook_id as WebhookId,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(held)
    }

    /// Cancels what is still pending for deleted webhooks: an event that was being accepted, or an attempt that was being
    /// settled, while the webhook was deleted. Returns how many there were; of very many, the next call cancels the rest.
    pub async fn cancel_orphans(&self, now: DateTime<Utc>) -> Result<u64, StoreError> {
        let cancelled = sqlx::query!(
            "WITH gone AS (
                 DELETE FROM tidings.outbox WHERE ctid = ANY (ARRAY(
                     SELECT left_over.place FROM tidings.webhooks AS w CROSS JOIN LATERAL (
                         SELECT o.ctid AS place FROM tidings.outbox AS o
                         WHERE o.tenant_id = w.tenant_id AND o.webhook_id = w.id AND o.holder IS NULL
                         LIMIT 10000 FOR UPDATE SKIP LOCKED
                     ) AS left_over
                     WHERE w.deleted_at IS NOT NULL LIMIT 10000
                 ))
                 RETURNING *
             )
             INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
             SELECT tenant_id, id, webhook_id, $1, dialect_revision, 'webhook_deleted', attempts FROM gone",
            now,
        )
        .execute(&self.hot)
        .await?;
        Ok(cancelled.rows_affected())
    }
}
