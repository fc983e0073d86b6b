//! Secrets of webhooks, sealed before they come here.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::clock::later;
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::store::{Store, StoreError};

/// A secret to store.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// `signing` or `token`.
    pub kind: &'static str,
    /// From when on it is used.
    pub valid_from: DateTime<Utc>,
    /// The secret.
    pub sealed: Sealed,
}

/// When the new secret begins to sign and the old ones end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The new one signs now, the old ones beside it for this long.
    SideBySide(Duration),
    /// The new one takes over from the old after this long.
    TakesOverAfter(Duration),
}

impl Store {
    /// Gives a webhook a new signing secret; returns the webhook's new revision, or `None` where there is no such webhook.
    pub async fn rotate_secret(
        &self,
        (tenant_id, id): (TenantId, WebhookId),
        sealed: Sealed,
        rotation: Rotation,
        now: DateTime<Utc>,
    ) -> Result<Option<i32>, StoreError> {
        let (new_from, old_until) = match rotation {
            Rotation::SideBySide(overlap) => (now, later(now, overlap)),
            Rotation::TakesOverAfter(overlap) => (later(now, overlap), later(now, overlap)),
        };
        let mut transaction = self.pool.begin().await?;
        // The row's lock lets rotations of one webhook follow one another.
        let revision = sqlx::query_scalar!(
            "UPDATE tidings.webhooks SET revision = revision + 1, updated_at = $3, changed = pg_current_xact_id()
             WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING revision",
            tenant_id as TenantId,
            id as WebhookId,
            now,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(revision) = revision else { return Ok(None) };
        sqlx::query!(
            "INSERT INTO tidings.webhook_revisions (tenant_id, webhook_id, revision, url, headers_sealed, headers_key_id)
             SELECT tenant_id, webhook_id, $3, url, headers_sealed, headers_key_id FROM tidings.webhook_revisions
             WHERE tenant_id = $1 AND webhook_id = $2 AND revision = $3 - 1",
            tenant_id as TenantId,
            id as WebhookId,
            revision,
        )
        .execute(&mut *transaction)
        .await?;
        end_old(&mut transaction, (tenant_id, id), now, old_until, rotation).await?;
        let valid_from = sqlx::query_scalar!(
            r#"SELECT greatest($3, max(valid_from) + interval '1 microsecond') AS "from!"
               FROM tidings.webhook_secrets WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'signing'"#,
            tenant_id as TenantId,
            id as WebhookId,
            new_from,
        )
        .fetch_one(&mut *transaction)
        .await?;
        insert(&mut transaction, (tenant_id, id), &NewSecret { kind: "signing", valid_from, sealed }).await?;
        transaction.commit().await?;
        Ok(Some(revision))
    }
}

/// Ends the secrets in use at `until`, and forgets one that has not begun: a later rotation takes its place.
async fn end_old(
    connection: &mut PgConnection,
    (tenant_id, id): (TenantId, WebhookId),
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    rotation: Rotation,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM tidings.webhook_secrets WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'signing' AND valid_from > $3",
        tenant_id as TenantId,
        id as WebhookId,
        now,
    )
    .execute(&mut *connection)
    .await?;
    // An overlap is never stretched by a later rotation; but one that was to hand over to the forgotten secret goes on until the
    // new one begins.
    sqlx::query!(
        "UPDATE tidings.webhook_secrets SET valid_until = CASE WHEN $5 THEN least(valid_until, $4) ELSE $4 END
         WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'signing' AND (valid_until IS NULL OR valid_until > $3)",
        tenant_id as TenantId,
        id as WebhookId,
        now,
        until,
        matches!(rotation, Rotation::SideBySide(_)),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    (tenant_id, id): (TenantId, WebhookId),
    secret: &NewSecret,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO tidings.webhook_secrets (tenant_id, webhook_id, kind, valid_from, key_id, sealed)
         VALUES ($1, $2, $3, $4, $5, $6)",
        tenant_id as TenantId,
        id as WebhookId,
        secret.kind,
        secret.valid_from,
        secret.sealed.key_id,
        secret.sealed.ciphertext,
    )
    .execute(connection)
    .await?;
    Ok(())
}
