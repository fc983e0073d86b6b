//! Sections that belong to the program as a whole.

use std::path::PathBuf;

use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::domain::secret::{MasterKey, Secret};

/// Section `secrets`: keys that protect other secrets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// Seals every secret in the database: 32 bytes in base64.
    pub master_key: Option<Secret>,
}

impl Secrets {
    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), String> {
        let Some(key) = &self.master_key else { return Ok(()) };
        let read = MasterKey::from_base64(key.expose_secret());
        read.map(drop).map_err(|error| format!("`secrets.master_key`: {error}"))
    }
}

/// Section `retention`: how long things are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days for events and their attempts, unless a delivery is pending or dead.
    pub days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: 30 }
    }
}

impl Retention {
    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), String> {
        if (1..=3_650).contains(&self.days) {
            return Ok(());
        }
        Err(format!("`retention.days` is {}; it must be from 1 to 3650", self.days))
    }
}

/// Section `dialects`: dialects beside the built-in ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dialects {
    /// A folder with one TOML file for each.
    pub dir: Option<PathBuf>,
}
