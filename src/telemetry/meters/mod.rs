//! Meters: numbers for Prometheus, held by those who count.
//!
//! Names begin with `tidings_`, values are in seconds and bytes; `process_…` are those that every Prometheus client has.

mod accept;
mod api;
mod database;
mod dispatch;
mod process;
mod register;
mod traces;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use accept::{Accept, Source};
pub use api::Api;
pub use database::{Database, Holdings, Pool};
pub use dispatch::{Dialect, Dispatch};

pub use traces::Traces;

use process::Process;
use register::Register;

/// Samples are folded into buckets this often, whether anybody scrapes or not: until then each takes memory.
const FOLD_EVERY: Duration = Duration::from_secs(5);

/// Everything that is counted. Clones share it.
#[derive(Clone)]
pub struct Meters(Arc<All>);

/// The meters, noun by noun.
pub struct All {
    /// Events on their way in.
    pub accept: Accept,
    /// Requests to the REST API.
    pub api: Api,
    /// Deliveries on their way out.
    pub dispatch: Dispatch,
    /// What the database holds, and the connections to it.
    pub database: Database,
    /// Spans on their way to a collector.
    pub traces: Traces,
    process: Process,
    register: Register,
}

impl Default for Meters {
    fn default() -> Self {
        let register = Register::new();
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        register.gauge("tidings_build_info", "1, labelled with the version of this program.", &build).set(1.0);
        Self(Arc::new(All {
            accept: Accept::new(&register),
            api: Api::new(&register),
            dispatch: Dispatch::new(&register),
            database: Database::new(&register),
            traces: Traces::new(&register),
            process: Process::new(&register),
            register,
        }))
    }
}

impl Meters {
    /// All numbers in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.read();
        self.register.render()
    }

    /// Keeps the memory that samples take within bounds, for ever.
    pub(super) async fn keep(&self) {
        loop {
            self.register.fold();
            tokio::time::sleep(FOLD_EVERY).await;
        }
    }
}

impl Deref for Meters {
    type Target = All;

    fn deref(&self) -> &All {
        &self.0
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_explained_and_named_in_base_units() {
        let meters = Meters::default();
        meters.dispatch.dialect("standard");
        meters.api.route("POST", Some("/v1/events"));
        let text = meters.render();
        let typed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(typed.len() > 30, "{text}");
        for line in typed {
            let (name, kind) = line.split_once(' ').expect("a name and a kind");
            assert!(text.contains(&format!("# HELP {name} ")), "{name} is not explained");
            assert!(name.starts_with("tidings_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
            let is_in_base_units = ["_seconds", "_size", "_deliveries"].iter().any(|unit| name.ends_with(unit));
            assert!(kind != "histogram" || is_in_base_units, "{name}");
            assert!(!["_ms", "_millis", "_micros", "_kib"].iter().any(|unit| name.contains(unit)), "{name}");
        }
    }

    #[test]
    fn two_tell_their_own_numbers() {
        let (one, other) = (Meters::default(), Meters::default());
        one.dispatch.handed_off(3);
        assert!(one.render().contains("tidings_deliveries_taken_total{way=\"hand_off\"} 3"));
        assert!(other.render().contains("tidings_deliveries_taken_total{way=\"hand_off\"} 0"));
    }
}
