//! What a bench found: for people, for scripts, and as a picture.

mod charts;
mod finding;
mod machine;
mod numbers;
mod panel;
mod table;

use serde::Serialize;

use super::measure::{FlowFigures, Measured};
use super::scenarios::{Outcome, Scenario};
use crate::cli::Failure;
use crate::cli::paint::Paint;

pub(in crate::cli) use finding::{Finding, ratio};
pub(in crate::cli) use machine::Machine;
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

/// A scenario that could not be carried out.
#[derive(Debug, Serialize)]
struct LeftOut {
    scenario: Scenario,
    reason: String,
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

    /// As one SVG picture.
    pub(in crate::cli) fn plot(&self) -> String {
        charts::svg(&self.scenarios)
    }

    /// As a picture for each scenario that has something to draw.
    pub(in crate::cli) fn plots(&self) -> impl Iterator<Item = (Scenario, String)> {
        let drawn = self.scenarios.iter().filter(|outcome| !outcome.trials.is_empty());
        drawn.map(|outcome| (outcome.scenario, charts::svg(std::slice::from_ref(outcome))))
    }

    /// For a page in Markdown: a heading, a table and the findings for each scenario.
    pub(in crate::cli) fn markdown(&self) -> String {
        let mut parts = vec![format!("Tidings {} on {}. {}", self.version, self.machine, table::NOTES)];
        for outcome in &self.scenarios {
            let Outcome { scenario, trials, .. } = outcome;
            parts.push(format!("### `{}`: {}", scenario.as_str(), scenario.about()));
            parts.extend(table::markdown(trials));
            parts.push(told(outcome, Paint::OFF).map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n"));
        }
        let left_out =
            |LeftOut { scenario, reason }: &LeftOut| format!("`{}` was left out: {reason}", scenario.as_str());
        parts.extend(self.left_out.iter().map(left_out));
        parts.retain(|part| !part.is_empty());
        parts.join("\n\n")
    }

    /// For people.
    pub(in crate::cli) fn text(&self, paint: Paint) -> String {
        let mut parts = vec![paint.bold(format!("Tidings {} on {}", self.version, self.machine))];
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

/// A scenario and what is told of it.
fn findings(outcome: &Outcome, paint: Paint) -> String {
    let Outcome { scenario, .. } = outcome;
    let mut lines = vec![format!("{}: {}", paint.bold(scenario.as_str()), scenario.about())];
    lines.extend(told(outcome, paint).map(|line| format!("  {line}")));
    lines.join("\n")
}

/// With this share of the processors' time gone, figures say more about the neighbours than about Tidings.
const MUCH: f64 = 0.02;

/// What a scenario found, beside its goals, and what went wrong in it.
fn told(outcome: &Outcome, paint: Paint) -> impl Iterator<Item = String> {
    let findings = outcome.findings.iter().map(move |finding| finding.text(paint));
    let wrong = outcome.trials.iter().flat_map(|trial| &trial.flows).flat_map(move |flow| {
        let FlowFigures { name, errors, lost, .. } = flow;
        let failed = flow.error_example.as_ref();
        let failed = failed.map(|example| format!("{errors} requests of {name} failed, such as: {example}"));
        let lost = (*lost > 0).then(|| format!("{lost} deliveries of {name} were accepted and did not arrive"));
        failed.into_iter().chain(lost).map(move |told| format!("{} {told}", paint.red("✗")))
    });
    let stolen = outcome.trials.iter().filter_map(|Measured { name, stolen, .. }| {
        let percent = stolen.filter(|share| *share >= MUCH)? * 100.0;
        Some(format!(
            "! {percent:.0}% of the processors' time went to other virtual machines during \"{name}\": measure it again"
        ))
    });
    findings.chain(wrong).chain(stolen)
}

/// What can be measured.
pub(in crate::cli) fn list(paint: Paint) -> String {
    let line = |scenario: Scenario| {
        let name = paint.bold(format!("{:<10}", scenario.as_str()));
        let [full, quick] = scenario.takes();
        let aside = format!("{:10} goal: {}\n{:10} takes {full}; {quick} with --quick", "", scenario.goal(), "");
        format!("{name} {}\n{}", scenario.about(), paint.dim(aside))
    };
    let lines = Scenario::ALL.map(line).join("\n");
    format!("{lines}\n\nThe goals are for two cores that producers, receivers, Postgres and Tidings share.")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::bench::measure::{Cost, Moment};

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
            stolen: Some(0.003),
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
            stolen: Some(0.148),
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
        let text = report().text(Paint::OFF).replace(env!("CARGO_PKG_VERSION"), "0.0.0");
        insta::assert_snapshot!("report", text);
    }

    #[test]
    fn a_page_has_a_table_for_each_scenario() {
        let markdown = report().markdown().replace(env!("CARGO_PKG_VERSION"), "0.0.0");
        insta::assert_snapshot!("markdown", markdown);
    }

    fn report() -> Report {
        let machine = Machine { system: "linux", cores: 2, processor: None, memory_gib: Some(24) };
        let mut report = Report::new(machine, 1);
        for outcome in outcomes() {
            report.add(outcome);
        }
        report.leave_out(Scenario::Start, &Failure::told("`start` starts Tidings itself: leave out --url"));
        report
    }

    #[test]
    fn the_list_has_every_scenario() {
        insta::assert_snapshot!("list", list(Paint::OFF));
    }
}
