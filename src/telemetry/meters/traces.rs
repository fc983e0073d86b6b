//! Spans on their way to a collector.

use metrics::Counter;

use super::register::Register;

/// What is counted of traces.
pub struct Traces {
    exported: Counter,
    dropped: Counter,
}

impl Traces {
    pub(super) fn new(register: &Register) -> Self {
        Self {
            exported: register.counter("tidings_spans_exported_total", "Spans that the collector of traces took.", &[]),
            dropped: register.counter(
                "tidings_spans_dropped_total",
                "Spans that were dropped, because the collector was away or slow.",
                &[],
            ),
        }
    }

    /// The collector took spans.
    pub fn exported(&self, spans: usize) {
        self.exported.increment(spans as u64);
    }

    /// Spans were dropped.
    pub fn dropped(&self, spans: usize) {
        self.dropped.increment(spans as u64);
    }
}
