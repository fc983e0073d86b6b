//! The table: a line for each flow of each trial.

use comfy_table::{CellAlignment, Table, presets};

use super::numbers::{grouped, known, short};
use crate::cli::bench::measure::{FlowFigures, Measured};
use crate::cli::bench::scenarios::Outcome;

/// What stands above the columns, in two lines.
const HEADINGS: [&str; 13] = [
    "\ntrial",
    "accepted\n/s",
    "delivered\n/s",
    "p50\nms",
    "p99\nms",
    "p999\nms",
    "Tidings\nCPU µs",
    "Postgres\nCPU µs",
    "WAL\nbytes",
    "memory\nMiB",
    "\nlost",
    "\ntwice",
    "\nerrors",
];

/// What the columns mean, as far as their headings leave it open.
pub(super) const NOTES: &str = "A latency is from the producer's call to the receiver's last byte; CPU and WAL are for a delivery; memory is the \
                     most of Tidings.";

/// The trials of all scenarios; nothing where there were none.
pub(super) fn table(outcomes: &[Outcome]) -> Option<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADINGS);
    for Outcome { scenario, trials, .. } in outcomes {
        // A trial's own name says enough where there is one trial, named after its scenario.
        let is_alone = matches!(&trials[..], [only] if only.name == scenario.as_str());
        if outcomes.len() > 1 && !is_alone && !trials.is_empty() {
            table.add_row([format!("{}:", scenario.as_str())]);
        }
        for row in trials.iter().flat_map(rows) {
            table.add_row(row);
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    (table.row_count() > 0).then(|| format!("{}\n\n{NOTES}", table.trim_fmt()))
}

/// The same of one scenario for a page in Markdown.
pub(super) fn markdown(trials: &[Measured]) -> Option<String> {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | ").trim_start());
    let headings = HEADINGS.map(|heading| heading.trim_start().replace('\n', " "));
    let mut lines = vec![line(&headings), format!("|---|{}", "---:|".repeat(HEADINGS.len() - 1))];
    lines.extend(trials.iter().flat_map(rows).map(|row| line(&row)));
    (!trials.is_empty()).then(|| lines.join("\n"))
}

fn rows(trial: &Measured) -> impl Iterator<Item = Vec<String>> {
    trial.flows.iter().enumerate().map(|(index, flow)| row(trial, flow, index == 0))
}

/// What is of the whole trial stands in its first line.
fn row(trial: &Measured, flow: &FlowFigures, is_first: bool) -> Vec<String> {
    let name = match (is_first, trial.flows.len()) {
        (true, 1) => trial.name.clone(),
        (true, _) => format!("{}: {}", trial.name, flow.name),
        (false, _) => format!("  {}", flow.name),
    };
    let of_trial = |value: Option<f64>| if is_first { known(value) } else { String::new() };
    vec![
        name,
        short(flow.accepted_per_second),
        short(flow.delivered_per_second),
        known(flow.p50_ms),
        known(flow.p99_ms),
        known(flow.p999_ms),
        of_trial(trial.tidings.and_then(|cost| cost.cpu_us_per_delivery)),
        of_trial(trial.postgres.and_then(|cost| cost.cpu_us_per_delivery)),
        of_trial(trial.wal_bytes_per_delivery),
        of_trial(trial.tidings.map(|cost| cost.peak_memory_mib)),
        grouped(flow.lost),
        grouped(flow.duplicates),
        grouped(flow.errors),
    ]
}
