//! `tidings dead-letters`.

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::given::{Filters, word};
use super::list::Amount;
use super::{Command, Desk, deliveries, each};
use crate::cli::Failure;
use crate::cli::show::card::Card;
use crate::cli::show::cell::Cell;
use crate::cli::show::confirm;
use crate::cli::show::table::{Column, Table};
use crate::client::Call;
use crate::domain::ids::DeliveryId;

const NOUN: &str = "dead-letters";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings dead-letters list --webhook wh_… --from 1d
  tidings dead-letters resend dlv_… dlv_…
  tidings dead-letters list --all --json | jq -r .id | tidings dead-letters delete --yes -
  tidings replays start --source dead-letters --webhook wh_…       many, at a pace";

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeadLetters {
    /// List them, newest event first
    List {
        /// Given up for this reason
        #[arg(long)]
        reason: Option<Reason>,
        #[command(flatten)]
        filters: Filters,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one
    Show {
        #[arg(value_name = "DELIVERY_ID")]
        id: DeliveryId,
    },
    /// Make deliveries of them again, with fresh attempts
    Resend {
        /// Dead letters, or `-` for ids on standard input
        #[arg(value_name = "DELIVERY_ID", required = true)]
        ids: Vec<each::IdOrInput<DeliveryId>>,
    },
    /// Give them up for good
    Delete {
        /// Dead letters, or `-` for ids on standard input
        #[arg(value_name = "DELIVERY_ID", required = true)]
        ids: Vec<each::IdOrInput<DeliveryId>>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(in crate::cli) enum Reason {
    AttemptsExhausted,
    TerminalStatus,
    WebhookDisabled,
    Unrenderable,
}

impl Command for DeadLetters {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List { reason, filters, amount } => {
                let reason = reason.as_ref().and_then(word);
                let call = filters.of(Call::get(&[&NOUN]).query("filter[reason]", reason));
                desk.list(call, &amount, table(), "No dead letters: nothing was given up.").await
            }
            Self::Show { id } => desk.show(Call::get(&[&NOUN, &id]), card).await,
            Self::Resend { ids } => {
                let ids = each::ids(ids)?;
                desk.each(&ids, |id| Call::post(&[&NOUN, id, &"resend"]), deliveries::resent).await
            }
            Self::Delete { ids, yes } => {
                let ids = each::ids(ids)?;
                confirm(&format!("Giving up {}", each::how_many(&ids, "dead letter", "dead letters")), yes)?;
                let deleted = |id: &DeliveryId, _: &_| Ok(format!("Gave up {id}."));
                desk.each(&ids, |id| Call::delete(&[&NOUN, id]), deleted).await
            }
        }
    }
}

fn table() -> Table {
    Table::new(vec![
        Column::text("ID", "id"),
        Column::text("REASON", "reason"),
        Column::new("LAST", |letter| last(&letter["last_attempt"])),
        Column::text("EVENT", "event").cut(9),
        Column::text("WEBHOOK", "webhook_id").spare(2),
        Column::time("DIED", "died_at").spare(3),
        Column::text("DETAIL", "detail").cut(20).spare(1),
    ])
}

/// A status where one came, else the class.
fn last(attempt: &Value) -> Cell {
    let outcome = Cell::word(&attempt["outcome"]);
    let status = Cell::of(&attempt["status"]).text;
    if attempt["status"].is_null() { outcome } else { Cell::new(status, outcome.tone) }
}

fn card(letter: &Value) -> Card {
    Card::default()
        .line("id", Cell::of(&letter["id"]))
        .line("reason", Cell::of(&letter["reason"]))
        .some("detail", Cell::of(&letter["detail"]))
        .line("event", Cell::of(&letter["event"]))
        .line("event id", Cell::of(&letter["event_id"]))
        .line("webhook", Cell::of(&letter["webhook_id"]))
        .line("dialect", Cell::of(&letter["dialect"]))
        .line("attempts", Cell::of(&letter["attempts"]))
        .some("last attempt", Cell::time(&letter["last_attempt"]["started_at"]))
        .some("last outcome", Cell::word(&letter["last_attempt"]["outcome"]))
        .some("last status", Cell::of(&letter["last_attempt"]["status"]))
        .line("created", Cell::time(&letter["created_at"]))
        .line("died", Cell::time(&letter["died_at"]))
}
