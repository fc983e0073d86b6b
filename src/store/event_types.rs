//! The catalogue: the event types that a tenant has described.

use chrono::{DateTime, Utc};

use super::outbox::dispatchers::Snapshot;
use super::{Store, StoreError};
use crate::domain::event_type::EventType;
use crate::domain::ids::TenantId;
use crate::domain::page::MAX_BYTES;

/// What an event must be to be accepted, as far as its type says.
#[derive(Debug)]
pub struct TypeRule {
    /// The type.
    pub name: String,
    /// The schema of its data.
    pub schema: Option<String>,
    /// Since when it is on its way out.
    pub deprecated_at: Option<DateTime<Utc>>,
}

/// What became of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Described {
    /// The type is new in the catalogue.
    Added,
    /// It takes the place of what was said before.
    Replaced,
    /// The catalogue is full.
    Full,
    /// There is no such tenant.
    NoTenant,
}

/// What is new about catalogues since a look.
#[derive(Debug)]
pub struct CatalogueNews {
    /// What this look has seen.
    pub snapshot: Snapshot,
    /// Tenants whose catalogue changed, and whether it has any type now.
    pub changed: Vec<(TenantId, bool)>,
}

impl Store {
    /// Which catalogues changed since a snapshot; without one, all there are.
    pub async fn catalogue_news(&self, since: Option<&Snapshot>) -> Result<CatalogueNews, StoreError> {
        let row = sqlx::query!(
            r#"WITH news AS MATERIALIZED (
                   SELECT c.tenant_id, EXISTS (SELECT FROM tidings.event_types AS t WHERE t.tenant_id = c.tenant_id) AS is_there
                   FROM tidings.catalogues AS c
                   WHERE $1::text IS NULL OR c.changed >= pg_snapshot_xmin($1::text::pg_snapshot)
                         AND NOT pg_visible_in_snapshot(c.changed, $1::text::pg_snapshot)
               )
               SELECT pg_current_snapshot()::text AS "snapshot!",
                      ARRAY(SELECT tenant_id FROM news WHERE is_there) AS "filled!: Vec<TenantId>",
                      ARRAY(SELECT tenant_id FROM news WHERE NOT is_there) AS "emptied!: Vec<TenantId>""#,
            since,
        )
        .fetch_one(&self.pool)
        .await?;
        let filled = row.filled.into_iter().map(|id| (id, true));
        let changed = filled.chain(row.emptied.into_iter().map(|id| (id, false))).collect();
        Ok(CatalogueNews { snapshot: row.snapshot, changed })
    }

    /// What a tenant's catalogue says of each type.
    pub async fn type_rules(&self, tenant_id: TenantId) -> Result<Vec<TypeRule>, StoreError> {
        let rules = sqlx::query_as!(
            TypeRule,
            "SELECT name, schema, deprecated_at FROM tidings.event_types WHERE tenant_id = $1",
            tenant_id as TenantId,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rules)
    }

    /// A tenant's event types, newest first, those described before the one numbered `after`: at most `limit`, or up to the first that
    /// is too much for a page.
    pub async fn event_types(
        &self,
        tenant_id: TenantId,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<EventType>, StoreError> {
        let types = sqlx::query_as!(
            EventType,
            "SELECT name, description, schema, example, deprecated_at, created_at, updated_at, number
             FROM (SELECT *, sum(coalesce(octet_length(schema), 0) + coalesce(octet_length(example), 0)) OVER
                          (ORDER BY number DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before
                   FROM tidings.event_types
                   WHERE tenant_id = $1 AND ($2::bigint IS NULL OR number < $2) ORDER BY number DESC LIMIT $3) AS page
             WHERE coalesce(bytes_before, 0) <= $4 ORDER BY number DESC",
            tenant_id as TenantId,
            after,
            limit,
            i64::try_from(MAX_BYTES).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(types)
    }

    /// An event type, where the tenant has described it.
    pub async fn event_type(&self, tenant_id: TenantId, name: &str) -> Result<Option<EventType>, StoreError> {
        let found = sqlx::query_as!(
            EventType,
            "SELECT name, description, schema, example, deprecated_at, created_at, updated_at, number
             FROM tidings.event_types WHERE tenant_id = $1 AND name = $2",
            tenant_id as TenantId,
            name,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(found)
    }

    /// The types that a tenant has given an example of, by name.
    pub async fn types_with_example(&self, tenant_id: TenantId) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar!(
            "SELECT name FROM tidings.event_types WHERE tenant_id = $1 AND example IS NOT NULL ORDER BY name",
            tenant_id as TenantId,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(names)
    }

    /// Describes an event type, in place of what was said of it before; a catalogue has at most `most` types. A type that was
    /// deprecated and still is has been so since then.
    pub async fn describe_event_type(
        &self,
        tenant_id: TenantId,
        described: &EventType,
        most: i64,
    ) -> Result<Described, StoreError> {
        let mut transaction = self.pool.begin().await?;
        // Changes of one catalogue wait for each other here, and for a tenant that is being deleted.
        let marked = sqlx::query!(
            "INSERT INTO tidings.catalogues AS c (tenant_id)
             SELECT id FROM tidings.tenants WHERE id = $1 AND deleted_at IS NULL FOR SHARE
             ON CONFLICT (tenant_id) DO UPDATE SET changed = pg_current_xact_id()",
            tenant_id as TenantId,
        )
        .execute(&mut *transaction)
        .await?;
        if marked.rows_affected() == 0 {
            return Ok(Described::NoTenant);
        }
        let found = sqlx::query!(
            r#"SELECT count(*) AS "types!", coalesce(bool_or(name = $2), false) AS "known!"
               FROM tidings.event_types WHERE tenant_id = $1"#,
            tenant_id as TenantId,
            described.name,
        )
        .fetch_one(&mut *transaction)
        .await?;
        if !found.known && found.types >= most {
            return Ok(Described::Full);
        }
        sqlx::query!(
            "INSERT INTO tidings.event_types AS t
                 (tenant_id, name, description, schema, example, deprecated_at, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
             ON CONFLICT (tenant_id, name) DO UPDATE SET
                 description = excluded.description, schema = excluded.schema, example = excluded.example,
                 deprecated_at = CASE WHEN excluded.deprecated_at IS NOT NULL
                                      THEN coalesce(t.deprecated_at, excluded.deprecated_at) END,
                 updated_at = excluded.updated_at",
            tenant_id as TenantId,
            described.name,
            described.description,
            described.schema,
            described.example,
            described.deprecated_at,
            described.updated_at,
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(if found.known { Described::Replaced } else { Described::Added })
    }

    /// Takes an event type out of the catalogue; `false` where it is not there. The catalogue is locked first, as whoever describes one does.
    pub async fn forget_event_type(&self, tenant_id: TenantId, name: &str) -> Result<bool, StoreError> {
        let forgotten = sqlx::query_scalar!(
            r#"WITH marked AS (
                   UPDATE tidings.catalogues SET changed = pg_current_xact_id() WHERE tenant_id = $1 RETURNING 1
               ), forgotten AS (
                   DELETE FROM tidings.event_types
                   WHERE tenant_id = $1 AND name = $2 AND EXISTS (SELECT FROM marked) RETURNING 1
               )
               SELECT count(*) AS "count!" FROM forgotten"#,
            tenant_id as TenantId,
            name,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(forgotten == 1)
    }
}
