//! Registering, changing and deleting webhooks.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{NewSecret, Settings};
use crate::domain::ids::{TenantId, WebhookId};
use crate::store::{Store, StoreError};

impl Store {
    /// Registers a webhook with its secrets, at revision 1.
    pub async fn create_webhook(
        &self,
        (tenant_id, id): (TenantId, WebhookId),
        dialect: &str,
        settings: &Settings,
        secrets: &[NewSecret],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query!(
            "INSERT INTO tidings.webhooks (tenant_id, id, url, events, dialect, description, header_names, retry, timeout_seconds,
                 rate_limit, max_in_flight, metadata, state, verified_at, created_at,
                 updated_at, verified_url)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11, $12::text::jsonb, $13, $14, $15, $15, $16)",
            tenant_id as TenantId,
            id as WebhookId,
            settings.url,
            &settings.events,
            dialect,
            settings.description,
            &settings.header_names,
            retry_json(settings),
            settings.timeout_seconds,
            settings.rate_limit,
            settings.max_in_flight,
            settings.metadata,
            settings.state.as_str(),
            settings.verified_at,
            now,
            settings.verified_url,
        )
        .execute(&mut *transaction)
        .await?;
        follow_up(&mut transaction, (tenant_id, id), 1, settings).await?;
        for secret in secrets {
            super::secrets::insert(&mut transaction, (tenant_id, id), secret).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Writes the next revision of a webhook, if `seen` is still the current one; says whether it was.
    pub async fn change_webhook(
        &self,
        (tenant_id, id): (TenantId, WebhookId),
        seen: i32,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let changed = sqlx::query!(
            "UPDATE tidings.webhooks SET url = $4, events = $5, description = $6, header_names = $7, retry = $8::text::jsonb,
                 timeout_seconds = $9, rate_limit = $10, max_in_flight = $11, metadata = $12::text::jsonb, state = $13,
                 disabled_reason = $14, verified_at = $15, updated_at = $16, verified_url = $17, revision = $3 + 1, changed = pg_current_xact_id(),
                 parked_until = CASE WHEN url = $4 THEN parked_until END
             WHERE tenant_id = $1 AND id = $2 AND revision = $3 AND deleted_at IS NULL",
            tenant_id as TenantId,
            id as WebhookId,
            seen,
            settings.url,
            &settings.events,
            settings.description,
            &settings.header_names,
            retry_json(settings),
            settings.timeout_seconds,
            settings.rate_limit,
            settings.max_in_flight,
            settings.metadata,
            settings.state.as_str(),
            settings.disabled_reason,
            settings.verified_at,
            now,
            settings.verified_url,
        )
        .execute(&mut *transaction)
        .await?;
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        follow_up(&mut transaction, (tenant_id, id), seen + 1, settings).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes a webhook: its deliveries are cancelled, those under way included, and its secrets are forgotten. Returns how many
    /// deliveries were cancelled, or `None` where there is no such webhook.
    pub async fn delete_webhook(
        &self,
        tenant_id: TenantId,
        id: WebhookId,
        now: DateTime<Utc>,
    ) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let deleted = sqlx::query!(
            "UPDATE tidings.webhooks SET deleted_at = $3, updated_at = $3, revision = revision + 1, changed = pg_current_xact_id()
             WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
            tenant_id as TenantId,
            id as WebhookId,
            now,
        )
        .execute(&mut *transaction)
        .await?;
        if deleted.rows_affected() == 0 {
            return Ok(None);
        }
        let (tenant, webhook) = (tenant_id, id);
        sqlx::query!(
            "DELETE FROM tidings.subscriptions WHERE tenant_id = $1 AND webhook_id = $2",
            tenant as _,
            webhook as _
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "DELETE FROM tidings.webhook_secrets WHERE tenant_id = $1 AND webhook_id = $2",
            tenant as _,
            webhook as _
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "UPDATE tidings.webhook_revisions SET headers_sealed = NULL, headers_key_id = NULL
             WHERE tenant_id = $1 AND webhook_id = $2 AND headers_sealed IS NOT NULL",
            tenant as _,
            webhook as _,
        )
        .execute(&mut *transaction)
        .await?;
        let cancelled = cancel_pending(&mut transaction, (tenant, webhook), "webhook_deleted", now).await?;
        transaction.commit().await?;
        Ok(Some(cancelled))
    }

    /// Cancels all that waits for a webhook, but for what is under way; returns how many deliveries.
    pub async fn skip_backlog(
        &self,
        tenant_id: TenantId,
        id: WebhookId,
        now: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut connection = self.pool.acquire().await?;
        cancel_pending(&mut connection, (tenant_id, id), "backlog_skipped", now).await
    }
}

/// What depends on the settings: the revision's record and the subscriptions.
async fn follow_up(
    connection: &mut PgConnection,
    (tenant_id, id): (TenantId, WebhookId),
    revision: i32,
    settings: &Settings,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO tidings.webhook_revisions (tenant_id, webhook_id, revision, url, headers_sealed, headers_key_id)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant_id as TenantId,
        id as WebhookId,
        revision,
        settings.url,
        settings.headers.as_ref().map(|sealed| sealed.ciphertext.as_slice()),
        settings.headers.as_ref().map(|sealed| sealed.key_id.as_str()),
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "WITH gone AS (
             DELETE FROM tidings.subscriptions WHERE tenant_id = $1 AND webhook_id = $2 AND pattern <> ALL ($3)
         )
         INSERT INTO tidings.subscriptions (tenant_id, pattern, webhook_id)
         SELECT $1, pattern, $2 FROM unnest($3::text[]) AS pattern ON CONFLICT DO NOTHING",
        tenant_id as TenantId,
        id as WebhookId,
        &settings.events,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn cancel_pending(
    connection: &mut PgConnection,
    (tenant_id, id): (TenantId, WebhookId),
    cause: &str,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let cancelled = sqlx::query!(
        "WITH gone AS (
             DELETE FROM tidings.outbox
             WHERE tenant_id = $1 AND webhook_id = $2 AND (holder IS NULL OR $4 = 'webhook_deleted')
             RETURNING id, dialect_revision, attempts
         )
         INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
         SELECT $1, id, $2, $3, dialect_revision, $4::text::tidings.cancel_cause, attempts FROM gone",
        tenant_id as TenantId,
        id as WebhookId,
        now,
        cause,
    )
    .execute(connection)
    .await?;
    Ok(cancelled.rows_affected())
}

fn retry_json(settings: &Settings) -> Option<String> {
    settings.retry.as_ref().and_then(|retry| serde_json::to_string(retry).ok())
}
