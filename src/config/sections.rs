//! Sections that belong to the program as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::ExposeSecret;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::domain::secret::{MasterKey, Secret};

/// Section `server`: the API.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where it listens.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The first platform key.
    pub platform_key: Option<Secret>,
}

impl Default for Server {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), platform_key: None }
    }
}

impl Server {
    const KEY_PREFIX: &str = "tk_platform_";

    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), String> {
        let Some(key) = &self.platform_key else { return Ok(()) };
        let rest = key.expose_secret().strip_prefix(Self::KEY_PREFIX).unwrap_or_default();
        if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        Err(format!(
            "`server.platform_key` must begin with `{}` and be visible ASCII characters; `echo tk_platform_$(openssl rand -hex 24)` makes one",
            Self::KEY_PREFIX
        ))
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |_| {
        D::Error::custom(format_args!("`{text}` is not an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"))
    };
    text.trim().parse().map_err(wrong)
}

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
    /// Days for events, attempts and dead letters.
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
