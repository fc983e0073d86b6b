//! The section `server` of the configuration, as far as the API is concerned.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use secrecy::ExposeSecret;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::domain::secret::Secret;
use crate::domain::tenant::Rate;

/// How the API is served. Every key may be left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `server.listen`: where to listen; `127.0.0.1:8080` by default.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// `server.platform_key`: a key that may manage tenants and keys, beside those made through the API.
    #[serde(deserialize_with = "secret")]
    pub platform_key: Option<Secret>,
    /// `server.max_event_bytes`: bytes of an event's body at most, 1,024 to 1,048,576; 262,144 by default.
    pub max_event_bytes: usize,
    /// `server.replay_rate_per_second`: deliveries a second of a replay that names no rate, 1 to the maximum; 100 by default.
    pub replay_rate_per_second: u32,
    /// `server.replay_max_rate_per_second`: deliveries a second of any replay at most, 1 to 10,000; 1,000 by default.
    pub replay_max_rate_per_second: u32,
    /// `server.requests_per_second`: of a tenant's key that has no rate of its own, 0 to 100,000; 0, without limit, by default: keys
    /// are made by the platform, for services it knows, and a limit nobody chose would refuse events at the worst time.
    pub requests_per_second: u32,
    /// `server.console`: whether the pages of the console are there, beside the API; yes by default.
    pub console: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            platform_key: None,
            max_event_bytes: 256 * 1024,
            replay_rate_per_second: 100,
            replay_max_rate_per_second: 1_000,
            requests_per_second: 0,
            console: true,
        }
    }
}

/// What every platform key begins with.
const PLATFORM_PREFIX: &str = "tk_platform_";

impl Config {
    /// Checks what the types cannot say; the error names the key, and nothing of a secret.
    pub fn validate(&self) -> Result<(), String> {
        let (least, most) = (1_024, 1_024 * 1_024);
        if !(least..=most).contains(&self.max_event_bytes) {
            let value = self.max_event_bytes;
            return Err(format!("`server.max_event_bytes` is {value}; it must be from {least} to {most}"));
        }
        let (usual, most) = (self.replay_rate_per_second, self.replay_max_rate_per_second);
        if !(1..=10_000).contains(&most) {
            return Err(format!("`server.replay_max_rate_per_second` is {most}; it must be from 1 to 10000"));
        }
        if !(1..=most).contains(&usual) {
            return Err(format!(
                "`server.replay_rate_per_second` is {usual}; it must be from 1 to `server.replay_max_rate_per_second`, which is {most}"
            ));
        }
        let most = 100_000;
        if self.requests_per_second > most {
            let value = self.requests_per_second;
            return Err(format!("`server.requests_per_second` is {value}; it must be from 0 (no limit) to {most}"));
        }
        let rest = self.platform_key.as_ref().map(|key| key.expose_secret().strip_prefix(PLATFORM_PREFIX));
        let is_key = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
        if rest.is_none_or(|rest| rest.is_some_and(is_key)) {
            return Ok(());
        }
        Err(format!(
            "`server.platform_key` must begin with `{PLATFORM_PREFIX}` and be visible ASCII characters; `echo {PLATFORM_PREFIX}$(openssl rand -hex 24)` makes one"
        ))
    }
}

impl Config {
    /// The rate of a tenant's key that has none of its own.
    pub(super) fn default_rate(&self) -> Option<Rate> {
        NonZeroU32::new(self.requests_per_second).map(|per_second| Rate { per_second, burst: per_second })
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.trim().parse().map_err(|_| {
        D::Error::custom(format_args!("`{text}` is not an IP address and a port, such as 127.0.0.1:8080 or [::]:8080"))
    })
}

/// An empty text is no key.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}
