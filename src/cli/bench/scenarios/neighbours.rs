//! What others do to a webhook: one that hangs, one with a long backlog.

use super::{Shown, Stage};
use crate::cli::Failure;
use crate::cli::bench::load::{Behaviour, Extent};
use crate::cli::bench::measure::Measured;
use crate::cli::bench::report::{Finding, ratio};

/// Events a second to each webhook of `noisy`.
const CALM: f64 = 50.0;
/// To the one that hangs beside batches: more than a process waits for within five seconds.
const BUSY: f64 = 100.0;

impl Stage<'_> {
    pub(super) async fn noisy(&self) -> Result<Shown, Failure> {
        let [alone, beside] = self.calm_beside_hanging().await?;
        let [batches_alone, batches_beside] = self.batches_beside_hanging().await?;
        let (before, after) = (&alone.flows[0], &beside.flows[0]);
        let rate = |measured: &Measured| Some(measured.flows[0].delivered_per_second);
        let kept = ratio(rate(&batches_beside), rate(&batches_alone));
        let findings = vec![
            Finding::at_most("p50 beside / alone", ratio(after.p50_ms, before.p50_ms), 1.2, "×"),
            Finding::at_most("p99 beside / alone", ratio(after.p99_ms, before.p99_ms), 1.2, "×"),
            Finding::at_least("rate of batches beside / alone", kept, 0.9, "×"),
        ];
        Ok((vec![alone, beside, batches_alone, batches_beside], findings))
    }

    async fn calm_beside_hanging(&self) -> Result<[Measured; 2], Failure> {
        let tidings = self.ground.tidings(1).await?;
        let mut healthy = self.flow("healthy");
        (healthy.rate, healthy.connections) = (Some(self.options.rate.unwrap_or(CALM)), 32);
        let mut hanging = healthy.clone();
        (hanging.name, hanging.behaviour) = ("hanging".into(), Behaviour::Hanging);
        let flows = [self.furnish(healthy, &tidings).await?, self.furnish(hanging, &tidings).await?];

        let alone = self.trial("alone", &flows[..1], self.options.extent(), &tidings).await?;
        let beside = self.trial("beside one that hangs", &flows, self.options.extent(), &tidings).await?;
        flows[1].switch(&tidings, "deactivate").await?;
        self.leave(&flows, tidings).await?;
        Ok([alone, beside])
    }

    async fn batches_beside_hanging(&self) -> Result<[Measured; 2], Failure> {
        // Where the bench starts them, these processes have nothing that waits for the receiver before.
        let tidings = self.ground.tidings(1).await?;
        let mut batches = self.flow("batches");
        (batches.batch, batches.rate, batches.is_keyed) = (100, None, false);
        batches.connections = self.options.connections.unwrap_or(16).into();
        let mut hanging = self.flow("hanging");
        (hanging.behaviour, hanging.rate, hanging.connections) = (Behaviour::Hanging, Some(BUSY), 32);
        let flows = [self.furnish(batches, &tidings).await?, self.furnish(hanging, &tidings).await?];

        // As many events as suit the one take the other hardly any time.
        let extent = Extent::Time(self.options.time());
        let alone = self.trial("batches alone", &flows[..1], extent, &tidings).await?;
        let beside = self.trial("batches beside one that hangs", &flows, extent, &tidings).await?;
        self.leave(&flows, tidings).await?;
        Ok([alone, beside])
    }

    pub(super) async fn backlog(&self) -> Result<Shown, Failure> {
        let tidings = self.ground.tidings(1).await?;
        let mut fresh = self.flow("fresh");
        (fresh.tenants, fresh.webhooks, fresh.is_routed) = (100, 10, true);
        let mut dead = self.flow("dead");
        dead.behaviour = Behaviour::Hanging;
        let (fresh, dead) = (self.furnish(fresh, &tidings).await?, self.furnish(dead, &tidings).await?);
        let flows = [fresh];

        let without = self.trial("without backlog", &flows, self.options.extent(), &tidings).await?;
        self.fill(&dead, self.options.pending(), &tidings).await?;
        let with = self.trial("with backlog", &flows, self.options.extent(), &tidings).await?;
        self.leave(&[flows[0].clone(), dead], tidings).await?;
        let (before, after) = (&without.flows[0], &with.flows[0]);
        let rate = ratio(Some(after.delivered_per_second), Some(before.delivered_per_second));
        let findings = vec![
            Finding::at_least("rate with / without", rate, 0.9, "×"),
            Finding::at_most("p99 with / without", ratio(after.p99_ms, before.p99_ms), 2.0, "×"),
        ];
        Ok((vec![without, with], findings))
    }
}
