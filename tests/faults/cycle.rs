//! One cycle: load, a fault, quiet, and the check.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use super::check::{Cycle, Tally, moment};
use super::faults::{Effect, Fault};
use super::fleet::{LEASE, SIZE};
use super::ground::Ground;
use super::ledger::Window;
use super::producers::Desk;
use super::records::{Records, deliveries};

/// First acknowledgement and first delivery after Postgres is back.
const RECOVERY: Duration = Duration::from_secs(5);
/// From the end of the fault until all is settled: what waited for a lease, and then a receiver's moods.
const SETTLED: Duration = Duration::from_secs(LEASE + 5 + 3);

const LEASE_TIME: Duration = Duration::from_secs(LEASE);

/// A machine that stands still for this long is slow; for twice as long, twice as slow.
const STALL: Duration = Duration::from_millis(LEASE * 1000 / 8);
/// What limits of time are stretched by at most.
const MOST_STRAIN: u32 = 4;

/// What a cycle came to.
#[derive(Debug, Default)]
pub struct Done {
    pub tally: Tally,
    /// How often a process was too slow to keep its lease, though nothing was broken.
    pub lapses: usize,
    pub strain: u32,
    /// How long the machine itself stood still.
    pub stall: Duration,
    pub refused: u32,
    pub missed: Option<&'static str>,
    /// From Postgres' return to the first acknowledgement and to the first arrival.
    pub recovery: Option<(Duration, Duration)>,
    pub settled_in: Duration,
    pub took: Duration,
    pub complaints: Vec<String>,
}

pub async fn run(ground: &mut Ground, seed: u64, fault: Fault) -> Done {
    let begun = Instant::now();
    let mut chance = StdRng::seed_from_u64(seed);
    let clocks = clocks(ground).await;
    ground.receivers.forget();
    ground.pulse.reset();
    let event_type = format!("cycle.{seed}");
    let desk = Desk::new(
        ground.fleet.addresses.clone(),
        ground.client.clone(),
        ground.tenants.clone(),
        event_type.clone(),
        ground.database.clone(),
    );
    let producers = desk.open(seed);
    sleep(Duration::from_millis(chance.random_range(150..450))).await;
    let mut effect = Effect::default();
    if !fault.comes_after_load() {
        effect = fault.strike(ground, &desk, &mut chance).await;
    }
    let mut done = Done { strain: strain(ground), ..Done::default() };
    if let Some(restored) = effect.restored {
        done.recovery = recovery(ground, &desk, restored, RECOVERY * done.strain).await;
    }
    sleep(Duration::from_millis(150)).await;
    producers.end().await;
    settle(ground, &desk, &mut done).await;
    if fault.comes_after_load() {
        effect = fault.strike(ground, &desk, &mut chance).await;
        settle(ground, &desk, &mut done).await;
    }
    clear_up(ground, &desk).await;
    done.stall = ground.pulse.longest();
    done.strain = done.strain.max(strain(ground));
    let Effect { mut windows, missed, resent, replayed, blind, .. } = effect;
    done.lapses = excuse_lapses(ground, &desk, clocks, done.strain, &mut windows);
    let cycle = Cycle {
        webhooks: &ground.webhooks,
        receivers: &ground.receivers,
        windows: &windows,
        blind,
        strain: done.strain,
        clocks,
        resent,
        replayed,
    };
    let records = Records::read(&ground.postgres.pool, &event_type, clocks.0).await;
    let tally = cycle.check(&records, &desk.ledger);
    nothing_before_changed(ground, &desk).await;
    ground.before = records.deliveries;
    Done {
        tally,
        refused: desk.ledger.refusals(),
        missed,
        took: begun.elapsed(),
        complaints: desk.ledger.complaints(),
        ..done
    }
}

/// Buries what a fault left lying about, and replaces who died without having been told to.
async fn clear_up(ground: &mut Ground, desk: &Desk) {
    ground.each_proxy(super::proxy::Proxy::bury);
    for slot in 0..SIZE {
        if ground.fleet.is_dead(slot) {
            desk.ledger.complain(format!("process {slot} is dead"));
            ground.fleet.dies(slot).await;
            ground.launch(slot).await;
        }
    }
}

/// Processes that were too slow to keep their lease have lost what they had under way, too. Where the machine has time enough,
/// that is no excuse.
fn excuse_lapses(
    ground: &Ground,
    desk: &Desk,
    clocks: (DateTime<Utc>, Instant),
    strain: u32,
    windows: &mut Vec<Window>,
) -> usize {
    let faults = windows.len();
    for at in ground.fleet.lapses(clocks.0) {
        let at = moment(clocks, at);
        if windows[..faults].iter().any(|window| window.from <= at && at <= window.to + LEASE_TIME) {
            continue;
        }
        windows.push(Window { from: at - LEASE_TIME - LEASE_TIME, to: at + LEASE_TIME });
        if strain == 1 {
            desk.ledger.complain("a process lost its lease, though nothing was broken");
        }
    }
    windows.len() - faults
}

/// How much more there is to do on this machine than it can: limits of time are for one that is neither overloaded nor stands still
/// for so long that nothing on it could keep a lease.
fn strain(ground: &Ground) -> u32 {
    let stalls = u32::try_from(ground.pulse.longest().as_millis() / STALL.as_millis()).unwrap_or(u32::MAX);
    overload().max(stalls.saturating_add(1)).min(MOST_STRAIN)
}

fn overload() -> u32 {
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load: f64 = load.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    // The suite itself keeps both cores of a small machine busy.
    (2..=MOST_STRAIN).rev().find(|times| load > f64::from(*times * cores)).unwrap_or(1)
}

/// The database's clock and ours.
async fn clocks(ground: &Ground) -> (DateTime<Utc>, Instant) {
    let now: DateTime<Utc> =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&ground.postgres.pool).await.expect("the time");
    (now, Instant::now())
}

async fn recovery(ground: &Ground, desk: &Desk, restored: Instant, limit: Duration) -> Option<(Duration, Duration)> {
    loop {
        let (acknowledged, arrived) = (desk.ledger.first_after(restored), ground.receivers.first_after(restored));
        if let (Some(acknowledged), Some(arrived)) = (acknowledged, arrived) {
            return Some((acknowledged - restored, arrived - restored));
        }
        if restored.elapsed() > limit {
            let (acknowledged, arrived) = (acknowledged.is_some(), arrived.is_some());
            desk.ledger
                .complain(format!("{limit:?} after Postgres' return: acknowledged {acknowledged}, arrived {arrived}"));
            return None;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn settle(ground: &Ground, desk: &Desk, done: &mut Done) {
    match ground.quiet(SETTLED * done.strain).await {
        Ok(took) => done.settled_in += took,
        Err(rest) => desk.ledger.complain(rest),
    }
}

/// What was settled in the cycle before is as it was then.
async fn nothing_before_changed(ground: &Ground, desk: &Desk) {
    let (Some(first), Some(last)) = (ground.before.first(), ground.before.last()) else { return };
    let ids: std::collections::HashSet<_> = ground.before.iter().map(|row| row.id).collect();
    let mut now = deliveries(&ground.postgres.pool, first.id, last.id).await;
    now.retain(|row| ids.contains(&row.id));
    if now != ground.before {
        desk.ledger.complain("what was settled in the cycle before has changed");
    }
}
