//! Deleting webhooks: nothing more is owed to them, and their secrets are forgotten. Their rows stay as long as there is
//! something that was sent to them.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::backlog::{Cause, cancel};
use crate::domain::ids::{TenantId, WebhookId};
use crate::store::connections::Transaction;
use crate::store::{Store, StoreError};

impl Store {
    /// Deletes a webhook; `false` where there is none, or none of the `expected` revision.
    pub async fn delete_webhook(
        &self,
        tenant_id: TenantId,
        id: WebhookId,
        expected: Option<i32>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let deleted = delete(&mut transaction, tenant_id, Some(id), expected, now).await?;
        transaction.commit().await?;
        Ok(!deleted.is_empty())
    }

    /// Deletes a tenant with its keys, its catalogue and its webhooks, and returns those; its replays are cancelled. `None` where there
    /// is no such tenant.
    pub async fn delete_tenant(
        &self,
        tenant_id: TenantId,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<WebhookId>>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // First, so that a webhook or a key that is being made either comes before, and is deleted below, or finds no tenant.
        let deleted = sqlx::query!(
            "UPDATE tidings.tenants SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL",
            tenant_id as TenantId,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        if deleted.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query!("DELETE FROM tidings.api_keys WHERE tenant_id = $1", tenant_id as TenantId)
            .execute(&mut *transaction)
            .await?;
        forget_catalogue(&mut *transaction, tenant_id).await?;
        // Before the webhooks: who works on a replay has its row and waits for theirs.
        cancel_replays(&mut *transaction, tenant_id, now).await?;
        let webhooks = delete(&mut transaction, tenant_id, None, None, now).await?;
        transaction.commit().await?;
        Ok(Some(webhooks))
    }

    /// Cancels what came in for webhooks while they were being deleted.
    pub async fn cancel_rest(
        &self,
        tenant_id: TenantId,
        webhook_ids: &[WebhookId],
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        cancel(&self.pool, tenant_id, webhook_ids, Cause::WebhookDeleted, now).await
    }
}

/// Deletes one webhook of a tenant, or all.
async fn delete(
    transaction: &mut Transaction,
    tenant_id: TenantId,
    id: Option<WebhookId>,
    expected: Option<i32>,
    now: DateTime<Utc>,
) -> Result<Vec<WebhookId>, StoreError> {
    let deleted = sqlx::query_scalar!(
        r#"UPDATE tidings.webhooks SET deleted_at = $3, updated_at = $3, changed = pg_current_xact_id()
           WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ($4::int IS NULL OR revision = $4) AND deleted_at IS NULL
           RETURNING id AS "id: WebhookId""#,
        tenant_id as TenantId,
        id as Option<WebhookId>,
        now,
        expected,
    )
    .fetch_all(&mut **transaction)
    .await?;
    forget(&mut **transaction, tenant_id, &deleted).await?;
    cancel(&mut **transaction, tenant_id, &deleted, Cause::WebhookDeleted, now).await?;
    Ok(deleted)
}

/// Forgets secrets, headers and subscriptions.
async fn forget(
    executor: impl PgExecutor<'_>,
    tenant_id: TenantId,
    webhook_ids: &[WebhookId],
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH secrets AS (
             DELETE FROM tidings.webhook_secrets WHERE tenant_id = $1 AND webhook_id = ANY ($2)
         ), subscriptions AS (
             DELETE FROM tidings.subscriptions WHERE tenant_id = $1 AND webhook_id = ANY ($2)
         ), gates AS (
             DELETE FROM tidings.rate_gates WHERE tenant_id = $1 AND webhook_id = ANY ($2)
         )
         UPDATE tidings.webhook_revisions SET headers_sealed = NULL, headers_key_id = NULL
         WHERE tenant_id = $1 AND webhook_id = ANY ($2)",
        tenant_id as TenantId,
        webhook_ids as _,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Forgets a tenant's event types. That there is a row of its catalogue tells processes that remember them.
async fn forget_catalogue(executor: impl PgExecutor<'_>, tenant_id: TenantId) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH marked AS (
             UPDATE tidings.catalogues SET changed = pg_current_xact_id() WHERE tenant_id = $1
         )
         DELETE FROM tidings.event_types WHERE tenant_id = $1",
        tenant_id as TenantId,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Cancels the replays of a tenant that are not finished.
async fn cancel_replays(
    executor: impl PgExecutor<'_>,
    tenant_id: TenantId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE tidings.replays SET state = 'cancelled', updated_at = $2, finished_at = $2
         WHERE tenant_id = $1 AND finished_at IS NULL",
        tenant_id as TenantId,
        now,
    )
    .execute(executor)
    .await?;
    Ok(())
}
