//! The processes: `tidings serve`, each behind a proxy of its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use rustix::process::Signal;

use super::postgres::Postgres;
use super::proxy::Proxy;
use super::support::process::{Ended, Process, Served, settings};

/// How many there are.
pub const SIZE: usize = 3;
/// Seconds of a lease.
pub const LEASE: u64 = 2;
/// Requests under way in a process at most.
pub const IN_FLIGHT: &str = "48";

/// So many warnings are shown where something did not hold.
const WARNINGS: usize = 20;

const CLOCK_LIBRARIES: [&str; 2] =
    ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1"];

/// A process and what stays when it is replaced.
pub struct Slot {
    pub proxy: Proxy,
    served: Option<Served>,
    /// Where a fail point's order is.
    order: PathBuf,
    /// By how much its wall clock is wrong.
    clock: PathBuf,
}

/// Where the API is, as producers know it.
pub type Addresses = Arc<Mutex<Vec<SocketAddr>>>;

pub struct Fleet {
    pub slots: Vec<Slot>,
    pub addresses: Addresses,
    /// What the dead said.
    pub last_words: Vec<String>,
    library: Option<&'static str>,
}

impl Fleet {
    /// Starts them all.
    pub async fn start(postgres: &Postgres, folder: &Path) -> Self {
        let mut slots = Vec::new();
        for number in 0..SIZE {
            let (order, clock) = (folder.join(format!("order-{number}")), folder.join(format!("clock-{number}")));
            std::fs::write(&clock, "+0").expect("a file");
            slots.push(Slot { proxy: Proxy::start(postgres.port()).await, served: None, order, clock });
        }
        let library = CLOCK_LIBRARIES.into_iter().find(|path| Path::new(path).exists());
        let mut fleet = Self { slots, addresses: Addresses::default(), last_words: Vec::new(), library };
        for slot in 0..SIZE {
            fleet.launch(slot, postgres).await;
        }
        fleet
    }

    /// Whether a process's wall clock can be moved.
    pub const fn has_clocks(&self) -> bool {
        self.library.is_some()
    }

    /// Starts the process of a slot, and waits until it is ready.
    pub async fn launch(&mut self, slot: usize, postgres: &Postgres) {
        let library = self.library;
        let at = &mut self.slots[slot];
        let url = postgres.url_at(at.proxy.port);
        let settings = [
            settings(&url),
            vec![
                ("dispatch.lease_seconds", "2"),
                ("dispatch.poll_milliseconds", "50"),
                ("dispatch.max_in_flight", IN_FLIGHT),
                ("dispatch.grace_seconds", "10"),
                ("database.connections", "5"),
                ("database.hot_connections", "5"),
                ("database.acquire_seconds", "2"),
                ("log.level", "warn,tidings::cli::serve=info"),
            ],
        ]
        .concat();
        let mut command = Process::command(&["serve"], &settings);
        command.env(tidings::failpoint::ORDER, &at.order);
        if let Some(library) = library {
            command.env("LD_PRELOAD", library);
            command.env("FAKETIME_TIMESTAMP_FILE", &at.clock);
            // Tidings' own time is the monotonic clock, carried from the database's: that of no process may be moved.
            command.envs([("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("FAKETIME_CACHE_DURATION", "1")]);
        }
        at.served = Some(Served::of(Process::spawn(&mut command)).await);
        self.tell();
    }

    /// Producers learn where the API is.
    fn tell(&self) {
        let addresses = self.slots.iter().filter_map(|slot| slot.served.as_ref()).map(|served| served.address);
        *self.addresses.lock().unwrap() = addresses.collect();
    }

    pub fn address(&self, slot: usize) -> SocketAddr {
        self.slots[slot].served.as_ref().expect("a process").address
    }

    pub fn signal(&self, slot: usize, signal: Signal) {
        if let Some(served) = &self.slots[slot].served {
            served.process.signal(signal);
        }
    }

    /// Sends a signal that ends the process, and waits for that.
    pub async fn end(&mut self, slot: usize, signal: Signal) -> Ended {
        let served = self.slots[slot].served.take().expect("a process");
        if signal != Signal::TERM {
            // One that ends in order still answers what it was asked.
            self.tell();
        }
        let ended = served.process.stop(signal).await;
        self.tell();
        self.remember(slot, &ended);
        ended
    }

    /// Waits for a process to die by itself.
    pub async fn dies(&mut self, slot: usize) -> Ended {
        let served = self.slots[slot].served.take().expect("a process");
        let ended = served.process.ended().await;
        self.tell();
        self.remember(slot, &ended);
        ended
    }

    /// Whether the process of a slot has ended, though nobody may have waited for it yet.
    pub fn is_dead(&self, slot: usize) -> bool {
        let Some(served) = &self.slots[slot].served else { return true };
        let status = std::fs::read_to_string(format!("/proc/{}/stat", served.process.id())).unwrap_or_default();
        // The name, which may hold anything, is in brackets.
        status.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
    }

    fn remember(&mut self, slot: usize, ended: &Ended) {
        self.last_words.push(format!("process {slot} ended with {:?}:\n{}", ended.code, ended.text));
    }

    /// What all processes said, the dead ones first.
    pub fn words(&self) -> String {
        let alive =
            self.slots.iter().enumerate().filter_map(|(number, slot)| {
                Some(format!("process {number}:\n{}", slot.served.as_ref()?.process.text()))
            });
        self.last_words.iter().cloned().chain(alive).collect::<Vec<_>>().join("\n")
    }

    /// The last that all processes warned of, for a look at once.
    pub fn last_warnings(&self) -> Vec<String> {
        let words = self.words();
        // A line begins with its time.
        let warnings: BTreeSet<_> =
            words.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
        let surplus = warnings.len().saturating_sub(WARNINGS);
        warnings.into_iter().skip(surplus).map(str::to_owned).collect()
    }

    /// When processes found that their lease had run out, since then by the database's clock.
    pub fn lapses(&self, since: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let words = self.words();
        let lines = words.lines().filter(|line| line.contains("the lease ran out"));
        let times = lines.filter_map(|line| DateTime::parse_from_rfc3339(line.split(' ').next()?).ok());
        times.map(|at| at.with_timezone(&Utc)).filter(|at| *at > since).collect()
    }

    /// Orders a process to die at a place.
    pub fn order(&self, slot: usize, order: &str) {
        let file = &self.slots[slot].order;
        let beside = file.with_extension("new");
        std::fs::write(&beside, order).and_then(|()| std::fs::rename(&beside, file)).expect("an order written");
    }

    /// Takes every order back.
    pub fn pardon(&self) {
        for slot in &self.slots {
            drop(std::fs::remove_file(&slot.order));
        }
    }

    /// Moves the wall clock of a process by so many days.
    pub fn set_clock(&self, slot: usize, days: i32) {
        std::fs::write(&self.slots[slot].clock, format!("{days:+}d")).expect("a clock set");
    }
}
