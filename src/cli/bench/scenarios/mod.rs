//! What can be measured. Each scenario is a few trials and what follows from them.

mod growth;
mod neighbours;
mod snapshot;
mod steady;
mod upkeep;

use std::sync::Arc;

use serde::Serialize;

use super::ground::{Furnished, Ground, Tidings};
use super::load::{Behaviour, Extent, Flow};
use super::measure::{Measured, Trial};
use super::options::Options;
use super::report::Finding;
use super::screen::Screen;
use crate::cli::Failure;

/// Everything that can be measured, in the order of `--list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Scenario {
    Single,
    Tenants,
    Batch,
    Fanout,
    Latency,
    Noisy,
    Idle,
    Backlog,
    Snapshot,
    Processes,
    Start,
    Growth,
}

impl Scenario {
    /// All of them.
    pub(in crate::cli) const ALL: [Self; 12] = [
        Self::Single,
        Self::Tenants,
        Self::Batch,
        Self::Fanout,
        Self::Latency,
        Self::Noisy,
        Self::Idle,
        Self::Backlog,
        Self::Snapshot,
        Self::Processes,
        Self::Start,
        Self::Growth,
    ];

    /// The word on the command line.
    pub(in crate::cli) const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Tenants => "tenants",
            Self::Batch => "batch",
            Self::Fanout => "fanout",
            Self::Latency => "latency",
            Self::Noisy => "noisy",
            Self::Idle => "idle",
            Self::Backlog => "backlog",
            Self::Snapshot => "snapshot",
            Self::Processes => "processes",
            Self::Start => "start",
            Self::Growth => "growth",
        }
    }

    /// Reads the word.
    pub(in crate::cli) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.as_str() == word)
    }

    /// What it does.
    pub(in crate::cli) const fn about(self) -> &'static str {
        match self {
            Self::Single => "events one by one, as fast as they are accepted, to one webhook",
            Self::Tenants => "the same to 100 tenants with a webhook each",
            Self::Batch => "batches of 100 events, as fast as they are accepted",
            Self::Fanout => "events one by one, each to 10 webhooks",
            Self::Latency => "200 events a second: how long a delivery takes where nothing is in its way",
            Self::Noisy => "50 events a second to a webhook, and batches to another, alone and beside one that hangs",
            Self::Idle => "memory at rest, and at full load with --pending deliveries waiting",
            Self::Backlog => "1,000 webhooks, without and with --pending deliveries for a dead one beside them",
            Self::Snapshot => "half load while a transaction stays open for --minutes: vacuum can remove nothing",
            Self::Processes => "full load on 1, 2 and 4 processes with one Postgres and a share of the processors each",
            Self::Start => "from the start of a process to its first good /readyz, on an existing database",
            Self::Growth => "cost and latency as rate, backlog, webhooks and payload grow",
        }
    }

    /// About how long it takes, as it is and with `--quick`.
    pub(in crate::cli) const fn takes(self) -> [&'static str; 2] {
        match self {
            Self::Single | Self::Tenants | Self::Batch | Self::Fanout | Self::Latency => ["half a minute", "10 s"],
            Self::Idle => ["2 minutes", "20 s"],
            Self::Backlog => ["3 minutes", "40 s"],
            Self::Snapshot => ["11 minutes, or --minutes and 1", "80 s"],
            Self::Noisy | Self::Processes => ["1 and a half minutes", "30 s"],
            Self::Start => ["5 s", "5 s"],
            Self::Growth => ["5 minutes", "75 s"],
        }
    }

    /// What is to be reached on two cores that producers, receivers, Postgres and Tidings share.
    pub(in crate::cli) const fn goal(self) -> &'static str {
        match self {
            Self::Single => "10,000 deliveries/s, at most 115 µs CPU and 1,900 bytes of WAL each",
            Self::Tenants => "within 10% of the goals of `single`: 9,000 deliveries/s, at most 127 µs CPU each",
            Self::Batch | Self::Fanout => "20,000 deliveries/s, at most 60 µs CPU each",
            Self::Latency => "p50 at most 0.9 ms, p99 at most 3 ms",
            Self::Noisy => "p50 and p99 at most 1.2 times those alone, batches at least 90% of their rate",
            Self::Idle => "at most 20 MiB at rest, at most 200 MiB under load",
            Self::Backlog => "at least 90% of the rate, at most twice the p99",
            Self::Snapshot => "at most 15% slower at the end, at most 250 bytes of outbox kept for a delivery",
            Self::Processes => "more processes are together no slower than one, and send nothing twice",
            Self::Start => "at most 150 ms",
            Self::Growth => "nothing grows faster than its work",
        }
    }
}

/// What a scenario showed.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Outcome {
    /// Which.
    pub(in crate::cli) scenario: Scenario,
    /// In their order.
    pub(in crate::cli) trials: Vec<Measured>,
    /// What follows, beside the goals.
    pub(in crate::cli) findings: Vec<Finding>,
}

/// Where scenarios are carried out.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Stage<'a> {
    pub(in crate::cli) options: &'a Options,
    pub(in crate::cli) ground: &'a Ground,
    pub(in crate::cli) screen: &'a Screen,
}

impl Stage<'_> {
    /// Carries one out.
    pub(in crate::cli) async fn carry_out(self, scenario: Scenario) -> Result<Outcome, Failure> {
        let (trials, findings) = match scenario {
            Scenario::Single => self.single().await,
            Scenario::Tenants => self.tenants().await,
            Scenario::Batch => self.batch().await,
            Scenario::Fanout => self.fanout().await,
            Scenario::Latency => self.latency().await,
            Scenario::Noisy => self.noisy().await,
            Scenario::Idle => self.idle().await,
            Scenario::Backlog => self.backlog().await,
            Scenario::Snapshot => self.snapshot().await,
            Scenario::Processes => self.processes().await,
            Scenario::Start => self.start().await,
            Scenario::Growth => self.growth().await,
        }?;
        Ok(Outcome { scenario, trials, findings })
    }

    /// A flow of single events to one webhook, as fast as they are accepted, or as the options say.
    fn flow(&self, name: &str) -> Flow {
        let Options { idempotent, payload_bytes, connections, rate, .. } = *self.options;
        Flow {
            name: name.to_owned(),
            tenants: 1,
            webhooks: 1,
            is_routed: false,
            behaviour: Behaviour::Taking,
            batch: 1,
            is_keyed: idempotent,
            payload_bytes,
            connections: connections.unwrap_or(64).into(),
            rate,
        }
    }

    async fn furnish(&self, flow: Flow, tidings: &Tidings) -> Result<Arc<Furnished>, Failure> {
        self.screen.say(&format!("{}: registering {} webhooks …", flow.name, flow.tenants * flow.webhooks));
        Furnished::new(flow, tidings, &self.ground.receivers, self.options.seed).await
    }

    async fn trial(
        &self,
        name: &str,
        flows: &[Arc<Furnished>],
        extent: Extent,
        tidings: &Tidings,
    ) -> Result<Measured, Failure> {
        Trial { name, flows, extent }.run(self.ground, tidings, self.screen).await
    }

    /// Piles up this many waiting deliveries for webhooks that take nothing. They are on disk then, if the database lets us see to it: what
    /// comes in seconds here takes hours elsewhere, and its way to disk is not what the next trial is about.
    async fn fill(&self, dead: &Furnished, pending: u32, tidings: &Tidings) -> Result<(), Failure> {
        let seed = self.options.seed;
        let filling = dead.with(tidings, seed, |flow| {
            (flow.batch, flow.connections, flow.rate) = (500, 2, None);
            flow.payload_bytes = flow.payload_bytes.min(200);
        });
        // While they are inactive nothing is tried, and nothing is learnt about their receiver.
        filling.switch(tidings, "deactivate").await?;
        self.trial("filling", std::slice::from_ref(&filling), Extent::Count(pending.into()), tidings).await?;
        filling.switch(tidings, "activate").await?;
        if let Some(store) = &self.ground.store {
            self.screen.say("writing them to disk …");
            drop(store.checkpoint().await);
        }
        Ok(())
    }

    /// Deletes the tenants of these flows from a database that outlives the bench.
    async fn forget(&self, flows: &[Arc<Furnished>], tidings: &Tidings) -> Result<(), Failure> {
        if !self.ground.is_passing() {
            self.screen.say("deleting the bench's tenants …");
            for flow in flows {
                flow.remove(tidings).await?;
            }
        }
        Ok(())
    }

    /// The same, and ends the processes.
    async fn leave(&self, flows: &[Arc<Furnished>], tidings: Tidings) -> Result<(), Failure> {
        self.forget(flows, &tidings).await?;
        tidings.stop().await;
        Ok(())
    }
}

/// Trials, and what follows from them.
type Shown = (Vec<Measured>, Vec<Finding>);
