//! Attempts as recorded, and what it takes to render their requests again.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::lease::DialectRevision;
use crate::domain::outcome::Class;
use crate::domain::secret::Sealed;
use crate::store::{Store, StoreError};

/// One recorded attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// From 1 in each delivery.
    pub number: i16,
    /// The webhook it went to.
    pub webhook_id: WebhookId,
    /// The webhook's revision it was sent under.
    pub webhook_revision: i32,
    /// The dialect revision that rendered and signed it.
    pub dialect_revision: DialectRevision,
    /// When it started; the time that was signed.
    pub started_at: DateTime<Utc>,
    /// How long it took, in microseconds.
    pub duration_us: i32,
    /// What came of it.
    pub class: Class,
    /// What was decided then: `delivered`, `retry` or `dead`.
    pub verdict: String,
    /// The HTTP status, where one arrived.
    pub status: Option<i16>,
    /// Response headers, `name: value` a line.
    pub response_headers: Option<String>,
    /// The first of the response body.
    pub response_body: Option<Bytes>,
}

/// A webhook as one of its revisions sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRevision {
    /// Where to.
    pub url: String,
    /// The custom headers, sealed; `None` where there were none or the webhook was deleted.
    pub headers: Option<Sealed>,
}

impl Store {
    /// A delivery's attempts numbered below `before`, newest first, at most `limit`.
    pub async fn list_attempts(
        &self,
        tenant_id: TenantId,
        delivery_id: DeliveryId,
        before: i16,
        limit: i64,
    ) -> Result<Vec<AttemptRecord>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT number, webhook_id AS "webhook_id: WebhookId", webhook_revision, dialect_revision, started_at, duration_us,
                      outcome AS "class: Class", verdict::text AS "verdict!", status, response_headers, response_body
               FROM tidings.attempts WHERE tenant_id = $1 AND delivery_id = $2 AND number < $3 ORDER BY number DESC LIMIT $4"#,
            tenant_id as TenantId,
            delivery_id as DeliveryId,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let records = rows.into_iter().map(|row| AttemptRecord {
            number: row.number,
            webhook_id: row.webhook_id,
            webhook_revision: row.webhook_revision,
            dialect_revision: DialectRevision(row.dialect_revision),
            started_at: row.started_at,
            duration_us: row.duration_us,
            class: row.class,
            verdict: row.verdict,
            status: row.status,
            response_headers: row.response_headers,
            response_body: row.response_body.map(Bytes::from),
        });
        Ok(records.collect())
    }

    /// What a revision of a webhook sent to, if that is still known. A revision that changed neither URL nor headers may
    /// have no row of its own; the one before it tells.
    pub async fn webhook_revision(
        &self,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        revision: i32,
    ) -> Result<Option<WebhookRevision>, StoreError> {
        let row = sqlx::query!(
            "SELECT url, headers_sealed, headers_key_id FROM tidings.webhook_revisions
             WHERE tenant_id = $1 AND webhook_id = $2 AND revision <= $3 ORDER BY revision DESC LIMIT 1",
            tenant_id as TenantId,
            webhook_id as WebhookId,
            revision,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| {
            let headers = row.headers_key_id.zip(row.headers_sealed);
            let headers = headers.map(|(key_id, ciphertext)| Sealed { key_id, ciphertext });
            WebhookRevision { url: row.url, headers }
        }))
    }
}
