//! The figures of a trial.

use serde::Serialize;

use super::ledger::Arrivals;
use super::percentile::Latencies;
use crate::cli::bench::load::Driven;

/// What a trial showed.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct Measured {
    /// Its name.
    pub(in crate::cli) name: String,
    /// By flow.
    pub(in crate::cli) flows: Vec<FlowFigures>,
    /// What all Tidings processes used together; `None` where it cannot be known.
    pub(in crate::cli) tidings: Option<Cost>,
    /// What Postgres used.
    pub(in crate::cli) postgres: Option<Cost>,
    /// Bytes of Postgres' log for each delivery of all flows.
    pub(in crate::cli) wal_bytes_per_delivery: Option<f64>,
    /// The share of the processors' time that the host gave to other virtual machines, from 0 to 1.
    pub(in crate::cli) stolen: Option<f64>,
}

impl Measured {
    /// CPU of Tidings and Postgres together; `None` where one of them cannot be known.
    pub(in crate::cli) fn cpu_us_per_delivery(&self) -> Option<f64> {
        Some(self.tidings?.cpu_us_per_delivery? + self.postgres?.cpu_us_per_delivery?)
    }
}

/// What processes used in a trial.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in crate::cli) struct Cost {
    /// CPU time.
    pub(in crate::cli) cpu_seconds: f64,
    /// The same for each delivery of all flows; `None` where there was none.
    pub(in crate::cli) cpu_us_per_delivery: Option<f64>,
    /// The most memory at any time.
    pub(in crate::cli) peak_memory_mib: f64,
}

/// What became of a flow's events.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct FlowFigures {
    /// Its name.
    pub(in crate::cli) name: String,
    /// Events accepted.
    pub(in crate::cli) accepted: u64,
    /// From the first request to the last acceptance.
    pub(in crate::cli) accepted_per_second: f64,
    /// From request to answer, in milliseconds.
    pub(in crate::cli) accept_p50_ms: Option<f64>,
    /// Likewise.
    pub(in crate::cli) accept_p99_ms: Option<f64>,
    /// Deliveries that were taken, each counted once.
    pub(in crate::cli) delivered: u64,
    /// From the first request to the last arrival.
    pub(in crate::cli) delivered_per_second: f64,
    /// From the producer's call to the receiver's last byte, in milliseconds.
    pub(in crate::cli) p50_ms: Option<f64>,
    /// Likewise.
    pub(in crate::cli) p99_ms: Option<f64>,
    /// Likewise.
    pub(in crate::cli) p999_ms: Option<f64>,
    /// Accepted and not delivered.
    pub(in crate::cli) lost: u64,
    /// Taken more than once.
    pub(in crate::cli) duplicates: u64,
    /// Requests refused or without an answer.
    pub(in crate::cli) errors: u64,
    /// What one of those was.
    pub(in crate::cli) error_example: Option<String>,
    /// How it went over time.
    pub(in crate::cli) timeline: Vec<Moment>,
}

/// A quarter of a second, or more in a long trial.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(in crate::cli) struct Moment {
    /// Its end, from the trial's start.
    pub(in crate::cli) at_seconds: f64,
    /// Deliveries in it.
    pub(in crate::cli) delivered_per_second: f64,
    /// Of those.
    pub(in crate::cli) p50_ms: Option<f64>,
    /// Of those.
    pub(in crate::cli) p99_ms: Option<f64>,
}

/// Points of a timeline at most: a line of a plot has no more room.
const MOMENTS: usize = 240;

impl FlowFigures {
    /// Of what was sent and what arrived. `is_awaited` says whether its receivers take deliveries at all; else none of
    /// them is lost.
    pub(super) fn new(name: &str, driven: Driven, arrivals: &Arrivals, is_awaited: bool) -> Self {
        let first = driven.first_ns.unwrap_or_default();
        let per_second = |count: u64, last_ns: u64| {
            let seconds = f(last_ns.saturating_sub(first)) / 1e9;
            if seconds > 0.0 { f(count) / seconds } else { 0.0 }
        };
        let all = Latencies::of(arrivals.moments.concat());
        let accepts = Latencies::of(driven.answers_us);
        Self {
            name: name.to_owned(),
            accepted: driven.accepted,
            accepted_per_second: per_second(driven.accepted, driven.last_ns),
            accept_p50_ms: accepts.at(0.5),
            accept_p99_ms: accepts.at(0.99),
            delivered: arrivals.delivered,
            delivered_per_second: per_second(arrivals.delivered, arrivals.last_ns),
            p50_ms: all.at(0.5),
            p99_ms: all.at(0.99),
            p999_ms: all.at(0.999),
            lost: if is_awaited { arrivals.lost(&driven.acknowledged) } else { 0 },
            duplicates: arrivals.duplicates,
            errors: driven.errors,
            error_example: driven.example,
            timeline: timeline(&arrivals.moments),
        }
    }
}

fn timeline(moments: &[Vec<u32>]) -> Vec<Moment> {
    let together = moments.len().div_ceil(MOMENTS).max(1);
    let chunks = moments.chunks(together).enumerate();
    let moment = |(index, chunk): (usize, &[Vec<u32>])| {
        let width = Arrivals::MOMENT.as_secs_f64();
        let delivered: usize = chunk.iter().map(Vec::len).sum();
        let latencies = Latencies::of(chunk.concat());
        Moment {
            at_seconds: f((index * together + chunk.len()) as u64) * width,
            delivered_per_second: f(delivered as u64) / (f(chunk.len() as u64) * width),
            p50_ms: latencies.at(0.5),
            p99_ms: latencies.at(0.99),
        }
    };
    chunks.map(moment).collect()
}

/// A count as a number to divide.
#[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^52")]
pub(super) const fn f(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_has_a_rate_and_latencies_for_each_moment() {
        let line = timeline(&[vec![1_000, 3_000], vec![]]);
        let first = Moment { at_seconds: 0.25, delivered_per_second: 8.0, p50_ms: Some(1.0), p99_ms: Some(3.0) };
        let second = Moment { at_seconds: 0.5, delivered_per_second: 0.0, p50_ms: None, p99_ms: None };
        assert_eq!(line, [first, second]);
    }

    #[test]
    fn a_long_one_has_fewer_points_and_the_same_deliveries() {
        let line = timeline(&vec![vec![500]; 1_000]);
        assert_eq!(line.len(), 200);
        assert!(line.iter().all(|moment| (moment.delivered_per_second - 4.0).abs() < 1e-9));
        assert!((line[199].at_seconds - 250.0).abs() < 1e-9);
    }
}
