//! The database, and the private server beneath it, where there is one.

use std::path::PathBuf;

use super::AppError;
use crate::embedded::{self, DATABASE, Server};
use crate::store::{self, Store, StoreError};

/// What `database.url` says for a private server.
const EMBEDDED: &str = "embedded";

/// A database that answers.
#[derive(Debug)]
pub struct Database {
    /// The statements.
    pub store: Store,
    server: Option<Server>,
}

impl Database {
    /// Starts or attaches to the private server, where that is configured, and connects.
    pub async fn open(config: &store::Config) -> Result<Self, AppError> {
        let server = match config.url.as_str() {
            EMBEDDED => Some(Server::start(&embedded::Config::new(data_dir(config))).await?),
            _ => None,
        };
        let url = server.as_ref().map_or_else(|| config.url.clone(), |server| server.url(DATABASE));
        let told = |error| AppError::database(config, error);
        let store = Store::connect(&url, config).map_err(told)?;
        store.reach().await.map_err(told)?;
        Ok(Self { store, server })
    }

    /// Brings the schema to this version where that is asked for, and says whether this program can work with it.
    pub async fn prepare(&self, migrate: bool) -> Result<(), AppError> {
        if migrate {
            self.store.migrate().await.map_err(|error| match error {
                StoreError::Schema(told) => AppError::Migrate(told),
                StoreError::Contended(_) => AppError::MigrateContended(error),
                StoreError::Failed(_) => AppError::MigrateRefused(error),
                other => AppError::Statement(other),
            })?;
        }
        self.store.check_schema().await.map_err(|error| match error {
            StoreError::Schema(_) => AppError::Schema(error),
            StoreError::Outgrown { .. } => AppError::Outgrown(error),
            other => AppError::Statement(other),
        })
    }

    /// The port of the private server, where there is one.
    #[must_use]
    pub fn embedded_port(&self) -> Option<u16> {
        self.server.as_ref().map(Server::port)
    }

    /// Waits until the private server has ended, and says so; for ever where there is none.
    pub async fn gone(&self) -> AppError {
        match &self.server {
            Some(server) => server.gone().await.into(),
            None => std::future::pending().await,
        }
    }

    /// Closes the connections, and stops the private server if nobody else uses it.
    pub async fn close(self) -> Result<(), AppError> {
        self.store.close().await;
        match self.server {
            Some(server) => Ok(server.stop().await?),
            None => Ok(()),
        }
    }
}

/// Where the private server keeps its data.
#[must_use]
pub fn data_dir(config: &store::Config) -> PathBuf {
    match config.data_dir.as_str() {
        "" => embedded::Config::default_data_dir(),
        configured => PathBuf::from(configured),
    }
}
