//! Reading webhooks.

use chrono::{DateTime, Utc};

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::domain::webhook::{State, Webhook};
use crate::store::{Store, StoreError};

/// Which of a tenant's webhooks to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection<'a> {
    /// This one only.
    pub id: Option<WebhookId>,
    /// Those in this state.
    pub state: Option<State>,
    /// Those that get their events, or those that do not.
    pub is_active: Option<bool>,
    /// Those that want events of this type, or have this pattern.
    pub event: Option<&'a str>,
    /// Those registered before this one.
    pub after: Option<WebhookId>,
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
    state: State,
    disabled_reason: Option<String>,
    verified_at: Option<DateTime<Utc>>,
    verified_url: Option<String>,
    revision: i32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Webhook {
    fn from(row: Row) -> Self {
        let sealed = row.headers_sealed.zip(row.headers_key_id);
        Self {
            tenant_id: row.tenant_id,
            id: row.id,
            url: row.url,
            events: row.events,
            dialect: row.dialect,
            description: row.description,
            headers: sealed.map(|(ciphertext, key_id)| Sealed { key_id, ciphertext }),
            header_names: row.header_names,
            retry: row.retry.and_then(|json| serde_json::from_str(&json).ok()),
            timeout_seconds: row.timeout_seconds,
            rate_limit: row.rate_limit,
            max_in_flight: row.max_in_flight,
            metadata: serde_json::from_str(&row.metadata).unwrap_or_default(),
            state: row.state,
            disabled_reason: row.disabled_reason,
            verified_at: row.verified_at,
            verified_url: row.verified_url,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Store {
    /// A webhook that was not deleted.
    pub async fn webhook(&self, tenant_id: TenantId, id: WebhookId) -> Result<Option<Webhook>, StoreError> {
        let found = self.webhooks(tenant_id, Selection { id: Some(id), ..Selection::default() }, 1).await?;
        Ok(found.into_iter().next())
    }

    /// A tenant's webhooks that were not deleted, newest first.
    pub async fn webhooks(
        &self,
        tenant_id: TenantId,
        selection: Selection<'_>,
        limit: i64,
    ) -> Result<Vec<Webhook>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            // The headers are those of the newest revision that was kept: disabling one keeps none.
            r#"SELECT w.tenant_id AS "tenant_id: TenantId", w.id AS "id: WebhookId", w.url, w.events, w.dialect, w.description,
                      w.header_names, r.headers_sealed AS "headers_sealed?", r.headers_key_id AS "headers_key_id?",
                      w.retry::text AS retry, w.timeout_seconds, w.rate_limit, w.max_in_flight, w.metadata::text AS "metadata!",
                      w.state AS "state: State", w.disabled_reason, w.verified_at, w.verified_url, w.revision,
                      w.created_at, w.updated_at
               FROM tidings.webhooks AS w LEFT JOIN LATERAL (
                   SELECT headers_sealed, headers_key_id FROM tidings.webhook_revisions
                   WHERE tenant_id = w.tenant_id AND webhook_id = w.id AND revision <= w.revision
                   ORDER BY revision DESC LIMIT 1
               ) AS r ON true
               WHERE w.tenant_id = $1 AND w.deleted_at IS NULL
                 AND ($2::uuid IS NULL OR w.id = $2)
                 AND ($3::text IS NULL OR w.state = $3)
                 AND ($4::boolean IS NULL OR (w.state = 'active') = $4)
                 AND ($5::text IS NULL OR EXISTS (
                     SELECT FROM tidings.subscriptions AS s
                     WHERE s.tenant_id = w.tenant_id AND s.webhook_id = w.id AND s.pattern = ANY (tidings.patterns($5))))
                 AND ($6::uuid IS NULL OR w.id < $6)
               ORDER BY w.id DESC LIMIT $7"#,
            tenant_id as TenantId,
            selection.id as Option<WebhookId>,
            selection.state.map(State::as_str),
            selection.is_active,
            selection.event,
            selection.after as Option<WebhookId>,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Webhook::from).collect())
    }
}
