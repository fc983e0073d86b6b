//! The fault suite: real processes, a real Postgres, real sockets, and a fault in every cycle.
//!
//! ```text
//!  producers ──REST──→ serve ×3 ──HTTP──→ receivers
//!      │                 │ ↑
//!      └──SQL──┐       proxies (cut, stall, lose answers)
//!              ↓         ↓ ↑
//!              Postgres (crashed, filled up, restarted)
//! ```
//! A cycle reports events while something is broken and put right, waits until all is settled, and then holds what is in the
//! database and what arrived at the receivers to SAFETY's invariants ([`check`]). A seed decides everything about a cycle: which
//! fault ([`faults::ALL`], one after another), when, for how long, and what is reported meanwhile. Threads and processes still race
//! as they like, so a seed repeats what was done and not what came of it to the microsecond.
#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on ends there")]
#![expect(unreachable_pub, reason = "one binary: what is public in a module is public enough")]

mod check;
mod cycle;
mod faults;
mod fleet;
mod ground;
mod house;
mod ledger;
mod postgres;
mod producers;
mod proxy;
mod pulse;
mod receivers;
mod records;
mod report;
mod support;
mod wire;

use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use faults::{ALL, Fault};
use ground::Ground;
use report::Report;

/// Breaks one thing after another under load, and checks that nothing is lost.
#[derive(Debug, Parser)]
pub struct Options {
    /// How many faults
    #[arg(long, default_value_t = 60)]
    cycles: u64,
    /// Decides about the first cycle; the next one's seed is one more
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only faults whose names begin so
    #[arg(long, value_name = "FAULT")]
    only: Option<String>,
    /// Go on after a cycle in which something did not hold
    #[arg(long)]
    go_on: bool,
    /// Keep what the processes said and what Postgres stored, and say where
    #[arg(long)]
    keep: bool,
    /// Name the faults and end
    #[arg(long)]
    list: bool,
}

impl Options {
    /// The fault of a seed.
    fn fault(&self, seed: u64) -> (&'static str, Fault) {
        let wanted = self.only.as_deref().unwrap_or_default();
        let chosen: Vec<_> = ALL.into_iter().filter(|(name, _)| name.starts_with(wanted)).collect();
        assert!(!chosen.is_empty(), "no fault is called {wanted}…: see --list");
        chosen[usize::try_from(seed).unwrap_or_default() % chosen.len()]
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        for (name, fault) in ALL {
            println!("{name:24} {fault:?}");
        }
        return ExitCode::SUCCESS;
    }
    let house = house::House::enter(options.keep);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        // As the first process of its namespace it is ended by no signal that it does not take.
        let (mut interrupt, mut terminate) = (signals(SignalKind::interrupt()), signals(SignalKind::terminate()));
        tokio::select! {
            code = run(&options, &house) => code,
            _ = interrupt.recv() => ExitCode::FAILURE,
            _ = terminate.recv() => ExitCode::FAILURE,
        }
    })
}

fn signals(kind: SignalKind) -> Signal {
    signal(kind).expect("a signal's handler")
}

async fn run(options: &Options, house: &house::House) -> ExitCode {
    println!("seed {}, {} cycles", options.seed, options.cycles);
    let mut ground = Ground::make(house.folder(), house.is_own()).await;
    let mut report = Report::default();
    for seed in options.seed..options.seed + options.cycles {
        let (name, fault) = options.fault(seed);
        let done = cycle::run(&mut ground, seed, fault).await;
        let failed = !done.complaints.is_empty();
        report.add(seed, name, &done);
        if failed {
            let words = house.folder().join(format!("words-{seed}"));
            drop(std::fs::write(&words, ground.fleet.words()));
            ground.fleet.last_warnings().iter().for_each(|line| println!("  | {line}"));
            if options.keep {
                println!("  what the processes said: {}", words.display());
            }
            println!("  again: cargo test --features failpoints --test faults -- --cycles 1 --seed {seed}{}", {
                options.only.as_ref().map(|only| format!(" --only {only}")).unwrap_or_default()
            });
            if !options.go_on {
                break;
            }
        }
        ground.fleet.last_words.clear();
    }
    ground.postgres.crash().await;
    report.print();
    if report.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
