//! Sections that belong to the program as a whole.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread::available_parallelism;

use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::domain::secret::{MasterKey, MasterKeys, Secret, SecretError};

/// Section `secrets`: keys that protect other secrets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secrets {
    /// Seals every secret in the database: 32 bytes in base64.
    pub master_key: Option<Secret>,
    /// Further keys of the same shape, which open what they sealed.
    pub further_master_keys: Vec<Secret>,
}

impl Secrets {
    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), String> {
        let further = self.further_master_keys.iter().map(|key| ("further_master_keys", key));
        for (name, key) in self.master_key.iter().map(|key| ("master_key", key)).chain(further) {
            MasterKey::from_base64(key.expose_secret()).map_err(|error| format!("`secrets.{name}`: {error}"))?;
        }
        self.keys().map(drop).map_err(|error| format!("`secrets.further_master_keys`: {error}"))
    }

    /// The keys, where there is one that seals.
    pub fn keys(&self) -> Result<Option<MasterKeys>, SecretError> {
        let read = |key: &Secret| MasterKey::from_base64(key.expose_secret());
        let Some(sealing) = &self.master_key else { return Ok(None) };
        let further = self.further_master_keys.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        MasterKeys::new(read(sealing)?, further).map(Some)
    }
}

/// Section `process`: what a process takes of its host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Threads that answer, store and send, up to 1,024; 0 for one to each processor that the process may use.
    pub threads: u16,
}

impl Process {
    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.threads <= 1_024 {
            return Ok(());
        }
        let threads = self.threads;
        Err(format!("`process.threads` is {threads}; it must be from 0 (one to each processor) to 1024"))
    }

    /// Threads of each of so many processes that share this host.
    #[must_use]
    pub fn threads_each(&self, processes: usize) -> usize {
        match self.threads {
            0 => (available_parallelism().map_or(1, NonZero::get) / processes.max(1)).max(1),
            threads => threads.into(),
        }
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
