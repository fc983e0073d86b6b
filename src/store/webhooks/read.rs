//! Reading webhooks.

use chrono::{DateTime, Utc};

use super::{Settings, Webhook};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::domain::webhook::State;
use crate::store::{Store, StoreError};

/// Which webhooks of a tenant to list.
#[derive(Debug, Clone, Default)]
pub struct WebhookFilter {
    /// Those in `active`, or the others.
    pub is_active: Option<bool>,
    /// Those that want this event type.
    pub event: Option<String>,
    /// Those in this state.
    pub state: Option<State>,
}

struct Row {
    tenant_id: TenantId,
    id: WebhookId,
    url: String,
    events: Vec<String>,
    dialect: String,
    description: String,
    header_names: Vec<String>,
    headers_sealed: Option<Vec<u8>>,
    headers_key_id: Option<String>,
    retry: Option<String>,
    timeout_seconds: Option<i16>,
    rate_limit: Option<i32>,
    max_in_flight: Option<i16>,
    metadata: String,
    state: String,
    disabled_reason: Option<String>,
    verified_at: Option<DateTime<Utc>>,
    verified_url: Option<String>,
    revision: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Webhook {
    fn from(row: Row) -> Self {
        let headers = row.headers_sealed.zip(row.headers_key_id);
        Self {
            tenant_id: row.tenant_id,
            id: row.id,
            dialect: row.dialect,
            revision: row.revision,
            settings: Settings {
                url: row.url,
                events: row.events,
                description: row.description,
                header_names: row.header_names,
                headers: headers.map(|(ciphertext, key_id)| Sealed { key_id, ciphertext }),
                retry: row.retry.and_then(|json| serde_json::from_str(&json).ok()),
                timeout_seconds: row.timeout_seconds,
                rate_limit: row.rate_limit,
                max_in_flight: row.max_in_flight,
                metadata: row.metadata,
                // The column's CHECK admits these words only.
                state: State::parse(&row.state).unwrap_or(State::Inactive),
                disabled_reason: row.disabled_reason,
                verified_at: row.verified_at,
                verified_url: row.verified_url,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Store {
    /// A tenant's webhook; `None` where it has none with this id.
    pub async fn webhook(&self, tenant_id: TenantId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let filter = WebhookFilter::default();
        Ok(self.select_webhooks(tenant_id, Some(id), &filter, None, 1).await?.pop())
    }

    /// A tenant's webhooks, newest first, after the one with the id `after`.
    pub async fn webhooks(
        &self,
        tenant_id: TenantId,
        filter: &WebhookFilter,
        after: Option<WebhookId>,
        limit: i64,
    ) -> Result<Vec<Webhook>, StoreError> {
        self.select_webhooks(tenant_id, None, filter, after, limit).await
    }

    async fn select_webhooks(
        &self,
        tenant_id: TenantId,
        id: Option<WebhookId>,
        filter: &WebhookFilter,
        after: Option<WebhookId>,
        limit: i64,
    ) -> Result<Vec<Webhook>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT w.tenant_id AS "tenant_id: TenantId", w.id AS "id: WebhookId", w.url, w.events, w.dialect, w.description,
                      w.header_names, r.headers_sealed AS "headers_sealed?", r.headers_key_id AS "headers_key_id?",
                      w.retry::text AS retry, w.timeout_seconds, w.rate_limit, w.max_in_flight, w.metadata::text AS "metadata!",
                      w.state, w.disabled_reason, w.verified_at, w.verified_url, w.revision, w.created_at, w.updated_at
               FROM tidings.webhooks AS w
               LEFT JOIN tidings.webhook_revisions AS r
                   ON r.tenant_id = w.tenant_id AND r.webhook_id = w.id AND r.revision = w.revision
               WHERE w.tenant_id = $1 AND w.deleted_at IS NULL
                 AND ($2::uuid IS NULL OR w.id = $2)
                 AND ($3::boolean IS NULL OR (w.state = 'active') = $3)
                 AND ($4::text IS NULL OR w.state = $4)
                 AND ($5::text IS NULL OR EXISTS (
                         SELECT FROM tidings.subscriptions AS s
                         WHERE s.tenant_id = w.tenant_id AND s.webhook_id = w.id AND s.pattern = ANY (tidings.patterns($5))))
                 AND ($6::uuid IS NULL OR w.id < $6)
               ORDER BY w.id DESC LIMIT $7"#,
            tenant_id as TenantId,
            id as Option<WebhookId>,
            filter.is_active,
            filter.state.map(State::as_str),
            filter.event,
            after as Option<WebhookId>,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Webhook::from).collect())
    }
}
