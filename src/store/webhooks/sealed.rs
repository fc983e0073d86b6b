//! What is sealed, and with which master key: secrets and tokens in `webhook_secrets`, headers in `webhook_revisions`.
//!
//! A value is exchanged only for one of the same content, and only if it is still what was read: whatever is rotated,
//! changed or deleted meanwhile goes before. A row that somebody else holds is left for another time, so nobody waits.

use chrono::{DateTime, Utc};

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::Sealed;
use crate::store::{Store, StoreError};

/// How much one master key has sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedWith {
    /// The key's id.
    pub key_id: String,
    /// Signing secrets and tokens.
    pub secrets: i64,
    /// Custom headers of a webhook's revision.
    pub headers: i64,
}

/// A sealed value and its place.
#[derive(Debug, Clone)]
pub struct SealedValue<P> {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Where it lies among those of the webhook.
    pub place: P,
    /// The value.
    pub sealed: Sealed,
}

/// The place of a secret: its kind, and when it begins.
pub type SecretPlace = (String, DateTime<Utc>);

/// The place of headers: the webhook's revision.
pub type HeadersPlace = i32;

impl Store {
    /// How much each master key has sealed, by their ids.
    pub async fn sealed_with(&self) -> Result<Vec<SealedWith>, StoreError> {
        let counts = sqlx::query_as!(
            SealedWith,
            r#"SELECT key_id AS "key_id!", count(*) FILTER (WHERE is_secret) AS "secrets!",
                      count(*) FILTER (WHERE NOT is_secret) AS "headers!"
               FROM (SELECT key_id, true AS is_secret FROM tidings.webhook_secrets
                     UNION ALL
                     SELECT headers_key_id, false FROM tidings.webhook_revisions WHERE headers_sealed IS NOT NULL) AS sealed
               GROUP BY key_id ORDER BY key_id"#,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(counts)
    }

    /// The id of a master key that sealed something and is none of these, if there is any.
    pub async fn unknown_master_key(&self, known: &[String]) -> Result<Option<String>, StoreError> {
        let unknown = sqlx::query_scalar!(
            r#"SELECT key_id AS "key_id!" FROM (
                   SELECT key_id FROM tidings.webhook_secrets
                   UNION ALL
                   SELECT headers_key_id FROM tidings.webhook_revisions WHERE headers_sealed IS NOT NULL
               ) AS sealed
               WHERE key_id <> ALL ($1) LIMIT 1"#,
            known,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(unknown)
    }

    /// Secrets that another key than this one sealed, those after a place, in the order of their places.
    pub async fn secrets_not_of(
        &self,
        key_id: &str,
        after: Option<&SealedValue<SecretPlace>>,
        limit: i64,
    ) -> Result<Vec<SealedValue<SecretPlace>>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id: TenantId", webhook_id AS "webhook_id: WebhookId", kind, valid_from, key_id, sealed
               FROM tidings.webhook_secrets
               WHERE key_id <> $1 AND (tenant_id, webhook_id, kind, valid_from) > ($2, $3, $4, $5)
               ORDER BY tenant_id, webhook_id, kind, valid_from LIMIT $6"#,
            key_id,
            after.map_or(TenantId::from_u128(0), |last| last.tenant_id) as TenantId,
            after.map_or(WebhookId::from_u128(0), |last| last.webhook_id) as WebhookId,
            after.map_or("", |last| &last.place.0),
            after.map_or(DateTime::UNIX_EPOCH, |last| last.place.1),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let values = rows.into_iter().map(|row| SealedValue {
            tenant_id: row.tenant_id,
            webhook_id: row.webhook_id,
            place: (row.kind, row.valid_from),
            sealed: Sealed { key_id: row.key_id, ciphertext: row.sealed },
        });
        Ok(values.collect())
    }

    /// Exchanges secrets for the same ones sealed anew; says how many were still what was read.
    pub async fn exchange_secrets(&self, renewals: &[(SealedValue<SecretPlace>, Sealed)]) -> Result<u64, StoreError> {
        let Columns { tenant_ids, webhook_ids, old, key_ids, new } = Columns::of(renewals);
        let (kinds, begins): (Vec<_>, Vec<_>) = renewals.iter().map(|(value, _)| value.place.clone()).unzip();
        let done = sqlx::query!(
            "WITH given AS (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::bytea[], $6::text[], $7::bytea[])
                     AS g (tenant_id, webhook_id, kind, valid_from, old, new_key_id, new)
             ), free AS (
                 SELECT s.tenant_id, s.webhook_id, s.kind, s.valid_from, g.old, g.new_key_id, g.new
                 FROM given AS g JOIN tidings.webhook_secrets AS s
                     ON s.tenant_id = g.tenant_id AND s.webhook_id = g.webhook_id AND s.kind = g.kind
                        AND s.valid_from = g.valid_from AND s.sealed = g.old
                 FOR UPDATE OF s SKIP LOCKED
             )
             UPDATE tidings.webhook_secrets AS s SET key_id = free.new_key_id, sealed = free.new FROM free
             WHERE s.tenant_id = free.tenant_id AND s.webhook_id = free.webhook_id AND s.kind = free.kind
               AND s.valid_from = free.valid_from AND s.sealed = free.old",
            &tenant_ids as _,
            &webhook_ids as _,
            &kinds as _,
            &begins as _,
            &old as _,
            &key_ids as _,
            &new as _,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Headers that another key than this one sealed, those after a place, in the order of their places.
    pub async fn headers_not_of(
        &self,
        key_id: &str,
        after: Option<&SealedValue<HeadersPlace>>,
        limit: i64,
    ) -> Result<Vec<SealedValue<HeadersPlace>>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id: TenantId", webhook_id AS "webhook_id: WebhookId", revision,
                      headers_key_id AS "key_id!", headers_sealed AS "sealed!"
               FROM tidings.webhook_revisions
               WHERE headers_key_id <> $1 AND headers_sealed IS NOT NULL AND (tenant_id, webhook_id, revision) > ($2, $3, $4)
               ORDER BY tenant_id, webhook_id, revision LIMIT $5"#,
            key_id,
            after.map_or(TenantId::from_u128(0), |last| last.tenant_id) as TenantId,
            after.map_or(WebhookId::from_u128(0), |last| last.webhook_id) as WebhookId,
            after.map_or(0, |last| last.place),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let values = rows.into_iter().map(|row| SealedValue {
            tenant_id: row.tenant_id,
            webhook_id: row.webhook_id,
            place: row.revision,
            sealed: Sealed { key_id: row.key_id, ciphertext: row.sealed },
        });
        Ok(values.collect())
    }

    /// Exchanges headers for the same ones sealed anew; says how many were still what was read.
    pub async fn exchange_headers(&self, renewals: &[(SealedValue<HeadersPlace>, Sealed)]) -> Result<u64, StoreError> {
        let Columns { tenant_ids, webhook_ids, old, key_ids, new } = Columns::of(renewals);
        let revisions: Vec<_> = renewals.iter().map(|(value, _)| value.place).collect();
        let done = sqlx::query!(
            "WITH given AS (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::bytea[], $5::text[], $6::bytea[])
                     AS g (tenant_id, webhook_id, revision, old, new_key_id, new)
             ), free AS (
                 SELECT r.tenant_id, r.webhook_id, r.revision, g.old, g.new_key_id, g.new
                 FROM given AS g JOIN tidings.webhook_revisions AS r
                     ON r.tenant_id = g.tenant_id AND r.webhook_id = g.webhook_id AND r.revision = g.revision
                        AND r.headers_sealed = g.old
                 FOR UPDATE OF r SKIP LOCKED
             )
             UPDATE tidings.webhook_revisions AS r SET headers_key_id = free.new_key_id, headers_sealed = free.new FROM free
             WHERE r.tenant_id = free.tenant_id AND r.webhook_id = free.webhook_id AND r.revision = free.revision
               AND r.headers_sealed = free.old",
            &tenant_ids as _,
            &webhook_ids as _,
            &revisions,
            &old as _,
            &key_ids as _,
            &new as _,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

/// What both kinds of exchange have, a column each.
struct Columns<'a> {
    tenant_ids: Vec<TenantId>,
    webhook_ids: Vec<WebhookId>,
    old: Vec<&'a [u8]>,
    key_ids: Vec<&'a str>,
    new: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of<P>(renewals: &'a [(SealedValue<P>, Sealed)]) -> Self {
        Self {
            tenant_ids: renewals.iter().map(|(value, _)| value.tenant_id).collect(),
            webhook_ids: renewals.iter().map(|(value, _)| value.webhook_id).collect(),
            old: renewals.iter().map(|(value, _)| &*value.sealed.ciphertext).collect(),
            key_ids: renewals.iter().map(|(_, new)| new.key_id.as_str()).collect(),
            new: renewals.iter().map(|(_, new)| &*new.ciphertext).collect(),
        }
    }
}
