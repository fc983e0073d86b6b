//! The register: where meters are made, each with its name, its help and its labels.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Upper bounds in seconds: half a millisecond, which a delivery on a local network takes, to a minute.
const SECONDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of what one statement carries, at most 1,000.
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Makes meters and renders what they say. Clones share it.
#[derive(Clone)]
pub(super) struct Register {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Register {
    pub(super) fn new() -> Self {
        let bounds = [("_seconds", &SECONDS[..]), ("_size", &SIZES)];
        let builder = bounds.into_iter().fold(PrometheusBuilder::new(), |builder, (suffix, bounds)| {
            // It refuses an empty list only.
            builder.set_buckets_for_metric(Matcher::Suffix(suffix.to_owned()), bounds).unwrap_or_default()
        });
        let recorder = builder.build_recorder();
        Self { handle: recorder.handle(), recorder: Arc::new(recorder) }
    }

    /// A number that only grows.
    pub(super) fn counter(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.recorder.describe_counter(KeyName::from_const_str(name), None, help.into());
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&self, name: &'static str, help: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        self.recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    /// How often a number was within which bounds; the name's end, `_seconds` or `_size`, says in which.
    pub(super) fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Histogram {
        self.recorder.describe_histogram(KeyName::from_const_str(name), None, help.into());
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    pub(super) fn render(&self) -> String {
        self.handle.render()
    }

    pub(super) fn fold(&self) {
        self.handle.run_upkeep();
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}
