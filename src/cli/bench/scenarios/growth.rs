//! How cost and latency grow with the work: one thing grows at a time.

use std::time::Duration;

use super::{Shown, Stage};
use crate::cli::Failure;
use crate::cli::bench::load::{Behaviour, Extent};
use crate::cli::bench::measure::Measured;
use crate::cli::bench::report::{Finding, ratio};

/// Events a second while something else than the rate grows.
const RATE: f64 = 1_000.0;
/// The same for payloads, which are up to 64 times as large.
const RATE_OF_PAYLOADS: f64 = 250.0;
/// What the trials of one series may have in common at most, apart from what they are named after.
const TENANTS: usize = 100;

impl Stage<'_> {
    /// Each series has a process of its own, so that its memory tells of nothing else.
    pub(super) async fn growth(&self) -> Result<Shown, Failure> {
        let (mut trials, mut findings) = (Vec::new(), Vec::new());
        for (series, most) in [
            // The more come together, the more share a statement.
            (self.rates().await?, 1.0),
            (self.webhooks().await?, 2.0),
            (self.payloads().await?, 64.0),
            // Last, for its backlog stays.
            (self.pending().await?, 2.0),
        ] {
            findings.extend(compare(&series, most));
            trials.extend(series);
        }
        Ok((trials, findings))
    }

    async fn rates(&self) -> Result<Vec<Measured>, Failure> {
        let tidings = self.ground.tidings(1).await?;
        let full = self.furnish(self.flow("single"), &tidings).await?;
        let mut trials = Vec::new();
        for (name, rate) in [
            ("rate 100/s", Some(100.0)),
            ("rate 1,000/s", Some(1_000.0)),
            ("rate 4,000/s", Some(4_000.0)),
            ("rate: all it takes", None),
        ] {
            let flows = [full.with(&tidings, self.options.seed, |flow| flow.rate = rate)];
            trials.push(self.trial(name, &flows, self.span(), &tidings).await?);
        }
        self.leave(&[full], tidings).await?;
        Ok(trials)
    }

    async fn webhooks(&self) -> Result<Vec<Measured>, Failure> {
        let tidings = self.ground.tidings(1).await?;
        let mut trials = Vec::new();
        for number in if self.options.quick { [1, 10, 100] } else { [1, 100, 10_000] } {
            let mut flow = self.flow("single");
            (flow.tenants, flow.rate, flow.is_routed) = (TENANTS.min(number), Some(RATE), true);
            flow.webhooks = number / flow.tenants;
            let flows = [self.furnish(flow, &tidings).await?];
            trials.push(self.trial(&format!("webhooks {}", thousands(number)), &flows, self.span(), &tidings).await?);
            self.forget(&flows, &tidings).await?;
        }
        tidings.stop().await;
        Ok(trials)
    }

    async fn payloads(&self) -> Result<Vec<Measured>, Failure> {
        let tidings = self.ground.tidings(1).await?;
        let mut trials = Vec::new();
        for kibibytes in [1, 10, 64] {
            let mut flow = self.flow("single");
            (flow.payload_bytes, flow.rate) = (kibibytes * 1_024, Some(RATE_OF_PAYLOADS));
            let flows = [self.furnish(flow, &tidings).await?];
            trials.push(self.trial(&format!("payload {kibibytes} KiB"), &flows, self.span(), &tidings).await?);
            self.forget(&flows, &tidings).await?;
        }
        tidings.stop().await;
        Ok(trials)
    }

    async fn pending(&self) -> Result<Vec<Measured>, Failure> {
        let tidings = self.ground.tidings(1).await?;
        let mut dead = self.flow("dead");
        dead.behaviour = Behaviour::Hanging;
        let mut fresh = self.flow("single");
        fresh.rate = Some(RATE);
        let (dead, fresh) = (self.furnish(dead, &tidings).await?, self.furnish(fresh, &tidings).await?);
        let (mut trials, mut pending) = (Vec::new(), 0);
        for number in [self.options.pending() / 100, self.options.pending() / 10, self.options.pending()] {
            self.fill(&dead, number - pending, &tidings).await?;
            pending = number;
            let name = format!("pending {}", thousands(number as usize));
            trials.push(self.trial(&name, std::slice::from_ref(&fresh), self.span(), &tidings).await?);
        }
        self.leave(&[dead, fresh], tidings).await?;
        Ok(trials)
    }

    /// Half of the usual time, for there are many trials.
    fn span(&self) -> Extent {
        Extent::Time((self.options.time() / 2).max(Duration::from_secs(1)))
    }
}

/// How much more the last of a series costs than the first; `most` is how much more it may.
fn compare(series: &[Measured], most: f64) -> Vec<Finding> {
    let (Some(first), Some(last)) = (series.first(), series.last()) else { return Vec::new() };
    let ends = format!("{} / {}", last.name, first.name);
    let cpu = ratio(last.cpu_us_per_delivery(), first.cpu_us_per_delivery());
    let p99 = ratio(last.flows[0].p99_ms, first.flows[0].p99_ms);
    let mut findings = vec![Finding::at_most(&format!("CPU a delivery, {ends}"), cpu, most, "×")];
    // At all that it takes, a latency is the length of the queue.
    if !first.name.starts_with("rate") {
        findings.push(Finding::at_most(&format!("p99, {ends}"), p99, most, "×"));
    }
    findings
}

fn thousands(number: usize) -> String {
    crate::cli::bench::report::grouped(number as u64)
}
