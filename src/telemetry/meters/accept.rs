//! Events on their way in, as this process sees them. What `tidings.enqueue` stores never passes through a process: it shows
//! in the deliveries that are claimed.

use std::time::Duration;

use metrics::{Counter, Histogram};

use super::register::Register;

/// How an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// By `POST /v1/events`.
    Rest,
    /// By `POST /v1/events/batch`.
    Batch,
}

/// What is counted of accepting.
pub struct Accept {
    rest: Counter,
    batch: Counter,
    duplicates: Counter,
    batch_size: Histogram,
    duration: Histogram,
}

impl Accept {
    pub(super) fn new(register: &Register) -> Self {
        let accepted = |source| {
            let help = "Events stored by this process. Those of tidings.enqueue are stored by their producers.";
            register.counter("tidings_events_accepted_total", help, &[("source", source)])
        };
        Self {
            rest: accepted("rest"),
            batch: accepted("batch"),
            duplicates: register.counter(
                "tidings_events_duplicate_total",
                "Events that were not stored again, because their idempotency key was used for the same content.",
                &[],
            ),
            batch_size: register.histogram("tidings_accept_batch_size", "Events in one accepting statement.", &[]),
            duration: register.histogram(
                "tidings_accept_duration_seconds",
                "From the start of an accepting statement to its commit.",
                &[],
            ),
        }
    }

    /// A statement stored events, or found that it had.
    pub fn stored(&self, source: Source, events: usize, duplicates: usize) {
        let accepted = match source {
            Source::Rest => &self.rest,
            Source::Batch => &self.batch,
        };
        accepted.increment(events as u64);
        if duplicates > 0 {
            self.duplicates.increment(duplicates as u64);
        }
    }

    /// A statement with this many events ended after this time.
    pub fn flushed(&self, events: usize, took: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "at most 1,000")]
        self.batch_size.record(events as f64);
        self.duration.record(took);
    }
}
