//! One kind of load, for a while: what a deployment can take, and what a delivery costs.

use super::{Shown, Stage};
use crate::cli::Failure;
use crate::cli::bench::load::Flow;
use crate::cli::bench::measure::Measured;
use crate::cli::bench::report::Finding;

impl Stage<'_> {
    pub(super) async fn single(&self) -> Result<Shown, Failure> {
        let measured = self.one_trial("single", |_| {}).await?;
        let mut findings = capacity(&measured, 10_000.0, 115.0);
        findings.extend(wal(&measured));
        Ok((vec![measured], findings))
    }

    pub(super) async fn tenants(&self) -> Result<Shown, Failure> {
        let measured = self.one_trial("tenants", |flow| flow.tenants = 100).await?;
        // 10% beside the goals of `single`.
        let findings = capacity(&measured, 9_000.0, 127.0);
        Ok((vec![measured], findings))
    }

    pub(super) async fn batch(&self) -> Result<Shown, Failure> {
        let connections = self.options.connections.unwrap_or(16).into();
        let batch = |flow: &mut Flow| (flow.batch, flow.connections) = (100, connections);
        let measured = self.one_trial("batch", batch).await?;
        let findings = capacity(&measured, 20_000.0, 60.0);
        Ok((vec![measured], findings))
    }

    pub(super) async fn fanout(&self) -> Result<Shown, Failure> {
        let measured = self.one_trial("fanout", |flow| flow.webhooks = 10).await?;
        let findings = capacity(&measured, 20_000.0, 60.0);
        Ok((vec![measured], findings))
    }

    pub(super) async fn latency(&self) -> Result<Shown, Failure> {
        let rate = Some(self.options.rate.unwrap_or(200.0));
        let measured = self.one_trial("latency", |flow| flow.rate = rate).await?;
        let flow = &measured.flows[0];
        let findings =
            vec![Finding::at_most("p50", flow.p50_ms, 0.9, "ms"), Finding::at_most("p99", flow.p99_ms, 3.0, "ms")];
        Ok((vec![measured], findings))
    }

    async fn one_trial(&self, name: &str, change: impl FnOnce(&mut Flow)) -> Result<Measured, Failure> {
        let tidings = self.ground.tidings(1).await?;
        let mut flow = self.flow(name);
        change(&mut flow);
        let flows = [self.furnish(flow, &tidings).await?];
        let measured = self.trial(name, &flows, self.options.extent(), &tidings).await?;
        self.leave(&flows, tidings).await?;
        Ok(measured)
    }
}

fn capacity(measured: &Measured, rate: f64, cpu_us: f64) -> Vec<Finding> {
    vec![
        Finding::at_least("deliveries", Some(measured.flows[0].delivered_per_second), rate, "/s"),
        Finding::at_most("CPU a delivery, Tidings and Postgres", measured.cpu_us_per_delivery(), cpu_us, "µs"),
    ]
}

fn wal(measured: &Measured) -> Option<Finding> {
    measured.wal_bytes_per_delivery.map(|bytes| Finding::at_most("WAL a delivery", Some(bytes), 1_900.0, "bytes"))
}
