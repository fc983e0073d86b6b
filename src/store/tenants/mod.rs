//! Tenants and their keys.

mod api_keys;

use chrono::{DateTime, Utc};

use crate::domain::ids::TenantId;
use crate::domain::tenant::{Environment, Tenant};
use crate::store::{Store, StoreError};

struct Row {
    id: TenantId,
    name: String,
    environment: String,
    default_dialect: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Tenant {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            // A CHECK allows no third word.
            environment: Environment::parse(&row.environment).unwrap_or(Environment::Live),
            default_dialect: row.default_dialect,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Store {
    /// Stores a new tenant.
    pub async fn insert_tenant(&self, tenant: &Tenant) -> Result<(), StoreError> {
        sqlx::query!(
            "INSERT INTO tidings.tenants (id, name, environment, default_dialect, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            tenant.id as TenantId,
            tenant.name,
            tenant.environment.as_str(),
            tenant.default_dialect,
            tenant.created_at,
            tenant.updated_at,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A tenant that was not deleted.
    pub async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"SELECT id AS "id: TenantId", name, environment, default_dialect, created_at, updated_at
               FROM tidings.tenants WHERE id = $1 AND deleted_at IS NULL"#,
            id as TenantId,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Tenant::from))
    }

    /// Tenants that were not deleted, newest first.
    pub async fn tenants(&self, after: Option<TenantId>, limit: i64) -> Result<Vec<Tenant>, StoreError> {
        let rows = sqlx::query_as!(
            Row,
            r#"SELECT id AS "id: TenantId", name, environment, default_dialect, created_at, updated_at
               FROM tidings.tenants WHERE deleted_at IS NULL AND ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2"#,
            after as Option<TenantId>,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Tenant::from).collect())
    }

    /// Changes what can change of a tenant; `None` leaves it as it is. If nothing changes, `updated_at` stays.
    pub async fn update_tenant(
        &self,
        id: TenantId,
        name: Option<&str>,
        default_dialect: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Option<Tenant>, StoreError> {
        let row = sqlx::query_as!(
            Row,
            r#"UPDATE tidings.tenants
               SET name = coalesce($2, name), default_dialect = coalesce($3, default_dialect),
                   updated_at = CASE WHEN name = coalesce($2, name) AND default_dialect = coalesce($3, default_dialect)
                       THEN updated_at ELSE $4 END
               WHERE id = $1 AND deleted_at IS NULL
               RETURNING id AS "id: TenantId", name, environment, default_dialect, created_at, updated_at"#,
            id as TenantId,
            name,
            default_dialect,
            now,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(Tenant::from))
    }
}
