//! `tidings bench`: how much a deployment can take, what it costs, and how long deliveries are on their way.
//!
//! ```text
//!   load: producers ──→ Tidings ──→ receivers (a child process) ──→ measure: ledger
//!                        ↑ ↓                                          │
//!                       Postgres ←── measure: meters                  └─→ report
//! ```
//!
//! | folder | does |
//! |---|---|
//! | [`scenarios`] | what can be measured: which trials, and what they show |
//! | [`ground`] | Postgres, Tidings, receivers, tenants and webhooks |
//! | [`load`] | producers that send events |
//! | [`measure`] | a trial: what arrived, what it cost |
//! | [`report`] | a table, JSON, a plot |
//! | [`wire`] | what the bench and its receivers say to each other |
//!
//! **Invariants**
//! - The bench is a different process from what it measures, and the receivers are yet another: the CPU that is
//!   reported is that of Tidings and of Postgres alone.
//! - It uses the REST API as anybody does. The database is only looked at (and, in one scenario, kept waiting).
//! - A latency begins with the producer's call and ends with the receiver's last byte.
//! - Whatever it started ends with it, also when it is killed.
//!
//! **To add** a scenario: a variant of [`scenarios::Scenario`] and a function beside the others.

mod ground;
pub(super) mod keep;
mod load;
mod measure;
mod options;
pub(super) mod receive;
mod report;
mod scenarios;
mod screen;
mod wire;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tokio_util::sync::CancellationToken;

use super::Failure;
use super::paint::Paint;
use crate::config::{Config, Loaded};
use ground::Ground;
use report::{Machine, Report};
use scenarios::{Outcome, Scenario, Stage};
use screen::Screen;

pub(super) use options::{EXAMPLES, Options};

/// Our own processes say little, unless somebody wants to hear more.
pub(super) fn settle(loaded: Loaded) -> Config {
    let quiet = loaded.is_default("log.level");
    let mut config = loaded.config;
    if quiet {
        "warn".clone_into(&mut config.log.level);
    }
    config
}

/// Measures what was asked for and reports it.
pub(super) async fn run(
    options: Options,
    config: &Config,
    config_file: Option<PathBuf>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    if options.list {
        writeln!(io::stdout(), "{}", report::list(Paint::for_stdout()))?;
        return Ok(());
    }
    // What is wrong with all of them is no reason to leave each out.
    options.site()?;
    let screen = Screen::new();
    let mut report = Report::new(Machine::here(), options.seed);
    for scenario in options.chosen() {
        let outcome = carry_out(scenario, &options, config, config_file.clone(), &screen, &shutdown).await;
        screen.clear();
        match outcome {
            Ok(outcome) => report.add(outcome),
            Err(failure) if options.is_lenient() && !shutdown.is_cancelled() => report.leave_out(scenario, &failure),
            // What was measured before is not lost with it.
            Err(failure) => {
                show(&report, &options)?;
                return Err(failure);
            }
        }
    }
    show(&report, &options)
}

/// One scenario on a ground of its own, which is cleared whatever happens.
async fn carry_out(
    scenario: Scenario,
    options: &Options,
    config: &Config,
    config_file: Option<PathBuf>,
    screen: &Screen,
    shutdown: &CancellationToken,
) -> Result<Outcome, Failure> {
    screen.say(&format!("{}: starting …", scenario.as_str()));
    let ground = Ground::prepare(options, config, config_file).await?;
    let measured = {
        let stage = Stage { options, ground: &ground, screen };
        let measuring = stage.carry_out(scenario);
        shutdown.run_until_cancelled(measuring).await
    };
    ground.clear().await;
    measured.unwrap_or_else(|| Err(Failure::told("interrupted; everything that was started has ended")))
}

/// Into one file, or into a folder with a file for each scenario.
fn draw(report: &Report, path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        return fs::write(path, report.plot());
    }
    report.plots().try_for_each(|(scenario, svg)| fs::write(path.join(scenario.as_str()).with_extension("svg"), svg))
}

fn show(report: &Report, options: &Options) -> Result<(), Failure> {
    if report.is_empty() {
        return Ok(());
    }
    let text = if options.json {
        serde_json::to_string(report)?
    } else if options.markdown {
        report.markdown()
    } else {
        report.text(Paint::for_stdout())
    };
    let told = writeln!(io::stdout(), "{text}");
    // What cannot be printed is drawn all the same, and the other way round: measuring took minutes.
    if let Some(path) = &options.plot {
        draw(report, path)
            .map_err(|error| Failure::told(format!("cannot write --plot {}: {error}", path.display())))?;
    }
    Ok(told?)
}
