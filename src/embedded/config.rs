//! Where the private Postgres lives, and with which settings.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use super::account::Account;

/// What `database.data_dir` and the environment say about the private Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `database.data_dir`: the folder that holds everything, made where it is missing.
    pub data_dir: PathBuf,
    /// The folder with `postgres` and `initdb` to use and no other (the variable `PG_BIN_DIR`).
    pub bin_dir: Option<PathBuf>,
    /// Server settings on top of ours, or instead of them; they take effect when a server is started, not when
    /// attaching to a live one.
    pub settings: Vec<(String, String)>,
    /// How long a start may take; recovery after a crash reads up to `max_wal_size` of log.
    pub start_timeout: Duration,
    /// How long the fast shutdown, which writes a checkpoint, may take.
    pub stop_timeout: Duration,
}

impl Config {
    /// The usual configuration for a data folder; `PG_BIN_DIR` is read from the environment.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: env::var_os("PG_BIN_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from),
            settings: Vec::new(),
            start_timeout: Duration::from_mins(2),
            stop_timeout: Duration::from_mins(1),
        }
    }

    /// `./data` where the user that Postgres runs as can enter it, else `/var/lib/tidings` (root in its home folder).
    #[must_use]
    pub fn default_data_dir() -> PathBuf {
        let here = env::current_dir().unwrap_or_default().join("data");
        match Account::of_server() {
            Ok(account) if account.barrier(&here).is_some() => PathBuf::from("/var/lib/tidings"),
            _ => here,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new(Self::default_data_dir())
    }
}
