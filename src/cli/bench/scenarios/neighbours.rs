//! What others do to a webhook: one that hangs, one with a long backlog.

use super::{Shown, Stage};
use crate::cli::Failure;
use crate::cli::bench::load::Behaviour;
use crate::cli::bench::report::{Finding, ratio};

/// Events a second to each webhook of `noisy`.
const CALM: f64 = 50.0;

impl Stage<'_> {
    pub(super) async fn noisy(&self) -> Result<Shown, Failure> {
        let tidings = self.ground.tidings(1).await?;
        let mut healthy = self.flow("healthy");
        (healthy.rate, healthy.connections) = (Some(self.options.rate.unwrap_or(CALM)), 32);
        let (mut hanging, mut batches) = (healthy.clone(), healthy.clone());
        (hanging.name, hanging.behaviour) = ("hanging".into(), Behaviour::Hanging);
        (batches.name, batches.rate) = ("batches".into(), None);
        (batches.batch, batches.connections) = (100, self.options.connections.unwrap_or(16).into());
        let healthy = self.furnish(healthy, &tidings).await?;
        let (hanging, batches) = (self.furnish(hanging, &tidings).await?, self.furnish(batches, &tidings).await?);

        let trial = async |name, flows: &[_]| self.trial(name, flows, self.options.extent(), &tidings).await;
        let alone = trial("alone", std::slice::from_ref(&healthy)).await?;
        let beside = trial("beside one that hangs", &[healthy.clone(), hanging.clone()]).await?;
        let batches_beside = trial("batches beside it", &[batches.clone(), hanging.clone()]).await?;
        hanging.switch(&tidings, "deactivate").await?;
        let batches_alone = trial("batches alone", std::slice::from_ref(&batches)).await?;
        self.leave(&[healthy, batches, hanging], tidings).await?;

        let [before, after] = [&alone, &beside].map(|trial| &trial.flows[0]);
        let [rate_before, rate_after] =
            [&batches_alone, &batches_beside].map(|trial| Some(trial.flows[0].delivered_per_second));
        let findings = vec![
            Finding::at_most("p50 beside / alone", ratio(after.p50_ms, before.p50_ms), 1.2, "×"),
            Finding::at_most("p99 beside / alone", ratio(after.p99_ms, before.p99_ms), 1.2, "×"),
            Finding::at_least("rate of batches beside / alone", ratio(rate_after, rate_before), 0.9, "×"),
        ];
        Ok((vec![alone, beside, batches_beside, batches_alone], findings))
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
