//! `tidings dialects`.

use clap::Subcommand;
use serde_json::Value;

use super::given::name;
use super::list::Amount;
use super::{Command, Desk};
use crate::cli::Failure;
use crate::cli::show::card::Card;
use crate::cli::show::cell::{Cell, duration};
use crate::cli::show::table::{Column, Table};
use crate::client::Call;

const NOUN: &str = "dialects";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings dialects list
  tidings dialects show docintell --source         the TOML that defines it";

/// What can be done with dialects.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Dialects {
    /// List them, by name
    List {
        #[command(flatten)]
        amount: Amount,
    },
    /// Show what one speaks
    Show {
        #[arg(value_name = "NAME", value_parser = name)]
        name: String,
        /// Print the TOML that defines it, and nothing else
        #[arg(long)]
        source: bool,
    },
}

impl Command for Dialects {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List { amount } => desk.list(Call::get(&[&NOUN]), &amount, table(), "No dialects.").await,
            Self::Show { name, source: false } => desk.show(Call::get(&[&NOUN, &name]), card).await,
            Self::Show { name, source: true } => {
                let dialect = desk.item(Call::get(&[&NOUN, &name])).await?.value();
                desk.screen.say(dialect["source"].as_str().unwrap_or_default().trim_end())
            }
        }
    }
}

fn table() -> Table {
    Table::new(vec![
        Column::text("NAME", "name"),
        Column::text("TITLE", "title").cut(16),
        Column::new("ATTEMPTS", |dialect| Cell::of(&dialect["retry"]["max_attempts"])).right(),
        Column::new("EVENT TYPES", event_types).cut(14),
        Column::text("CHALLENGE", "has_challenge").spare(2),
        Column::text("TOKEN", "has_token").spare(1),
    ])
}

fn event_types(dialect: &Value) -> Cell {
    if dialect["event_types"].is_null() { Cell::plain("any") } else { Cell::of(&dialect["event_types"]) }
}

fn card(dialect: &Value) -> Card {
    let retry = &dialect["retry"];
    let waits = retry["waits_seconds"].as_array().into_iter().flatten();
    let waits: Vec<_> = waits.filter_map(Value::as_f64).map(|seconds| duration(seconds * 1_000.0)).collect();
    Card::default()
        .line("name", Cell::of(&dialect["name"]))
        .line("title", Cell::of(&dialect["title"]))
        .line("headers", Cell::of(&dialect["headers"]))
        .line("event types", event_types(dialect))
        .line("attempts", Cell::of(&retry["max_attempts"]))
        .line("waits", Cell::plain(waits.join(", ")))
        .line("terminal statuses", Cell::of(&retry["terminal_statuses"]))
        .line("timeout", Cell::plain(dialect["timeout_seconds"].as_u64().map(|s| format!("{s} s")).unwrap_or_default()))
        .line("signs side by side", Cell::of(&dialect["signs_side_by_side"]))
        .line("token", Cell::of(&dialect["has_token"]))
        .line("challenge", Cell::of(&dialect["has_challenge"]))
}
