//! What a deployment costs beside its deliveries: memory, a start, more processes than one.

use std::time::Duration;

use super::{Shown, Stage};
use crate::cli::Failure;
use crate::cli::bench::load::Behaviour;
use crate::cli::bench::measure::resident_bytes;
use crate::cli::bench::report::{Finding, ratio};

/// After a start, until a process is at rest.
const SETTLED: Duration = Duration::from_secs(3);
/// Starts, of which the middle one counts.
const STARTS: usize = 5;

impl Stage<'_> {
    pub(super) async fn idle(&self) -> Result<Shown, Failure> {
        let tidings = self.ground.tidings(1).await?;
        self.screen.say("idle: at rest …");
        tokio::time::sleep(SETTLED).await;
        let at_rest = tidings.pids.first().and_then(|pid| resident_bytes(*pid)).map(mebibytes);
        let mut dead = self.flow("dead");
        dead.behaviour = Behaviour::Hanging;
        let flows = [self.furnish(self.flow("fresh"), &tidings).await?, self.furnish(dead, &tidings).await?];
        self.fill(&flows[1], self.options.pending(), &tidings).await?;
        let loaded = self.trial("full load", &flows[..1], self.options.extent(), &tidings).await?;
        self.leave(&flows, tidings).await?;
        let peak = loaded.tidings.map(|cost| cost.peak_memory_mib);
        let findings = vec![
            Finding::at_most("memory at rest", at_rest, 20.0, "MiB"),
            Finding::at_most("memory at full load, with deliveries pending", peak, 200.0, "MiB"),
        ];
        Ok((vec![loaded], findings))
    }

    pub(super) async fn processes(&self) -> Result<Shown, Failure> {
        self.needs_own()?;
        let (mut trials, mut findings) = (Vec::new(), Vec::new());
        for (number, name) in [(1, "1 process"), (2, "2 processes"), (4, "4 processes")] {
            let tidings = self.ground.tidings(number).await?;
            let flows = [self.furnish(self.flow("single"), &tidings).await?];
            trials.push(self.trial(name, &flows, self.options.extent(), &tidings).await?);
            self.leave(&flows, tidings).await?;
        }
        let rates: Vec<_> = trials.iter().map(|trial| Some(trial.flows[0].delivered_per_second)).collect();
        findings.push(Finding::at_least("rate of 2 / of 1", ratio(rates[1], rates[0]), 1.0, "×"));
        findings.push(Finding::at_least("rate of 4 / of 1", ratio(rates[2], rates[0]), 1.0, "×"));
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let twice = trials.iter().map(|trial| trial.flows[0].duplicates).sum::<u64>() as f64;
        findings.push(Finding::at_most("sent twice", Some(twice), 0.0, "deliveries"));
        Ok((trials, findings))
    }

    fn needs_own(&self) -> Result<(), Failure> {
        if self.ground.starts_tidings() {
            return Ok(());
        }
        Err(Failure::misused(
            "this scenario starts Tidings itself: leave out --url, and give --database-url or nothing",
        ))
    }

    pub(super) async fn start(&self) -> Result<Shown, Failure> {
        self.needs_own()?;
        // The first one brings the schema up to date.
        self.ground.tidings(1).await?.stop().await;
        let mut starts = Vec::new();
        for number in 1..=STARTS {
            self.screen.say(&format!("start: {number} of {STARTS} …"));
            let tidings = self.ground.tidings(1).await?;
            starts.extend(tidings.ready_after.map(|time| time.as_secs_f64() * 1_000.0));
            tidings.stop().await;
        }
        starts.sort_by(f64::total_cmp);
        let middle = starts.get(starts.len() / 2).copied();
        Ok((Vec::new(), vec![Finding::at_most("start to ready, the middle of 5", middle, 150.0, "ms")]))
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of memory are far below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
