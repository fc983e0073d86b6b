//! The command line: what a person types, what they are shown, and the exit code.
//!
//! | code | means |
//! |---|---|
//! | 0 | done, or ended by a signal in good order |
//! | 1 | it did not work; standard error has a sentence that says what to do |
//! | 2 | the command line itself is wrong |
//! | 130 | ended at once, by a second signal |
//!
//! **Invariants**
//! - What a command is for goes to standard output; logs and errors go to standard error.
//! - Nobody is shown a `Debug` text, a panic or a backtrace.
//!
//! **To add** a command: a variant of [`Command`] with a sentence and an example, and a file here.

/// `println!` to a reader who may be gone already (`| head`), which is no reason to panic.
macro_rules! say {
    ($($text:tt)*) => {
        // Whoever does not read on does not miss it.
        drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*))))
    };
}

mod bench;
mod check_config;
mod dev;
mod failure;
mod healthcheck;
mod layout;
mod lifeline;
mod listen;
mod openapi;
pub mod paint;
pub mod receiver;
mod serve;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime;

use crate::config::Loaded;
use crate::{shutdown, telemetry::log};
pub use failure::Failure;
use paint::Paint;

/// Tidings delivers webhooks: it accepts events, signs them, sends them to every webhook that wants them, tries again
/// until they arrive, and keeps what could not be delivered
#[derive(Debug, Parser)]
#[command(name = "tidings", version, max_term_width = 100, disable_help_subcommand = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// A TOML file with settings that differ from the built-in ones
    #[arg(long, global = true, value_name = "FILE", display_order = 900)]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  tidings dev                                      try it out, with nothing set up
  tidings listen --secret whsec_…                  see what a webhook sends
  TIDINGS__LOG__LEVEL=debug tidings serve          any setting as a variable
  tidings check-config --config tidings.toml       what is in force, and why";

#[derive(Debug, Subcommand)]
enum Command {
    /// Try Tidings out: a Postgres of its own, the API, the dispatcher, a receiver and a sample event
    #[command(after_help = dev::EXAMPLES)]
    Dev,
    /// Run the service: the REST API, the dispatcher, or both
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Options),
    /// Bring the database's schema to this version, then exit
    Migrate,
    /// Receive webhooks here: verify, print and answer them
    #[command(after_help = listen::EXAMPLES)]
    Listen(listen::Options),
    /// Measure what a deployment can take, and what a delivery costs
    #[command(after_help = bench::EXAMPLES)]
    Bench(Box<bench::Options>),
    /// The receivers of a bench, which starts them
    #[command(hide = true)]
    BenchReceiver(bench::receive::Options),
    /// Say whether the configuration is good, and where each value comes from
    CheckConfig,
    /// Print the description of the API (OpenAPI 3.1, JSON)
    Openapi,
    /// Exit with 0 if the API on this host answers (for HEALTHCHECK in a container)
    #[command(hide = true)]
    Healthcheck,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            drop(writeln!(std::io::stderr(), "{}", failure.text(Paint::for_stderr())));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let loaded = Loaded::load(cli.config.as_deref(), std::env::vars_os())?;
    match &cli.command {
        Command::CheckConfig => return check_config::run(&loaded),
        Command::Openapi => return openapi::run(&loaded.config),
        Command::Healthcheck => return healthcheck::run(loaded.config.server.listen),
        _ => {}
    }
    let config = match &cli.command {
        Command::Dev => dev::settle(loaded),
        Command::Bench(_) => bench::settle(loaded),
        _ => loaded.config,
    };
    log::init(&config.log, Paint::for_stderr().is_on()).map_err(Failure::told)?;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let shutdown = shutdown::on_signals()?;
        match cli.command {
            Command::Dev => dev::run(config, shutdown).await,
            Command::Serve(options) => serve::run(options, config, shutdown).await,
            Command::Migrate => serve::migrate(&config).await,
            Command::Listen(options) => listen::run(options, &config, shutdown).await,
            Command::Bench(options) => bench::run(*options, &config, cli.config, shutdown).await,
            Command::BenchReceiver(options) => bench::receive::run(options, shutdown).await,
            Command::CheckConfig | Command::Openapi | Command::Healthcheck => Ok(()),
        }
    });
    // What hangs on purpose does not hold up the end.
    runtime.shutdown_background();
    done
}
