//! The command line: what a person types, what they are shown, and the exit code.
//!
//! | code | means |
//! |---|---|
//! | 0 | done, or ended by a signal in good order |
//! | 1 | it did not work; standard error has a sentence that says what to do |
//! | 2 | the command line itself is wrong |
//! | 3 | what was asked for is not there |
//! | 4 | the key is missing, not valid, or may not do this |
//! | 5 | the API could not be reached |
//! | 130 | ended at once, by a second signal |
//!
//! **Invariants**
//! - What a command is for goes to standard output; logs and errors go to standard error.
//! - Nobody is shown a `Debug` text, a panic or a backtrace.
//!
//! **To add** a command: a variant of [`Command`] with a sentence and an example, and a file here. One that calls the REST API
//! goes to [`operator`].

/// `println!` for what happens, to a reader who may be gone already (`| head`), which is no reason to panic or to end. What a command is
/// for is written with `writeln!`: there a full disk is a failure, and a reader who is gone is not ([`Failure::is_closed`]).
macro_rules! say {
    ($($text:tt)*) => {
        // Whoever does not read on does not miss it.
        drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*))))
    };
}

mod bench;
mod check_config;
mod completions;
mod dev;
mod failure;
mod healthcheck;
mod layout;
mod lifeline;
mod listen;
mod openapi;
mod operator;
pub mod paint;
mod reach;
pub mod receiver;
mod rotate_master;
mod serve;
mod show;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::{Role, Threads};
use crate::config::{Loaded, Process};
use crate::{signals, telemetry::log};
pub use failure::Failure;
use operator::{Noun, dead_letters, deliveries, dialects, event_types, events, keys, replays, tail, tenants, webhooks};
use paint::Paint;
use reach::apart;

/// Tidings delivers webhooks: it accepts events, signs them, sends them to every webhook that wants them, tries again
/// until they arrive, and keeps what could not be delivered
#[derive(Debug, Parser)]
#[command(name = "tidings", version, max_term_width = 100, disable_help_subcommand = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

/// Where a process's settings come from.
#[derive(Debug, Args)]
struct Settings {
    /// A TOML file with settings that differ from the built-in ones
    #[arg(long, value_name = "FILE", display_order = 900)]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  tidings dev                               try it out, with nothing set up
  tidings listen --secret whsec_…           see what a webhook sends
  tidings events send invoice.paid '{}'     report an event
  tidings webhooks list                     what is registered at TIDINGS_URL
  TIDINGS__LOG__LEVEL=debug tidings serve   any setting as a variable
  tidings check-config --config my.toml     what is in force, and why";

#[derive(Debug, Subcommand)]
enum Command {
    /// Try Tidings out: a Postgres of its own, the API, the dispatcher, a receiver and a sample event
    #[command(after_help = dev::EXAMPLES)]
    Dev(Settings),
    /// Run the service: the REST API, the dispatcher, or both
    #[command(after_help = serve::EXAMPLES)]
    Serve {
        #[command(flatten)]
        options: serve::Options,
        #[command(flatten)]
        settings: Settings,
    },
    /// Bring the database's schema to this version, then exit
    Migrate(Settings),
    /// Receive webhooks here: verify, print and answer them
    #[command(after_help = listen::EXAMPLES)]
    Listen {
        #[command(flatten)]
        options: listen::Options,
        #[command(flatten)]
        settings: Settings,
    },
    /// Measure what a deployment can take, and what a delivery costs
    #[command(after_help = bench::EXAMPLES)]
    Bench {
        #[command(flatten)]
        options: Box<bench::Options>,
        #[command(flatten)]
        settings: Settings,
    },
    /// The receivers of a bench, which starts them
    #[command(hide = true)]
    BenchReceiver {
        #[command(flatten)]
        options: bench::receive::Options,
        #[command(flatten)]
        settings: Settings,
    },
    /// The Postgres of a bench, which starts it
    #[command(hide = true)]
    BenchPostgres {
        #[command(flatten)]
        options: bench::keep::Options,
        #[command(flatten)]
        settings: Settings,
    },
    /// Say whether the configuration is good, and where each value comes from
    CheckConfig(Settings),
    /// Print the description of the API (OpenAPI 3.1, JSON)
    Openapi(Settings),
    /// Webhooks: where events go
    #[command(after_help = operator::help(webhooks::EXAMPLES))]
    Webhooks(Noun<webhooks::Webhooks>),
    /// Events: what happened
    #[command(after_help = operator::help(events::EXAMPLES))]
    Events(Noun<events::Events>),
    /// Event types: the catalogue of which events are accepted
    #[command(after_help = operator::help(event_types::EXAMPLES))]
    EventTypes(Noun<event_types::EventTypes>),
    /// Deliveries: events owed to webhooks, and their attempts
    #[command(after_help = operator::help(deliveries::EXAMPLES))]
    Deliveries(Noun<deliveries::Deliveries>),
    /// Dead letters: deliveries given up
    #[command(after_help = operator::help(dead_letters::EXAMPLES))]
    DeadLetters(Noun<dead_letters::DeadLetters>),
    /// Replays: jobs that resend many deliveries, at a pace
    #[command(after_help = operator::help(replays::EXAMPLES))]
    Replays(Noun<replays::Replays>),
    /// Attempts as they happen
    #[command(after_help = operator::help(tail::EXAMPLES))]
    Tail(Box<tail::Tail>),
    /// Dialects: the languages that receivers speak
    #[command(after_help = operator::help(dialects::EXAMPLES))]
    Dialects(Noun<dialects::Dialects>),
    /// Tenants, with a platform key
    #[command(after_help = operator::help(tenants::EXAMPLES))]
    Tenants(Noun<tenants::Tenants>),
    /// API keys (with a platform key), and the master key that seals secrets
    #[command(after_help = operator::help(keys::EXAMPLES))]
    Keys(Noun<AnyKeys>),
    /// Print a script that completes these commands in a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Options),
    /// Exit with 0 if the API on this host answers (for HEALTHCHECK in a container)
    #[command(hide = true)]
    Healthcheck(Settings),
}

/// What can be done with keys: API keys through the API, the master key where the configuration is.
#[derive(Debug, Subcommand)]
enum AnyKeys {
    #[command(flatten)]
    Api(keys::Keys),
    /// Seal all secrets anew with the first master key, so that the one before can be taken out
    #[command(after_help = rotate_master::EXAMPLES)]
    RotateMaster {
        #[command(flatten)]
        options: rotate_master::Options,
        #[command(flatten)]
        settings: Settings,
    },
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_closed() {
                drop(writeln!(std::io::stderr(), "{}", failure.text(Paint::for_stderr())));
            }
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Webhooks(noun) => operate(noun, &cli.settings),
        Command::Events(noun) => operate(noun, &cli.settings),
        Command::EventTypes(noun) => operate(noun, &cli.settings),
        Command::Replays(noun) => operate(noun, &cli.settings),
        Command::Tail(tail) => {
            apart(cli.settings.config.as_deref())?.block_on(async { tail.run(signals::shutdown()?).await })
        }
        Command::Completions(options) => completions::run(&options),
        Command::Deliveries(noun) => operate(noun, &cli.settings),
        Command::DeadLetters(noun) => operate(noun, &cli.settings),
        Command::Dialects(noun) => operate(noun, &cli.settings),
        Command::Tenants(noun) => operate(noun, &cli.settings),
        Command::Keys(Noun { command: AnyKeys::Api(command), reach }) => {
            operate(Noun { command, reach }, &cli.settings)
        }
        process => run_here(process, &cli.settings),
    }
}

fn operate<C: operator::Command>(noun: Noun<C>, settings: &Settings) -> Result<(), Failure> {
    apart(settings.config.as_deref())?.block_on(noun.run())
}

/// What this process does by its own configuration.
fn run_here(command: Command, settings: &Settings) -> Result<(), Failure> {
    let own = match &command {
        Command::Dev(own)
        | Command::Migrate(own)
        | Command::CheckConfig(own)
        | Command::Openapi(own)
        | Command::Healthcheck(own)
        | Command::Serve { settings: own, .. }
        | Command::Bench { settings: own, .. }
        | Command::BenchReceiver { settings: own, .. }
        | Command::Keys(Noun { command: AnyKeys::RotateMaster { settings: own, .. }, .. })
        | Command::BenchPostgres { settings: own, .. }
        | Command::Listen { settings: own, .. } => own,
        _ => settings,
    };
    let file = own.config.clone().or_else(|| settings.config.clone());
    let loaded = Loaded::load(file.as_deref(), std::env::vars_os())?;
    match &command {
        Command::CheckConfig(_) => return check_config::run(&loaded),
        Command::Openapi(_) => return openapi::run(&loaded.config),
        Command::Healthcheck(_) => return healthcheck::run(loaded.config.server.listen),
        _ => {}
    }
    let config = match &command {
        Command::Dev(_) => dev::settle(loaded),
        Command::Bench { .. } | Command::BenchPostgres { .. } => bench::settle(loaded),
        _ => loaded.config,
    };
    log::init(&config.log, Paint::for_stderr().is_on()).map_err(Failure::told)?;
    let roles = match &command {
        Command::Dev(_) => &Role::ALL[..],
        Command::Serve { options, .. } => &options.role,
        _ => &[],
    };
    let threads = match &command {
        Command::Serve { .. } => config.process.threads_each(1),
        // What waits for a screen that stands still must not hold up the rest.
        Command::Dev(_) => config.process.threads_each(1).max(2),
        // A bench hands the setting on to the processes that it starts.
        _ => Process::default().threads_each(1).max(2),
    };
    let threads = Threads::start(roles, threads)?;
    let api = threads.api();
    let done = threads.block_on(async {
        let shutdown = signals::shutdown()?;
        match command {
            Command::Dev(_) => dev::run(config, api, shutdown).await,
            Command::Serve { options, .. } => serve::run(options, config, api, shutdown).await,
            Command::Migrate(_) => serve::migrate(&config).await,
            Command::Keys(Noun { command: AnyKeys::RotateMaster { options, .. }, reach }) => {
                rotate_master::run(&options, &reach, &config).await
            }
            Command::Listen { options, .. } => listen::run(options, &config, shutdown).await,
            Command::Bench { options, .. } => bench::run(*options, &config, file, shutdown).await,
            Command::BenchReceiver { options, .. } => bench::receive::run(options, shutdown).await,
            Command::BenchPostgres { options, .. } => bench::keep::run(options, shutdown).await,
            _ => Ok(()),
        }
    });
    threads.end();
    done
}
