//! Why the program does not start, each time with what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::config;
use crate::dialect::DialectError;
use crate::domain::secret::SecretError;
use crate::embedded::EmbeddedError;
use crate::net;
use crate::store::{self, StoreError};
use crate::telemetry::traces::ExportError;

/// Why the program does not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database cannot be used.
    #[error(
        "the database at {address} cannot be used: check `database.url`, and that the server runs and lets this user in"
    )]
    Database {
        /// The URL without its password.
        address: String,
        /// What hinders.
        source: StoreError,
    },
    /// The schema is older than this program.
    #[error("{0}, or start with `tidings serve --migrate`")]
    Schema(StoreError),
    /// The migrations do not fit what is there.
    #[error("the database's schema cannot be brought to this version: {0}. Was this database made by something else?")]
    Migrate(String),
    /// A migration failed, most likely for want of rights.
    #[error(
        "the database refused a migration. If it lacks rights: the role that migrates needs CREATE on the database and on its schema `public`"
    )]
    MigrateRefused(#[source] StoreError),
    /// Somebody holds on to what a migration changes.
    #[error(
        "the schema cannot be changed while other transactions hold on to its tables: look for old ones in pg_stat_activity, end them, and run this again"
    )]
    MigrateContended(#[source] StoreError),
    /// The schema is beyond this program.
    #[error("{0}; start that later version")]
    Outgrown(StoreError),
    /// A statement failed while the program was put together.
    #[error("the database does not do what it should")]
    Statement(#[source] StoreError),
    /// The private server does not run.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// No master key.
    #[error(
        "`secrets.master_key` is not set, and without it no signing secret can be kept. Make one with `openssl rand -base64 32`, keep it safe, and set it in the file of --config or as TIDINGS__SECRETS__MASTER_KEY"
    )]
    NoMasterKey,
    /// A master key is missing, or of the wrong shape.
    #[error("{0}")]
    MasterKey(SecretError),
    /// A dialect's file is wrong.
    #[error("a dialect cannot be used: {0}")]
    Dialect(#[from] DialectError),
    /// Nothing can be sent.
    #[error(transparent)]
    Egress(#[from] net::ConfigError),
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(#[from] ExportError),
    /// Something cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

impl AppError {
    pub(super) fn database(config: &store::Config, source: StoreError) -> Self {
        Self::Database { address: config::without_password(&config.url), source }
    }
}

/// An address that cannot be listened on, and the setting that chooses it.
#[derive(Debug)]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// The key or the option.
    pub setting: &'static str,
    /// Why not.
    pub source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, setting, source } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "another program listens on {address}: stop it, or choose another port with {setting}")
            }
            io::ErrorKind::PermissionDenied => {
                write!(f, "this user may not listen on {address}: choose a port above 1023 with {setting}")
            }
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "{address} is no address of this host: choose one with {setting}, or 0.0.0.0 for all of them")
            }
            _ => write!(f, "cannot listen on {address}, which {setting} names"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
