//! The configuration: what each room asks for, read from three layers.
//!
//! `config/default.toml` (built in) < a file (`--config`) < environment variables `TIDINGS__SECTION__KEY`.
//!
//! **Invariants**
//! - Each room owns its section's struct, defaults and ranges; this module only assembles them.
//! - A wrong section, key or value stops the program, and is reported with the file and line, or the variable, and with
//!   what is allowed. All of them are reported together.
//! - No secret's value is in an error, in `Debug` or in what [`Loaded`] shows.
//!
//! **To add** a key: the room's struct and its `Default`, and a commented line in `config/default.toml`. A test compares
//! them.

mod blame;
mod layers;
mod problem;
mod sections;
mod show;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use crate::{api, dispatch, net, store, telemetry};
use layers::Layers;

pub use layers::{Origin, Setting};
pub use problem::{ConfigError, Problem};
pub use sections::{Dialects, Process, Retention, Secrets};
pub use show::without_password;

/// Every setting of the program.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The API.
    pub server: api::Config,
    /// The database.
    pub database: store::Config,
    /// Keys that protect other secrets.
    pub secrets: Secrets,
    /// Where requests may be sent.
    pub egress: net::Config,
    /// The loop that delivers.
    pub dispatch: dispatch::Config,
    /// How long things are kept.
    pub retention: Retention,
    /// Further dialects.
    pub dialects: Dialects,
    /// What the process takes of its host.
    pub process: Process,
    /// Logs.
    pub log: telemetry::log::Config,
    /// Metrics and traces.
    pub telemetry: telemetry::Config,
}

impl Config {
    /// Asks each room whether its section is in range; the error names the key.
    fn validate(&self) -> Result<(), String> {
        self.server.validate()?;
        self.database.validate()?;
        self.secrets.validate()?;
        self.egress.validate().map_err(|error| error.to_string())?;
        self.dispatch.validate()?;
        self.retention.validate()?;
        self.process.validate()?;
        self.log.validate()?;
        self.telemetry.validate()?;
        let listen = self.server.listen;
        match self.telemetry.metrics_listen.filter(|metrics| exclude_each_other(*metrics, listen)) {
            None => Ok(()),
            Some(metrics) => Err(format!(
                "`telemetry.metrics_listen` is {metrics} and `server.listen` is {listen}, which exclude each other: choose another port for one of them"
            )),
        }
    }
}

/// Whether only one socket can listen on these. Port 0 is another one each time; `[::]` takes IPv4 as well.
fn exclude_each_other(one: SocketAddr, other: SocketAddr) -> bool {
    let plain = |mut address: SocketAddr| {
        address.set_ip(address.ip().to_canonical());
        address
    };
    let covers = |all: SocketAddr, one: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    let (one, other) = (plain(one), plain(other));
    one.port() == other.port() && one.port() != 0 && (one == other || covers(one, other) || covers(other, one))
}

/// A configuration, and where each value in it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    settings: Vec<Setting>,
}

impl Loaded {
    /// Reads all layers. `environment` is every variable of the process.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::built_in()?;
        if let Some(path) = file {
            layers.apply_file(path)?;
        }
        layers.apply_environment(environment);
        let config = layers.read(|config: &Config| config.validate())?;
        Ok(Self { config, settings: layers.settings })
    }

    /// Whether nobody has set this key, such as `server.listen`.
    #[must_use]
    pub fn is_default(&self, name: &str) -> bool {
        self.settings.iter().all(|setting| setting.name() != name || setting.origin == Origin::Default)
    }
}
