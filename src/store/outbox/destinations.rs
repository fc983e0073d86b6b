//! Destinations: all that sending to webhooks takes, read together.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::store::{Store, StoreError};

/// A webhook as a dispatcher sees it.
#[derive(Debug)]
pub struct DestinationRow {
    /// Counts changes of the webhook.
    pub revision: i32,
    /// Where to POST.
    pub url: String,
    /// Whether its tenant may use plain HTTP.
    pub is_sandbox: bool,
    /// Whether it gets its events now, parking aside.
    pub is_active: bool,
    /// The receiver asked for quiet until then.
    pub parked_until: Option<DateTime<Utc>>,
    /// Its own retry rules, as JSON.
    pub retry: Option<String>,
    /// Its own timeout.
    pub timeout_seconds: Option<i16>,
    /// Its own limit of requests under way.
    pub max_in_flight: Option<i16>,
    /// Its custom headers, sealed.
    pub headers: Option<Sealed>,
    /// Its secrets, newest first.
    pub secrets: Vec<SecretRow>,
}

/// A sealed secret and when it is used.
#[derive(Debug)]
pub struct SecretRow {
    /// `signing` or `token`.
    pub kind: String,
    /// From when on.
    pub valid_from: DateTime<Utc>,
    /// Until when; `None` without end.
    pub valid_until: Option<DateTime<Utc>>,
    /// The secret.
    pub sealed: Sealed,
}

impl Store {
    /// Reads what sending to these webhooks takes, of those that were not deleted. `OFFSET 0` makes Postgres look everything up by its key,
    /// however few rows there were when the connection first asked.
    pub async fn destinations(
        &self,
        webhooks: &[(TenantId, WebhookId)],
    ) -> Result<HashMap<(TenantId, WebhookId), DestinationRow>, StoreError> {
        let (tenants, ids): (Vec<_>, Vec<_>) = webhooks.iter().copied().unzip();
        let rows = sqlx::query!(
            r#"SELECT w.tenant_id AS "tenant_id: TenantId", w.id AS "id: WebhookId", w.revision, w.url,
                      w.state = 'active' AS "is_active!", w.parked_until, w.retry::text AS retry, w.timeout_seconds,
                      w.max_in_flight, t.environment = 'sandbox' AS "is_sandbox!", r.headers_sealed AS "headers_sealed?",
                      r.headers_key_id AS "headers_key_id?", s.kinds AS "kinds?", s.starts AS "starts?",
                      s.ends AS "ends?: Vec<Option<DateTime<Utc>>>", s.key_ids AS "key_ids?", s.sealed AS "sealed?"
               FROM (SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::uuid[]) AS id) AS wanted
               CROSS JOIN LATERAL (
                   SELECT * FROM tidings.webhooks AS o
                   WHERE o.tenant_id = wanted.tenant_id AND o.id = wanted.id AND o.deleted_at IS NULL OFFSET 0
               ) AS w
               CROSS JOIN LATERAL (
                   SELECT * FROM tidings.tenants AS o WHERE o.id = w.tenant_id AND o.deleted_at IS NULL OFFSET 0
               ) AS t
               LEFT JOIN LATERAL (
                   SELECT * FROM tidings.webhook_revisions AS o
                   WHERE o.tenant_id = w.tenant_id AND o.webhook_id = w.id AND o.revision = w.revision OFFSET 0
               ) AS r ON true
               CROSS JOIN LATERAL (
                   SELECT array_agg(kind) AS kinds, array_agg(valid_from) AS starts, array_agg(valid_until) AS ends,
                          array_agg(key_id) AS key_ids, array_agg(sealed) AS sealed
                   FROM (
                       SELECT kind, valid_from, valid_until, key_id, sealed FROM tidings.webhook_secrets
                       WHERE tenant_id = w.tenant_id AND webhook_id = w.id ORDER BY valid_from DESC
                   ) AS newest_first
               ) AS s"#,
            &tenants as _,
            &ids as _,
        )
        .fetch_all(&self.hot)
        .await?;
        let found = rows.into_iter().map(|row| {
            let periods = row.starts.unwrap_or_default().into_iter().zip(row.ends.unwrap_or_default());
            let sealed = row.key_ids.unwrap_or_default().into_iter().zip(row.sealed.unwrap_or_default());
            let secrets = row.kinds.unwrap_or_default().into_iter().zip(periods.zip(sealed)).map(
                |(kind, ((valid_from, valid_until), (key_id, ciphertext)))| SecretRow {
                    kind,
                    valid_from,
                    valid_until,
                    sealed: Sealed { key_id, ciphertext },
                },
            );
            let destination = DestinationRow {
                revision: row.revision,
                url: row.url,
                is_sandbox: row.is_sandbox,
                is_active: row.is_active,
                parked_until: row.parked_until,
                retry: row.retry,
                timeout_seconds: row.timeout_seconds,
                max_in_flight: row.max_in_flight,
                headers: row
                    .headers_sealed
                    .zip(row.headers_key_id)
                    .map(|(ciphertext, key_id)| Sealed { key_id, ciphertext }),
                secrets: secrets.collect(),
            };
            ((row.tenant_id, row.id), destination)
        });
        Ok(found.collect())
    }

    /// All secrets of a webhook that have not been forgotten, newest first.
    pub async fn secrets(&self, tenant_id: TenantId, webhook_id: WebhookId) -> Result<Vec<SecretRow>, StoreError> {
        let rows = sqlx::query!(
            "SELECT kind, valid_from, valid_until, key_id, sealed FROM tidings.webhook_secrets
             WHERE tenant_id = $1 AND webhook_id = $2 ORDER BY valid_from DESC",
            tenant_id as TenantId,
            webhook_id as WebhookId,
        )
        .fetch_all(&self.hot)
        .await?;
        let secrets = rows.into_iter().map(|row| SecretRow {
            kind: row.kind,
            valid_from: row.valid_from,
            valid_until: row.valid_until,
            sealed: Sealed { key_id: row.key_id, ciphertext: row.sealed },
        });
        Ok(secrets.collect())
    }
}
