//! What operators see of a running Tidings: logs, metrics and traces.
//!
//! | file | shows |
//! |---|---|
//! | [`log`] | what happened, a line each, on standard error |
//! | [`meters`] | how much and how fast, for Prometheus to scrape |
//!
//! **Invariants**
//! - Nothing here decides anything: rooms above tell what they did, after they did it.
//! - Counters are looked up when something is built, not when something happens: on the road of a delivery a meter is an atomic
//!   operation or two.
//! - No label's values grow with tenants, webhooks or what callers write: words of the code, dialects and routes only.
//! - There is no global state: each [`Telemetry`] counts for itself, so several can live in one process.
//!
//! **To add** a metric: a field in the file of its noun in [`meters`], with its name and help, and a call where the thing happens.

mod config;
pub mod log;
pub mod meters;

pub use config::Config;

use meters::Meters;

/// What rooms tell what they did. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Numbers.
    pub meters: Meters,
    /// `/metrics` has a socket of its own, so that the API's does not show it.
    pub metrics_apart: bool,
}

impl Telemetry {
    /// As the configuration asks for.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { meters: Meters::default(), metrics_apart: config.metrics_listen.is_some() }
    }
}
