//! The section `egress` of the configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// How and where Tidings sends. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `egress.allow`: networks that are let through beside public addresses, as `10.0.0.0/8`, `fd00::/8` or a single
    /// address. None by default.
    #[serde(deserialize_with = "networks")]
    pub allow: Vec<IpNet>,
    /// `egress.deny`: networks that nothing is sent to, even if `egress.allow` lists them: this host's address beyond a
    /// NAT, one's own public services, a NAT64 prefix of one's own. None by default.
    #[serde(deserialize_with = "networks")]
    pub deny: Vec<IpNet>,
    /// `egress.ports`: the ports that may be sent to, 1 to 65,535; empty, the default, means any.
    #[serde(deserialize_with = "ports")]
    pub ports: Vec<u16>,
    /// `egress.connect_timeout_seconds`: whole seconds for look-up, connection and TLS handshake together, 1 to 60;
    /// 3 by default. The time for the whole attempt runs on meanwhile.
    pub connect_timeout_seconds: u16,
    /// `egress.extra_ca_file`: a PEM file of certificate authorities that are trusted beside the system's.
    pub extra_ca_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new(), ports: Vec::new(), connect_timeout_seconds: 3, extra_ca_file: None }
    }
}

/// Why no sender can be made from a configuration; each text names the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The time to connect is out of range.
    #[error("`egress.connect_timeout_seconds` is {0}: it must be from 1 to 60")]
    ConnectTimeout(u16),
    /// Port 0 is listed.
    #[error("`egress.ports` lists 0: ports are 1 to 65535")]
    PortZero,
    /// The file of extra authorities cannot be read.
    #[error("`egress.extra_ca_file`: cannot read {path}")]
    ReadCa {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file of extra authorities holds no certificate.
    #[error("`egress.extra_ca_file`: {path} holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)")]
    ParseCa {
        /// The file.
        path: PathBuf,
    },
    /// The host has no certificate authorities.
    #[error("cannot set up TLS: install the system's CA certificates (package `ca-certificates`)")]
    NoAuthorities,
    /// The TLS library refuses its settings.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
}

impl Config {
    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !(1..=60).contains(&self.connect_timeout_seconds) {
            return Err(ConfigError::ConnectTimeout(self.connect_timeout_seconds));
        }
        if self.ports.contains(&0) {
            return Err(ConfigError::PortZero);
        }
        Ok(())
    }
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| network(text.trim()).ok_or_else(|| not_a_network(text))).collect()
}

fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    let numbers = Vec::<i64>::deserialize(deserializer)?;
    let told = |number| serde::de::Error::custom(format_args!("`{number}` is no port: they are 1 to 65535"));
    numbers.into_iter().map(|number| u16::try_from(number).map_err(|_| told(number))).collect()
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok())
}

fn not_a_network<E: serde::de::Error>(text: &str) -> E {
    E::custom(format_args!("`{text}` is not a network: write `10.0.0.0/8`, `fd00::/8` or a single address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_and_a_wrong_one_is_named() {
        assert_eq!(toml::from_str::<Config>("").expect("defaults"), Config::default());
        let config: Config = toml::from_str("allow = ['127.0.0.0/8', '::1']\nports = [443]").expect("a config");
        assert_eq!(config.allow[1].to_string(), "::1/128");
        let error = toml::from_str::<Config>("allow = ['10.0.0/8']").expect_err("a bad network");
        assert!(error.message().starts_with("`10.0.0/8` is not a network"), "{error}");
        assert!(toml::from_str::<Config>("alow = []").expect_err("a typo").message().contains("`alow`"));
    }

    #[test]
    fn ranges_are_checked() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate()
        };
        assert!(with(|_| ()).is_ok());
        assert!(matches!(with(|c| c.connect_timeout_seconds = 0), Err(ConfigError::ConnectTimeout(0))));
        assert!(matches!(with(|c| c.ports = vec![443, 0]), Err(ConfigError::PortZero)));
    }
}
