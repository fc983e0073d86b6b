//! Which charts there are: for each trial its latencies and its rate over time; for a series of trials how they differ.

use std::fmt::Write;

use super::panel::{Across, HEIGHT, Panel, Series, WIDTH, text};
use crate::cli::bench::measure::{FlowFigures, Measured, Moment};
use crate::cli::bench::scenarios::{Outcome, Scenario};

/// Between rows of panels, with room for a title.
const GAP: f64 = 34.0;
const STYLE: &str = "text{font:11px system-ui,sans-serif;fill:#333}.title{font-weight:600}.value{font-size:10px;fill:#555}.name{font-size:15px;font-weight:600}\
                     line{stroke:#ddd}";

/// Two panels beside each other, under a title.
struct Row {
    title: String,
    panels: [Panel; 2],
}

/// The picture.
pub(super) fn svg(outcomes: &[Outcome]) -> String {
    let rows: Vec<_> = outcomes.iter().flat_map(rows_of).collect();
    let (width, each) = (WIDTH * 2.0, HEIGHT + GAP);
    #[expect(clippy::cast_precision_loss, reason = "a few rows")]
    let height = each.mul_add(rows.len() as f64, 20.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    let mut top = 20.0;
    for Row { title, panels } in rows {
        text(&mut out, 14.0, top, "start", "name", &title);
        let [left, right] = panels;
        let _ = write!(out, "{}{}", left.svg(0.0, top + 6.0), right.svg(WIDTH, top + 6.0));
        top += each;
    }
    out.push_str("</svg>\n");
    out
}

fn rows_of(outcome: &Outcome) -> Vec<Row> {
    let name = outcome.scenario.as_str();
    if outcome.scenario == Scenario::Growth {
        let series = outcome.trials.chunk_by(|left, right| first_word(left) == first_word(right));
        return series.map(|trials| growth(name, trials)).collect();
    }
    outcome.trials.iter().map(|trial| over_time(name, trial)).collect()
}

/// Trials of one series begin with the same word.
fn first_word(trial: &Measured) -> &str {
    trial.name.split([' ', ':']).next().unwrap_or_default()
}

fn over_time(scenario: &str, trial: &Measured) -> Row {
    let name = |flow: &FlowFigures, what: &str| match trial.flows.len() {
        1 => what.to_owned(),
        _ => format!("{} {what}", flow.name),
    };
    let series = |flow: &FlowFigures, what: &str, value: fn(&Moment) -> Option<f64>| Series {
        name: name(flow, what),
        points: flow.timeline.iter().map(|moment| (moment.at_seconds, value(moment))).collect(),
    };
    let flows = || trial.flows.iter().filter(|flow| flow.delivered > 0);
    let latencies = flows()
        .flat_map(|flow| [series(flow, "p50", |moment| moment.p50_ms), series(flow, "p99", |moment| moment.p99_ms)]);
    let rates = flows().map(|flow| series(flow, "delivered", |moment| Some(moment.delivered_per_second)));
    let title = if trial.name == scenario { scenario.to_owned() } else { format!("{scenario}: {}", trial.name) };
    let panel = |title: &str, is_logarithmic, series| Panel {
        title: title.to_owned(),
        across: Across::Time,
        is_logarithmic,
        series,
    };
    let panels =
        [panel("latency, ms", true, latencies.collect()), panel("deliveries a second", false, rates.collect())];
    Row { title, panels }
}

fn growth(scenario: &str, trials: &[Measured]) -> Row {
    let word = trials.first().map(first_word).unwrap_or_default();
    let names = || trials.iter().map(|trial| trial.name[word.len()..].trim_matches([' ', ':']).to_owned()).collect();
    let series = |name: &str, value: &dyn Fn(&Measured) -> Option<f64>| Series {
        name: name.to_owned(),
        points: (0_u32..).zip(trials).map(|(index, trial)| (index.into(), value(trial))).collect(),
    };
    let cpu = vec![
        series("Tidings", &|trial| trial.tidings?.cpu_us_per_delivery),
        series("Postgres", &|trial| trial.postgres?.cpu_us_per_delivery),
    ];
    let p99 = vec![series("p99", &|trial| trial.flows.first()?.p99_ms)];
    let panel = |title: &str, is_logarithmic, series| Panel {
        title: title.to_owned(),
        across: Across::Names(names()),
        is_logarithmic,
        series,
    };
    let panels = [panel("CPU a delivery, µs", false, cpu), panel("p99, ms", true, p99)];
    Row { title: format!("{scenario}: {word}"), panels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::report::tests::outcomes;

    #[test]
    fn each_trial_has_its_latencies_and_its_rate() {
        let svg = svg(&outcomes());
        insta::assert_snapshot!("plot", svg);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }

    #[test]
    fn a_series_lies_in_one_chart() {
        let [mut first] = outcomes().swap_remove(0).trials.try_into().expect("one trial");
        "rate 100/s".clone_into(&mut first.name);
        let mut trials = vec![first.clone(), first.clone(), first];
        "rate: all it takes".clone_into(&mut trials[1].name);
        "payload 1 KiB".clone_into(&mut trials[2].name);
        let rows = rows_of(&Outcome { scenario: Scenario::Growth, trials, findings: Vec::new() });
        let titles: Vec<_> = rows.iter().map(|row| row.title.as_str()).collect();
        assert_eq!(titles, ["growth: rate", "growth: payload"]);
        let Across::Names(names) = &rows[0].panels[0].across else { panic!("names") };
        assert_eq!(names, &["100/s", "all it takes"]);
    }
}
