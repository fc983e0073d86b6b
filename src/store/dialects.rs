//! Dialects: the revisions that deliveries were accepted under, and which one is current.

use super::{Store, StoreError};
use crate::domain::lease::DialectRevision;

/// A dialect on offer, as a process read it from its file.
#[derive(Debug, Clone, Copy)]
pub struct DialectText<'a> {
    /// Its name.
    pub name: &'a str,
    /// The TOML text that deliveries depend on.
    pub source: &'a str,
    /// The event types it lists; `None` means any.
    pub event_types: Option<&'a [String]>,
}

impl Store {
    /// Makes these dialects current, each under the revision that its text has or is given now.
    pub async fn publish_dialects(&self, dialects: &[DialectText<'_>]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        for dialect in dialects {
            sqlx::query!(
                "WITH revision AS (
                     INSERT INTO tidings.dialect_revisions (name, digest, source)
                     VALUES ($1, sha256(convert_to($2, 'UTF8')), $2)
                     ON CONFLICT (name, digest) DO UPDATE SET name = excluded.name
                     RETURNING id
                 )
                 INSERT INTO tidings.dialects (name, revision, event_types) SELECT $1, id, $3 FROM revision
                 ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, event_types = excluded.event_types",
                dialect.name,
                dialect.source,
                dialect.event_types,
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The text of a revision.
    pub async fn dialect_source(&self, revision: DialectRevision) -> Result<Option<String>, StoreError> {
        let source = sqlx::query_scalar!("SELECT source FROM tidings.dialect_revisions WHERE id = $1", revision.0)
            .fetch_optional(&self.pool)
            .await?;
        Ok(source)
    }
}
