//! The section `server` of the configuration, as far as the API is concerned.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer};

use crate::domain::secret::Secret;

/// How the API is served. Every key may be left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `server.listen`: where to listen; `127.0.0.1:8080` by default.
    pub listen: SocketAddr,
    /// `server.platform_key`: a key that may manage tenants and keys, beside those made through the API.
    #[serde(deserialize_with = "secret")]
    pub platform_key: Option<Secret>,
    /// `server.max_event_bytes`: bytes of an event's body at most, 1,024 to 1,048,576; 262,144 by default.
    pub max_event_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::LOCALHOST, 8080).into(), platform_key: None, max_event_bytes: 256 * 1024 }
    }
}

/// An empty text is no key.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}
