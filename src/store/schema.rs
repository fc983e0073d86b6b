//! The schema: bringing it to this version while programs run, and telling whether a program can work with it.

use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migrator};
use tracing::info;

use super::{Store, StoreError};

/// How long a migration waits for a lock. While it waits, everybody who comes after it waits too, and the hot path gives up
/// after half a second.
const LOCK_TIMEOUT: &str = "200ms";
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// Then whatever stands in the way is a person's business.
const PATIENCE: Duration = Duration::from_mins(2);

/// This program's migrations. Later ones, which it does not know, are no hindrance: migrations expand before they contract.
fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
}

impl Store {
    /// Applies the migrations that are missing, each in a transaction of its own. One that does not get its locks at once makes
    /// way for those who wait behind it and is tried again, for two minutes at most.
    ///
    /// # Errors
    /// The database cannot be reached, or other transactions hold on to what the migrations change, or the migrations there
    /// are others of the same numbers.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            match self.try_to_migrate().await {
                Err(StoreError::Contended(_)) if begun.elapsed() < PATIENCE => {
                    info!("a migration waits for the end of another transaction");
                    tokio::time::sleep(PAUSE).await;
                }
                ended => return ended,
            }
        }
    }

    async fn try_to_migrate(&self) -> Result<(), StoreError> {
        let hosts = self.pool.hosts().with(|options| options.options([("lock_timeout", LOCK_TIMEOUT)]));
        // A connection of its own: closing it gives up the lock on migrating, however they ended.
        let mut connection = self.pool.reach_with(&hosts).await?;
        let migrated = migrator().run_direct(None, &mut connection, false).await;
        connection.close().await?;
        migrated.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => StoreError::Schema(other.to_string()),
        })
    }

    /// Says whether this program can work with the schema: every migration of its version has been applied, and no later one
    /// has taken away what it needs.
    ///
    /// # Errors
    /// [`StoreError::Schema`] names the first one missing, [`StoreError::Outgrown`] the later one.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let applied = sqlx::query_scalar::<_, i64>("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&self.pool)
            .await;
        let applied = match applied {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Vec::new(),
            other => other?,
        };
        let migrator = migrator();
        if let Some(missing) = migrator.iter().find(|migration| !applied.contains(&migration.version)) {
            let (version, description) = (missing.version, &missing.description);
            return Err(StoreError::Schema(format!("migration {version} ({description}) has not been applied")));
        }
        let floor = sqlx::query_scalar!("SELECT version FROM tidings.schema_floor").fetch_one(&self.pool).await?;
        let known = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
        if floor > known { Err(StoreError::Outgrown { floor, known }) } else { Ok(()) }
    }
}
