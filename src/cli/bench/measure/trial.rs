//! A trial: flows side by side for a time, and everything measured meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::figures::{Cost, FlowFigures, Measured, f};
use super::ledger::Ledger;
use super::meter::{Group, Meter};
use super::process::{Processors, Usage};
use crate::cli::Failure;
use crate::cli::bench::ground::{Furnished, Ground, Tidings};
use crate::cli::bench::load::{Behaviour, Driven, Extent, Load};
use crate::cli::bench::screen::Screen;
use crate::cli::bench::wire::now_ns;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(20);
/// What has not arrived after this long without any arrival counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// After the last arrival: duplicates may come, and Tidings and Postgres write down what they did, which is part of
/// what a delivery costs.
const REST: Duration = Duration::from_secs(1);

/// Flows that run side by side.
#[derive(Debug)]
pub(in crate::cli) struct Trial<'a> {
    /// Its name in the report.
    pub(in crate::cli) name: &'a str,
    /// The flows.
    pub(in crate::cli) flows: &'a [Arc<Furnished>],
    /// When each of them ends.
    pub(in crate::cli) extent: Extent,
}

/// A flow under way.
struct Running {
    load: Arc<Load>,
    driven: JoinHandle<Driven>,
}

impl Trial<'_> {
    /// Carries it out.
    pub(in crate::cli) async fn run(
        &self,
        ground: &Ground,
        tidings: &Tidings,
        screen: &Screen,
    ) -> Result<Measured, Failure> {
        let run = rand::random();
        let begun_ns = now_ns();
        drop(ground.receivers.open(Ledger::new(run, begun_ns, self.flows.iter().map(|flow| flow.flow.fan()))));
        let processors_before = Processors::now();
        let own = Meter::start(Group::Each(tidings.pids.clone()));
        let postgres = ground.postgres.map(|pid| Meter::start(Group::Family(pid)));
        let wal_before = wal_bytes(ground).await?;
        let running: Vec<_> =
            (0..).zip(self.flows).map(|(index, flow)| self.start(flow, index, run, tidings)).collect();
        let driven = self.follow(running, ground, screen).await?;
        tokio::time::sleep(REST).await;
        let wal = wal_bytes(ground).await?.zip(wal_before).map(|(after, before)| after - before);
        let (own, postgres) = (own.read(), postgres.and_then(|meter| meter.read()));
        let stolen = Processors::now().zip(processors_before).and_then(|(now, before)| now.stolen_since(before));
        let ledger = ground.receivers.open(Ledger::default());
        let flows = self.flows.iter().zip(driven).zip(&ledger.flows);
        let flows = flows
            .map(|((flow, driven), arrivals)| FlowFigures::new(&flow.flow.name, driven, arrivals, is_awaited(flow)));
        Ok(figures(self.name, flows.collect(), own, postgres, wal, stolen))
    }

    fn start(&self, flow: &Arc<Furnished>, index: u8, run: u32, tidings: &Tidings) -> Running {
        let load = Arc::new(Load {
            furnished: Arc::clone(flow),
            addresses: tidings.addresses.clone(),
            run,
            index,
            extent: self.extent,
            begun_ns: now_ns(),
            accepted: AtomicU64::new(0),
            next: AtomicU64::new(0),
        });
        Running { driven: tokio::spawn(Arc::clone(&load).drive()), load }
    }

    /// Waits until everything was sent and has arrived.
    async fn follow(&self, running: Vec<Running>, ground: &Ground, screen: &Screen) -> Result<Vec<Driven>, Failure> {
        let begun = Instant::now();
        let (mut seen, mut seen_at) = (0, begun);
        loop {
            tokio::time::sleep(LOOK).await;
            let sending = running.iter().any(|flow| !flow.driven.is_finished());
            let accepted = running.iter().map(|flow| flow.load.accepted.load(Ordering::Relaxed)).sum();
            let (delivered, owed) = ground.receivers.look(|ledger| progress(&running, ledger));
            if delivered != seen || sending {
                (seen, seen_at) = (delivered, Instant::now());
            }
            screen.show(self.name, accepted, delivered, begun.elapsed(), self.extent);
            if !sending && (owed == 0 || seen_at.elapsed() > PATIENCE) {
                break;
            }
        }
        let mut driven = Vec::with_capacity(running.len());
        for flow in running {
            driven.push(flow.driven.await?);
        }
        Ok(driven)
    }
}

/// Deliveries of all flows that have arrived, and those of accepted events that have not.
fn progress(running: &[Running], ledger: &Ledger) -> (u64, u64) {
    let (mut delivered, mut owed) = (0, 0);
    for (flow, arrivals) in running.iter().zip(&ledger.flows) {
        let furnished = &flow.load.furnished;
        delivered += arrivals.delivered;
        if is_awaited(furnished) {
            let all = flow.load.accepted.load(Ordering::Relaxed) * u64::from(furnished.flow.fan());
            owed += all.saturating_sub(arrivals.delivered);
        }
    }
    (delivered, owed)
}

/// Whether its receivers take deliveries.
fn is_awaited(flow: &Furnished) -> bool {
    flow.flow.behaviour == Behaviour::Taking
}

async fn wal_bytes(ground: &Ground) -> Result<Option<i64>, Failure> {
    match &ground.store {
        Some(store) => Ok(Some(store.wal_bytes().await?)),
        None => Ok(None),
    }
}

fn figures(
    name: &str,
    flows: Vec<FlowFigures>,
    tidings: Option<Usage>,
    postgres: Option<Usage>,
    wal_bytes: Option<i64>,
    stolen: Option<f64>,
) -> Measured {
    let delivered: u64 = flows.iter().map(|flow| flow.delivered).sum();
    let each = |total: f64| (delivered > 0).then(|| total / f(delivered));
    let cost = |usage: Usage| Cost {
        cpu_seconds: usage.cpu.as_secs_f64(),
        cpu_us_per_delivery: each(usage.cpu.as_secs_f64() * 1e6),
        peak_memory_mib: f(usage.memory_bytes) / 1_048_576.0,
    };
    Measured {
        name: name.to_owned(),
        flows,
        tidings: tidings.map(cost),
        postgres: postgres.map(cost),
        wal_bytes_per_delivery: wal_bytes.and_then(|bytes| each(f(u64::try_from(bytes).ok()?))),
        stolen,
    }
}
