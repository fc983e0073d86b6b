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

/// The trials of all scenarios; nothing where there were none.
pub(super) fn table(outcomes: &[Outcome]) -> Option<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(HEADINGS);
    for trial in outcomes.iter().flat_map(|outcome| &outcome.trials) {
        for (index, flow) in trial.flows.iter().enumerate() {
            table.add_row(row(trial, flow, index == 0));
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let notes = "A latency is from the producer's call to the receiver's last byte; CPU and WAL are for a delivery; memory is the \
                 most of Tidings.";
    (table.row_count() > 0).then(|| format!("{}\n\n{notes}", table.trim_fmt()))
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
