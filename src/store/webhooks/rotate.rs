//! Rotation: a new signing secret, and an end for those before it.

use chrono::{DateTime, Utc};

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::store::connections::Session;
use crate::store::{Store, StoreError};

/// Secrets that may be in use or about to be: each puts a further signature into every request.
pub const MAX_LIVE: i64 = 5;

/// A rotation: at `old_until` the earlier secrets end, at `new_from` the new one begins.
#[derive(Debug)]
pub struct Rotation {
    /// The new secret.
    pub sealed: Sealed,
    /// Tokens that do not open, as they are sealed: forgotten.
    pub damaged_tokens: Vec<Vec<u8>>,
    /// A token, which is stored where there is none, or none any more.
    pub missing_token: Option<Sealed>,
    /// From when on the new secret signs.
    pub new_from: DateTime<Utc>,
    /// Until when earlier ones sign, unless they end sooner.
    pub old_until: DateTime<Utc>,
    /// When it is rotated.
    pub now: DateTime<Utc>,
}

/// What came of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// The new secret is stored.
    Done {
        /// The token was stored.
        made_token: bool,
    },
    /// There is no such webhook.
    NotFound,
    /// Too many earlier secrets are in use still.
    TooMany,
}

impl Store {
    /// Rotates a webhook's signing secret. Rotations of one webhook happen one after another; the last one has the newest secret.
    pub async fn rotate_secret(
        &self,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        rotation: &Rotation,
    ) -> Result<Rotated, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let locked = sqlx::query!(
            "UPDATE tidings.webhooks SET changed = pg_current_xact_id() WHERE tenant_id = $1 AND id = $2 AND deleted_at IS NULL",
            tenant_id as TenantId,
            webhook_id as WebhookId,
        )
        .execute(&mut *transaction)
        .await?;
        if locked.rows_affected() == 0 {
            return Ok(Rotated::NotFound);
        }
        // A secret that would begin only after the present ones end never signs.
        sqlx::query!(
            "DELETE FROM tidings.webhook_secrets
             WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'signing' AND valid_from >= $3",
            tenant_id as TenantId,
            webhook_id as WebhookId,
            rotation.old_until,
        )
        .execute(&mut *transaction)
        .await?;
        // Two of the same microsecond are told apart: the earlier one began earlier, or, where that place is taken as well, the
        // new one begins later.
        let live = sqlx::query_scalar!(
            r#"WITH ended AS (
                   UPDATE tidings.webhook_secrets
                   SET valid_until = least(valid_until, $3),
                       valid_from = valid_from - CASE WHEN valid_from = $4 AND NOT EXISTS (
                               SELECT FROM tidings.webhook_secrets
                               WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'signing'
                                 AND valid_from = $4 - interval '1 microsecond')
                           THEN interval '1 microsecond' ELSE interval '0' END
                   WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'signing' RETURNING valid_until
               )
               SELECT count(*) AS "live!" FROM ended WHERE valid_until > $5"#,
            tenant_id as TenantId,
            webhook_id as WebhookId,
            rotation.old_until,
            rotation.new_from,
            rotation.now,
        )
        .fetch_one(&mut *transaction)
        .await?;
        if live >= MAX_LIVE {
            return Ok(Rotated::TooMany);
        }
        sqlx::query!(
            "INSERT INTO tidings.webhook_secrets (tenant_id, webhook_id, kind, valid_from, key_id, sealed)
             SELECT $1, $2, 'signing', greatest($3, max(valid_from) + interval '1 microsecond'), $4, $5
             FROM tidings.webhook_secrets WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'signing'",
            tenant_id as TenantId,
            webhook_id as WebhookId,
            rotation.new_from,
            rotation.sealed.key_id,
            rotation.sealed.ciphertext,
        )
        .execute(&mut *transaction)
        .await?;
        let made_token = renew_token(&mut transaction, tenant_id, webhook_id, rotation).await?;
        transaction.commit().await?;
        Ok(Rotated::Done { made_token })
    }
}

/// Forgets damaged tokens, and gives the webhook the missing one, unless it has one; says whether it did.
async fn renew_token(
    connection: &mut Session,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    rotation: &Rotation,
) -> Result<bool, StoreError> {
    sqlx::query!(
        "DELETE FROM tidings.webhook_secrets
         WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'token' AND sealed = ANY ($3)",
        tenant_id as TenantId,
        webhook_id as WebhookId,
        &rotation.damaged_tokens,
    )
    .execute(&mut *connection)
    .await?;
    let Some(token) = &rotation.missing_token else { return Ok(false) };
    let added = sqlx::query!(
        "INSERT INTO tidings.webhook_secrets (tenant_id, webhook_id, kind, valid_from, key_id, sealed)
         SELECT $1, $2, 'token', $3, $4, $5 WHERE NOT EXISTS (
             SELECT FROM tidings.webhook_secrets WHERE tenant_id = $1 AND webhook_id = $2 AND kind = 'token')",
        tenant_id as TenantId,
        webhook_id as WebhookId,
        rotation.now,
        token.key_id,
        token.ciphertext,
    )
    .execute(connection)
    .await?;
    Ok(added.rows_affected() == 1)
}
