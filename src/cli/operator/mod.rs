//! Operator commands over the REST API, a noun a file: `tidings webhooks list`, `tidings events send`, …
//!
//! Each noun is an enum of what can be done with it, and a table of the columns that its lists have. What is printed with
//! `--json` is what the API answered; tables and cards are for people.
//!
//! **To add** a command: a variant in its noun's file, and its screen in `tests/cli.rs`.

pub(super) mod dead_letters;
pub(super) mod deliveries;
pub(super) mod dialects;
mod each;
pub(super) mod event_types;
pub(super) mod events;
mod given;
pub(super) mod keys;
mod list;
pub(super) mod replays;
pub(super) mod tail;
pub(super) mod tenants;
pub(super) mod webhooks;

use clap::{Args, Subcommand};

use super::Failure;
use super::reach::{As, Reach};
use super::show::Screen;
use super::show::card::Card;
use crate::client::{Answer, Call, Client, Item};
pub(super) use each::SomeFailed;

/// A noun: what to do with it, and which Tidings to ask.
#[derive(Debug, Args)]
#[command(subcommand_value_name = "WHAT", subcommand_help_heading = "What to do")]
pub(super) struct Noun<C: Subcommand> {
    #[command(subcommand)]
    pub(super) command: C,
    #[command(flatten)]
    pub(super) reach: Reach,
}

/// What help says at the end of a noun's page.
pub(super) fn help(examples: &str) -> String {
    format!("{examples}\n\n{}", super::reach::HELP)
}

/// What can be done with a noun.
pub(super) trait Command: Subcommand {
    /// Whose key it takes.
    const AS: As = As::Tenant;

    /// Does it.
    async fn run(self, desk: &Desk) -> Result<(), Failure>;
}

impl<C: Command> Noun<C> {
    /// Does what was asked for.
    pub(super) async fn run(self) -> Result<(), Failure> {
        self.command.run(&Desk::at(&self.reach, C::AS)?).await
    }
}

/// What a command works with: somebody to ask, somewhere to print.
pub(super) struct Desk {
    client: Client,
    screen: Screen,
    /// The tenant that was named.
    tenant: Option<crate::domain::ids::TenantId>,
}

impl Desk {
    pub(super) fn at(reach: &Reach, who: As) -> Result<Self, Failure> {
        Ok(Self { client: reach.client(who)?, screen: Screen::new(reach.json), tenant: reach.tenant })
    }

    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        Ok(self.client.send(call).await?)
    }

    async fn item(&self, call: Call) -> Result<Item, Failure> {
        Ok(self.send(call).await?.item()?)
    }

    /// Asks, and shows the one thing that is answered.
    async fn show(&self, call: Call, card: impl FnOnce(&serde_json::Value) -> Card) -> Result<(), Failure> {
        self.screen.item(&self.item(call).await?, card)
    }
}
