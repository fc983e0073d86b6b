//! Registering and changing webhooks.

use sqlx::PgExecutor;

use super::backlog::{Cause, cancel};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::domain::webhook::Webhook;
use crate::store::{Store, StoreError};

/// A secret that a webhook is registered with.
#[derive(Debug)]
pub struct NewSecret {
    /// `signing` or `token`.
    pub kind: &'static str,
    /// The secret.
    pub sealed: Sealed,
}

impl Store {
    /// Stores a new webhook with its secrets; `false` where its tenant was deleted.
    pub async fn insert_webhook(&self, webhook: &Webhook, secrets: &[NewSecret]) -> Result<bool, StoreError> {
        let kinds: Vec<_> = secrets.iter().map(|secret| secret.kind).collect();
        let key_ids: Vec<_> = secrets.iter().map(|secret| secret.sealed.key_id.as_str()).collect();
        let ciphertexts: Vec<&[u8]> = secrets.iter().map(|secret| &*secret.sealed.ciphertext).collect();
        let stored = sqlx::query!(
            r#"WITH owner AS (
                   SELECT id FROM tidings.tenants WHERE id = $1 AND deleted_at IS NULL FOR SHARE
               ), webhook AS (
                   INSERT INTO tidings.webhooks (tenant_id, id, url, events, dialect, description, header_names, retry,
                       timeout_seconds, rate_limit, max_in_flight, metadata, state, verified_at, verified_url, created_at, updated_at)
                   SELECT id, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11, $12::text::jsonb, $13, $14, $15, $16, $16
                   FROM owner RETURNING *
               ), revision AS (
                   INSERT INTO tidings.webhook_revisions (tenant_id, webhook_id, revision, url, headers_sealed, headers_key_id)
                   SELECT tenant_id, id, revision, url, $17, $18 FROM webhook
               ), subscribed AS (
                   INSERT INTO tidings.subscriptions (tenant_id, pattern, webhook_id)
                   SELECT tenant_id, unnest(events), id FROM webhook
               ), secret AS (
                   INSERT INTO tidings.webhook_secrets (tenant_id, webhook_id, kind, valid_from, key_id, sealed)
                   SELECT w.tenant_id, w.id, s.kind, w.created_at, s.key_id, s.sealed
                   FROM webhook AS w, unnest($19::text[], $20::text[], $21::bytea[]) AS s (kind, key_id, sealed)
               )
               SELECT count(*) AS "count!" FROM webhook"#,
            webhook.tenant_id as TenantId,
            webhook.id as WebhookId,
            webhook.url,
            &webhook.events,
            webhook.dialect,
            webhook.description,
            &webhook.header_names,
            json(webhook.retry.as_ref()),
            webhook.timeout_seconds,
            webhook.rate_limit,
            webhook.max_in_flight,
            json(Some(&webhook.metadata)),
            webhook.state.as_str(),
            webhook.verified_at,
            webhook.verified_url,
            webhook.created_at,
            webhook.headers.as_ref().map(|sealed| &*sealed.ciphertext),
            webhook.headers.as_ref().map(|sealed| sealed.key_id.as_str()),
            &kinds as _,
            &key_ids as _,
            &ciphertexts as _,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(stored.count == 1)
    }

    /// Stores a changed webhook under the next revision, which it has then; `false` where the stored one has another revision than
    /// `webhook.revision`, or is deleted.
    pub async fn save_webhook(&self, webhook: &mut Webhook) -> Result<bool, StoreError> {
        save(&self.pool, webhook).await
    }

    /// As [`Store::save_webhook`], and reports `webhook.verified`.
    pub async fn save_verified_webhook(&self, webhook: &mut Webhook) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !save(&mut *transaction, webhook).await? {
            return Ok(false);
        }
        let Webhook { tenant_id, id, updated_at, .. } = webhook;
        sqlx::query!(
            r#"SELECT tidings.report_verified($1, $2, $3) AS "reported!: ()""#,
            *tenant_id as TenantId,
            *id as WebhookId,
            *updated_at,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// As [`Store::save_webhook`], and cancels its pending deliveries that nobody has a lease on; says how many.
    pub async fn save_webhook_without_backlog(&self, webhook: &mut Webhook) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !save(&mut *transaction, webhook).await? {
            return Ok(None);
        }
        let Webhook { tenant_id, id, updated_at, .. } = webhook;
        let cancelled = cancel(&mut *transaction, *tenant_id, &[*id], Cause::BacklogSkipped, *updated_at).await?;
        transaction.commit().await?;
        Ok(Some(cancelled))
    }
}

/// One that comes back to `active` leaves a number out: what a receiver answered before is told by that from what it answers now
/// ([`Store::affect_webhook`]).
async fn save(executor: impl PgExecutor<'_>, webhook: &mut Webhook) -> Result<bool, StoreError> {
    let saved = sqlx::query_scalar!(
        r#"WITH webhook AS (
               UPDATE tidings.webhooks
               SET url = $4, events = $5, description = $6, header_names = $7, retry = $8::text::jsonb, timeout_seconds = $9,
                   rate_limit = $10, max_in_flight = $11, metadata = $12::text::jsonb, state = $13, disabled_reason = $14,
                   verified_at = $15, verified_url = $16, updated_at = $17,
                   revision = revision + CASE WHEN state <> 'active' AND $13 = 'active' THEN 2 ELSE 1 END,
                   changed = pg_current_xact_id(),
                   parked_until = CASE WHEN url = $4 AND (state = $13 OR $13 <> 'active') THEN parked_until END
               WHERE tenant_id = $1 AND id = $2 AND revision = $3 AND deleted_at IS NULL
               RETURNING tenant_id, id, revision, url, events
           ), revision AS (
               INSERT INTO tidings.webhook_revisions (tenant_id, webhook_id, revision, url, headers_sealed, headers_key_id)
               SELECT tenant_id, id, revision, url, $18, $19 FROM webhook
           ), unsubscribed AS (
               DELETE FROM tidings.subscriptions AS s USING webhook AS w
               WHERE s.tenant_id = w.tenant_id AND s.webhook_id = w.id AND s.pattern <> ALL (w.events)
           ), subscribed AS (
               INSERT INTO tidings.subscriptions (tenant_id, pattern, webhook_id)
               SELECT tenant_id, unnest(events), id FROM webhook ON CONFLICT DO NOTHING
           )
           SELECT revision FROM webhook"#,
        webhook.tenant_id as TenantId,
        webhook.id as WebhookId,
        webhook.revision,
        webhook.url,
        &webhook.events,
        webhook.description,
        &webhook.header_names,
        json(webhook.retry.as_ref()),
        webhook.timeout_seconds,
        webhook.rate_limit,
        webhook.max_in_flight,
        json(Some(&webhook.metadata)),
        webhook.state.as_str(),
        webhook.disabled_reason,
        webhook.verified_at,
        webhook.verified_url,
        webhook.updated_at,
        webhook.headers.as_ref().map(|sealed| &*sealed.ciphertext),
        webhook.headers.as_ref().map(|sealed| sealed.key_id.as_str()),
    )
    .fetch_optional(executor)
    .await?;
    webhook.revision = saved.unwrap_or(webhook.revision);
    Ok(saved.is_some())
}

fn json(value: Option<&impl serde::Serialize>) -> Option<String> {
    value.and_then(|value| serde_json::to_string(value).ok())
}
