//! Connections: one pool for requests and chores, one for the hot path.

use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgPool};

use super::StoreError;

/// Section `database` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A `postgres://` URL, or `embedded` for a private server.
    pub url: String,
    /// Where the embedded server keeps its data; empty chooses `data/postgres` in the working folder where that works.
    pub data_dir: String,
    /// Connections for requests and chores.
    pub connections: u32,
    /// Connections for accept, claim and settle.
    pub hot_connections: u32,
    /// Seconds to wait for a free connection before a request is answered 503.
    pub acquire_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "embedded".to_owned(),
            data_dir: String::new(),
            connections: 10,
            hot_connections: 8,
            acquire_seconds: 3,
        }
    }
}

/// The database. Clones share the pools.
#[derive(Debug, Clone)]
pub struct Store {
    /// For requests and chores.
    pub(super) pool: PgPool,
    /// For accept, claim and settle, whose plans must not depend on yesterday's statistics.
    pub(super) hot: PgPool,
}

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

impl Store {
    /// Connects lazily to the server at `url`, which takes the place of the configured one where that is `embedded`.
    ///
    /// # Errors
    /// The URL is not a `postgres://` URL.
    pub fn connect(url: &str, config: &Config) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.application_name("tidings").disable_statement_logging();
        // Only sqlx's own table of migrations has no schema in its name. A role called `tidings` would look for it in the
        // schema of that name, which is not there before the first migration, and so apply everything a second time.
        let options = options.options([("search_path", "public")]);
        // The outbox can grow from nothing to a million rows faster than statistics follow; a plan chosen for an empty
        // table would then read it whole.
        let hot = options.clone().options([("enable_seqscan", "off"), ("jit", "off")]);
        let wait = Duration::from_secs(config.acquire_seconds);
        let pool = |size| PgPoolOptions::new().max_connections(size).acquire_timeout(wait).idle_timeout(None);
        Ok(Self {
            pool: pool(config.connections).connect_lazy_with(options.options([("jit", "off")])),
            hot: pool(config.hot_connections).connect_lazy_with(hot),
        })
    }

    /// Applies the migrations that are missing.
    ///
    /// # Errors
    /// The database cannot be reached, or was migrated by a later version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        MIGRATOR.run(&self.pool).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            other => StoreError::Schema(other.to_string()),
        })?;
        Ok(())
    }

    /// Says whether every migration of this version has been applied. A later version's are no hindrance: migrations
    /// expand before they contract.
    ///
    /// # Errors
    /// [`StoreError::Schema`] names the first one missing.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        let applied = sqlx::query_scalar::<_, i64>("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(&self.pool)
            .await;
        let applied = match applied {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Vec::new(),
            other => other?,
        };
        match MIGRATOR.iter().find(|migration| !applied.contains(&migration.version)) {
            Some(missing) => Err(StoreError::Schema(format!(
                "migration {} ({}) has not been applied",
                missing.version, missing.description
            ))),
            None => Ok(()),
        }
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query!("SELECT 1 AS one").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Closes all connections, waiting for statements under way.
    pub async fn close(&self) {
        self.hot.close().await;
        self.pool.close().await;
    }
}
