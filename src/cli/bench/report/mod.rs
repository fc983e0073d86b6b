//! What a bench found: for people, for scripts, and as a picture.

mod charts;
mod finding;
mod numbers;
mod panel;
mod table;

use std::thread;

use serde::Serialize;

use super::scenarios::{Outcome, Scenario};
use crate::cli::Failure;
use crate::cli::paint::Paint;

pub(in crate::cli) use finding::{Finding, ratio};
pub(in crate::cli) use numbers::grouped;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Report {
    version: &'static str,
    machine: Machine,
    seed: u64,
    scenarios: Vec<Outcome>,
    left_out: Vec<LeftOut>,
}

/// The host.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Machine {
    cores: usize,
    system: &'static str,
}

/// A scenario that could not be carried out.
#[derive(Debug, Serialize)]
struct LeftOut {
    scenario: Scenario,
    reason: String,
}

impl Machine {
    /// This one.
    pub(in crate::cli) fn here() -> Self {
        Self { cores: thread::available_parallelism().map_or(1, Into::into), system: std::env::consts::OS }
    }
}

impl Report {
    /// Of nothing yet.
    pub(in crate::cli) const fn new(machine: Machine, seed: u64) -> Self {
        Self { version: env!("CARGO_PKG_VERSION"), machine, seed, scenarios: Vec::new(), left_out: Vec::new() }
    }

    /// Adds what a scenario showed.
    pub(in crate::cli) fn add(&mut self, outcome: Outcome) {
        self.scenarios.push(outcome);
    }

    /// Notes why a scenario was not carried out.
    pub(in crate::cli) fn leave_out(&mut self, scenario: Scenario, failure: &Failure) {
        let reason = failure.text(Paint::OFF).trim_start_matches("error: ").to_owned();
        self.left_out.push(LeftOut { scenario, reason });
    }

    /// Whether nothing was measured.
    pub(in crate::cli) const fn is_empty(&self) -> bool {
        self.scenarios.is_empty() && self.left_out.is_empty()
    }

    /// As an SVG picture.
    pub(in crate::cli) fn plot(&self) -> String {
        charts::svg(&self.scenarios)
    }

    /// For people.
    pub(in crate::cli) fn text(&self, paint: Paint) -> String {
        let Machine { cores, system } = self.machine;
        let mut parts = vec![paint.bold(format!("Tidings {} on {system}, {cores} cores", self.version))];
        parts.extend(table::table(&self.scenarios));
        parts.extend(self.scenarios.iter().map(|outcome| findings(outcome, paint)));
        parts.extend(
            self.left_out.iter().map(|LeftOut { scenario, reason }| {
                format!("{} was left out: {reason}", paint.bold(scenario.as_str()))
            }),
        );
        parts.join("\n\n")
    }
}

/// What a scenario found, beside its goals, and what went wrong in it.
fn findings(outcome: &Outcome, paint: Paint) -> String {
    let Outcome { scenario, trials, findings } = outcome;
    let mut lines = vec![format!("{}: {}", paint.bold(scenario.as_str()), scenario.about())];
    lines.extend(findings.iter().map(|finding| format!("  {}", finding.text(paint))));
    for flow in trials.iter().flat_map(|trial| &trial.flows) {
        if let Some(example) = &flow.error_example {
            let told = format!("{} of {} requests failed, such as: {example}", flow.errors, flow.name);
            lines.push(format!("  {} {told}", paint.red("✗")));
        }
        if flow.lost > 0 {
            let told = format!("{} deliveries of {} were accepted and did not arrive", flow.lost, flow.name);
            lines.push(format!("  {} {told}", paint.red("✗")));
        }
    }
    lines.join("\n")
}

/// What can be measured.
pub(in crate::cli) fn list(paint: Paint) -> String {
    let line = |scenario: Scenario| {
        let name = paint.bold(format!("{:<10}", scenario.as_str()));
        format!("{name} {}\n{:10} {}", scenario.about(), "", paint.dim(format!("goal: {}", scenario.goal())))
    };
    let lines = Scenario::ALL.map(line).join("\n");
    format!("{lines}\n\nThe goals are for two cores that producers, receivers, Postgres and Tidings share.")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::bench::measure::{Cost, FlowFigures, Measured, Moment};

    fn flow(name: &str, factor: f64) -> FlowFigures {
        let moment = |second: u32| Moment {
            at_seconds: f64::from(second),
            delivered_per_second: 12_000.0 / factor,
            p50_ms: Some(0.5 * factor),
            p99_ms: (second != 2).then_some(4.0 * factor),
        };
        FlowFigures {
            name: name.into(),
            accepted: 240_000,
            accepted_per_second: 12_034.6,
            accept_p50_ms: Some(1.2),
            accept_p99_ms: Some(6.5),
            delivered: 239_998,
            delivered_per_second: 12_012.3,
            p50_ms: Some(1.534 * factor),
            p99_ms: Some(14.21 * factor),
            p999_ms: Some(108.9 * factor),
            lost: 2,
            duplicates: 0,
            errors: 0,
            error_example: None,
            timeline: (1..=4).map(moment).collect(),
        }
    }

    /// Figures as they might be.
    pub(in crate::cli::bench) fn outcomes() -> Vec<Outcome> {
        let cost = |cpu| Cost { cpu_seconds: 12.5, cpu_us_per_delivery: Some(cpu), peak_memory_mib: 48.25 };
        let single = Measured {
            name: "single".into(),
            flows: vec![flow("single", 1.0)],
            tidings: Some(cost(61.04)),
            postgres: Some(cost(33.5)),
            wal_bytes_per_delivery: Some(1_720.4),
        };
        let mut hanging = flow("hanging", 2.0);
        (hanging.delivered, hanging.delivered_per_second) = (0, 0.0);
        (hanging.p50_ms, hanging.p99_ms, hanging.p999_ms, hanging.lost) = (None, None, None, 0);
        (hanging.errors, hanging.error_example) = (3, Some("status 503: busy".into()));
        let beside = Measured {
            name: "beside one that hangs".into(),
            flows: vec![flow("healthy", 2.0), hanging],
            tidings: None,
            postgres: None,
            wal_bytes_per_delivery: None,
        };
        let found = Finding::at_least("deliveries", Some(12_012.3), 10_000.0, "/s");
        let slow = Finding::at_most("p99 beside / alone", Some(2.0), 1.2, "×");
        let unknown = Finding::at_most("WAL a delivery", None, 1_900.0, "bytes");
        vec![
            Outcome { scenario: Scenario::Single, trials: vec![single], findings: vec![found, unknown] },
            Outcome { scenario: Scenario::Noisy, trials: vec![beside], findings: vec![slow] },
        ]
    }

    #[test]
    fn the_report_lies_in_columns_and_says_what_was_reached() {
        let mut report = Report::new(Machine { cores: 2, system: "linux" }, 1);
        for outcome in outcomes() {
            report.add(outcome);
        }
        report.leave_out(Scenario::Start, &Failure::told("`start` starts Tidings itself: leave out --url"));
        let text = report.text(Paint::OFF).replace(env!("CARGO_PKG_VERSION"), "0.0.0");
        insta::assert_snapshot!("report", text);
    }

    #[test]
    fn the_list_has_every_scenario() {
        insta::assert_snapshot!("list", list(Paint::OFF));
    }
}
