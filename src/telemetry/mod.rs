//! What operators see of a running Tidings: logs, metrics and traces.
//!
//! | file | shows |
//! |---|---|
//! | [`log`] | what happened, a line each, on standard error |
//! | [`meters`] | how much and how fast, for Prometheus to scrape |
//! | [`traces`] | where the time of one event went, for a collector of OpenTelemetry |
//!
//! **Invariants**
//! - Nothing here decides anything: rooms above tell what they did, after they did it.
//! - Counters are looked up when something is built, not when something happens: on the road of a delivery a meter is an atomic
//!   operation or two. A span is made only where its trace is recorded.
//! - No label's values grow with tenants, webhooks or what callers write: words of the code, dialects and routes only.
//! - There is no global state but the log: each [`Telemetry`] counts for itself, so several can live in one process.
//!
//! **To add** a metric: a field in the file of its noun in [`meters`], with its name and help, and a call where the thing happens.

mod config;
pub mod log;
pub mod meters;
pub mod traces;

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

pub use config::Config;

use meters::Meters;
use traces::{Export, ExportError, Tracer};

/// Where rooms report what they did. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Numbers.
    pub meters: Meters,
    /// Makes spans.
    pub tracer: Tracer,
    /// `/metrics` has a socket of its own, so that the API's does not show it.
    pub metrics_apart: bool,
    /// Waits for [`Telemetry::keep`].
    export: Arc<Mutex<Option<Export>>>,
}

impl Telemetry {
    /// As the configuration asks for.
    pub fn new(config: &Config) -> Result<Self, ExportError> {
        let meters = Meters::default();
        let (tracer, export) = Tracer::new(config, &meters)?;
        let metrics_apart = config.metrics_listen.is_some();
        Ok(Self { meters, tracer, metrics_apart, export: Arc::new(Mutex::new(export)) })
    }

    /// Exports spans and keeps memory within bounds, until told to end; what is left is exported then.
    pub async fn keep(&self, end: CancellationToken) {
        let export = self.export.lock().unwrap_or_else(PoisonError::into_inner).take();
        let export = async {
            if let Some(export) = export {
                export.run(end.clone()).await;
            }
        };
        tokio::join!(end.run_until_cancelled(self.meters.keep()), export);
    }
}
