//! API keys, as digests.

use chrono::{DateTime, Utc};

use crate::domain::ids::{KeyId, TenantId};
use crate::domain::tenant::{ApiKey, Principal, Rate, Role};
use crate::store::{Store, StoreError};

struct Row {
    id: KeyId,
    tenant_id: Option<TenantId>,
    roles: Vec<String>,
    description: String,
    requests_per_second: Option<i32>,
    burst: Option<i32>,
    created_at: DateTime<Utc>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        let Row { id, tenant_id, roles, description, requests_per_second, burst, created_at } = row;
        Self { id, tenant_id, roles: read_roles(&roles), description, requests_per_second, burst, created_at }
    }
}

/// A CHECK allows no other words.
fn read_roles(words: &[String]) -> Vec<Role> {
    words.iter().filter_map(|word| Role::parse(word)).collect()
}

impl Store {
    /// Who a key with this SHA-256 speaks for.
    pub async fn principal(&self, digest: &[u8; 32]) -> Result<Option<Principal>, StoreError> {
        let row = sqlx::query!(
            r#"SELECT k.id AS "id: KeyId", k.tenant_id AS "tenant_id: TenantId", k.roles, k.requests_per_second, k.burst
               FROM tidings.api_keys AS k LEFT JOIN tidings.tenants AS t ON t.id = k.tenant_id
               WHERE k.digest = $1 AND t.deleted_at IS NULL"#,
            digest,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| {
            let rate = Rate::of(row.requests_per_second, row.burst);
            match row.tenant_id {
                Some(tenant) => Principal::Tenant { key: row.id, tenant, roles: read_roles(&row.roles), rate },
                None => Principal::Platform { key: Some(row.id), rate },
            }
        }))
    }

    /// Stores a new key; `false` where its tenant was deleted.
    pub async fn insert_api_key(&self, key: &ApiKey, digest: &[u8; 32]) -> Result<bool, StoreError> {
        let roles: Vec<_> = key.roles.iter().map(|role| role.as_str()).collect();
        let stored = sqlx::query!(
            "INSERT INTO tidings.api_keys (id, tenant_id, roles, digest, description, requests_per_second, burst, created_at)
             SELECT $1, $2, $3::text[], $4, $5, $6, $7, $8
             WHERE $2::uuid IS NULL OR EXISTS (SELECT FROM tidings.tenants WHERE id = $2 AND deleted_at IS NULL FOR SHARE)",
            key.id as KeyId,
            key.tenant_id as Option<TenantId>,
            &roles as _,
            digest,
            key.description,
            key.requests_per_second,
            key.burst,
            key.created_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(stored.rows_affected() == 1)
    }

    /// Keys, newest first; of one tenant, where one is named.
    pub async fn api_keys(
        &self,
        tenant_id: Option<TenantId>,
        after: Option<KeyId>,
        limit: i64,
    ) -> Result<Vec<ApiKey>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT id AS "id: KeyId", tenant_id AS "tenant_id: TenantId", roles, description, requests_per_second, burst, created_at
               FROM tidings.api_keys
               WHERE ($1::uuid IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"#,
            tenant_id as Option<TenantId>,
            after as Option<KeyId>,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(ApiKey::from).collect())
    }

    /// Revokes a key; `false` where there is none.
    pub async fn delete_api_key(&self, id: KeyId) -> Result<bool, StoreError> {
        let deleted =
            sqlx::query!("DELETE FROM tidings.api_keys WHERE id = $1", id as KeyId).execute(&self.pool).await?;
        Ok(deleted.rows_affected() == 1)
    }
}
