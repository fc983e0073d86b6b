//! Producers: each has a connection, takes the next request's turn, sends it and notes what was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::{Bits, Connection, Extent, Flow, Request};
use crate::cli::bench::ground::Furnished;
use crate::cli::bench::wire::{Token, now_ns};

/// After a connection broke, before the next one is tried.
const BREATH: Duration = Duration::from_millis(20);
/// Bytes of a refusal that are kept to be shown.
const SHOWN: usize = 300;

/// One flow under way.
#[derive(Debug)]
pub(in crate::cli) struct Load {
    /// Where to, and with which keys.
    pub(in crate::cli) furnished: Arc<Furnished>,
    /// The processes that share the load.
    pub(in crate::cli) addresses: Vec<SocketAddr>,
    /// The trial.
    pub(in crate::cli) run: u32,
    /// The flow's number in the trial.
    pub(in crate::cli) index: u8,
    /// When it ends.
    pub(in crate::cli) extent: Extent,
    /// When it begins.
    pub(in crate::cli) begun_ns: u64,
    /// Events accepted so far, for those who watch.
    pub(in crate::cli) accepted: AtomicU64,
    /// The next request's turn.
    pub(in crate::cli) next: AtomicU64,
}

/// What the producers of a flow saw.
#[derive(Debug, Default)]
pub(in crate::cli) struct Driven {
    /// The numbers of the events that were accepted.
    pub(in crate::cli) acknowledged: Bits,
    /// How many those are.
    pub(in crate::cli) accepted: u64,
    /// Microseconds from each request to its answer, where that was a success.
    pub(in crate::cli) answers_us: Vec<u32>,
    /// Requests that were refused, or that got no answer.
    pub(in crate::cli) errors: u64,
    /// One of those.
    pub(in crate::cli) example: Option<String>,
    /// When the first request was sent; `None` if none was.
    pub(in crate::cli) first_ns: Option<u64>,
    /// When the last event was accepted.
    pub(in crate::cli) last_ns: u64,
}

impl Load {
    /// Sends until the flow's end.
    pub(in crate::cli) async fn drive(self: Arc<Self>) -> Driven {
        let mut producers = JoinSet::new();
        for number in 0..self.flow().connections {
            let address = self.addresses[number % self.addresses.len()];
            producers.spawn(produce(Arc::clone(&self), Connection::new(address)));
        }
        let mut driven = Driven::default();
        while let Some(joined) = producers.join_next().await {
            // A producer has nothing to fail on.
            if let Ok((own, numbers)) = joined {
                driven.merge(own, &numbers);
            }
        }
        driven
    }

    fn flow(&self) -> &Flow {
        &self.furnished.flow
    }

    /// Waits for the next request's turn, and says which it is and when it is sent.
    ///
    /// An open loop counts from the time that a request was meant to be sent at, so that a service that keeps every
    /// producer waiting is not spared what waited behind it. Where a producer was free, it counts from when the timer
    /// woke it: that timer is the bench's own.
    async fn turn(&self) -> Option<(u64, u64)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        if turn >= self.extent.requests(self.flow()) {
            return None;
        }
        let end = self.extent.time().map_or(u64::MAX, |time| self.begun_ns + nanos(time));
        let Some(rate) = self.flow().rate else {
            let now = now_ns();
            return (now < end).then_some((turn, now));
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
        let due = Duration::from_secs_f64(turn as f64 * self.flow().batch as f64 / rate);
        let due = self.begun_ns + nanos(due);
        if due >= end {
            return None;
        }
        let early = due.saturating_sub(now_ns());
        if early == 0 {
            return Some((turn, due));
        }
        tokio::time::sleep(Duration::from_nanos(early)).await;
        Some((turn, now_ns()))
    }
}

/// Sends one request after the other; returns what it saw and the numbers of the events that were accepted.
async fn produce(load: Arc<Load>, mut connection: Connection) -> (Driven, Vec<u32>) {
    let (mut own, mut numbers) = (Driven::default(), Vec::new());
    let mut requests = load.furnished.requests().to_vec();
    let (tenants, flow) = (requests.len(), load.flow());
    let batch = u32::try_from(flow.batch).unwrap_or(u32::MAX);
    while let Some((turn, sent_ns)) = load.turn().await {
        own.first_ns.get_or_insert(sent_ns);
        let first = u32::try_from(turn).unwrap_or(u32::MAX).saturating_mul(batch);
        let token = Token { run: load.run, flow: load.index, number: first, sent_ns };
        let request: &mut Request = &mut requests[usize::try_from(turn).unwrap_or_default() % tenants];
        // Tenants take turns with each request, a tenant's webhooks with each of its events.
        let webhook = |number: u32| (number as usize / tenants) % flow.webhooks;
        let issued_ns = now_ns();
        match connection.exchange(request.fill(token, webhook)).await {
            Ok(answer) if answer.status < 300 => {
                own.last_ns = now_ns();
                own.answers_us.push(micros(own.last_ns - issued_ns));
                numbers.extend(first..first + batch);
                load.accepted.fetch_add(batch.into(), Ordering::Relaxed);
            }
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(SHOWN)]);
                own.fail(format!("status {}: {body}", answer.status));
            }
            Err(error) => {
                own.fail(error.to_string());
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    (own, numbers)
}

impl Driven {
    fn fail(&mut self, example: String) {
        self.errors += 1;
        self.example.get_or_insert(example);
    }

    fn merge(&mut self, mut other: Self, numbers: &[u32]) {
        self.accepted += numbers.len() as u64;
        for number in numbers {
            self.acknowledged.insert(u64::from(*number));
        }
        self.answers_us.append(&mut other.answers_us);
        self.errors += other.errors;
        self.example = self.example.take().or(other.example);
        self.first_ns = [self.first_ns, other.first_ns].into_iter().flatten().min();
        self.last_ns = self.last_ns.max(other.last_ns);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn micros(nanos: u64) -> u32 {
    u32::try_from(nanos / 1_000).unwrap_or(u32::MAX)
}
