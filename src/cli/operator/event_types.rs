//! `tidings event-types`: the catalogue of what a tenant's events may be.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;

use super::given::{json, name};
use super::list::Amount;
use super::{Command, Desk};
use crate::cli::Failure;
use crate::cli::layout::{harmless, indented};
use crate::cli::show::card::Card;
use crate::cli::show::cell::Cell;
use crate::cli::show::confirm;
use crate::cli::show::table::{Column, Table};
use crate::client::{Call, Item};

const NOUN: &str = "event-types";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings event-types put invoice.paid --description 'An invoice was paid'
  tidings event-types put invoice.paid --schema schema.json --example example.json
  tidings event-types show invoice.paid";

/// What can be done with event types.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum EventTypes {
    /// List them, newest first
    List {
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one, with its schema and example
    Show {
        #[arg(value_name = "TYPE", value_parser = name)]
        name: String,
    },
    /// Describe one, replacing any earlier description
    Put {
        #[arg(value_name = "TYPE", value_parser = name)]
        name: String,
        /// For people
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        /// A file with a JSON Schema that data must fit
        #[arg(long, value_name = "FILE")]
        schema: Option<PathBuf>,
        /// A file with example data of such an event
        #[arg(long, value_name = "FILE")]
        example: Option<PathBuf>,
        /// Producers are told that it is on its way out
        #[arg(long)]
        deprecated: bool,
    },
    /// Take one out; with none left, every type is accepted
    Delete {
        #[arg(value_name = "TYPE", value_parser = name)]
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

impl Command for EventTypes {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List { amount } => {
                let empty =
                    "The catalogue is empty, so every type is accepted. `tidings event-types put TYPE` begins one.";
                desk.list(Call::get(&[&NOUN]), &amount, table(), empty).await
            }
            Self::Show { name } => shown(desk, &desk.item(Call::get(&[&NOUN, &name])).await?),
            Self::Put { name, description, schema, example, deprecated } => {
                let description = description.map(|text| Value::from(text).to_string());
                let members = [
                    ("description", description),
                    ("schema", schema.as_deref().map(read).transpose()?),
                    ("example", example.as_deref().map(read).transpose()?),
                    ("deprecated", deprecated.then(|| "true".to_owned())),
                ];
                let members = members.into_iter().filter_map(|(member, json)| Some(format!("\"{member}\":{}", json?)));
                let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
                shown(desk, &desk.item(Call::put(&[&NOUN, &name]).raw(body)).await?)
            }
            Self::Delete { name, yes } => {
                confirm(&format!("Taking {name} out of the catalogue"), yes)?;
                let deleted = |name: &String, _: &_| Ok(format!("Took {name} out."));
                desk.each(&[name], |name| Call::delete(&[&NOUN, name]), deleted).await
            }
        }
    }
}

/// The JSON in a file, as it is there.
fn read(path: &Path) -> Result<String, Failure> {
    let text =
        fs::read_to_string(path).map_err(|error| Failure::told(format!("cannot read {}: {error}", path.display())))?;
    let json = json(text.trim()).map_err(|told| Failure::told(format!("{}: {told}", path.display())))?;
    Ok(json.get().to_owned())
}

fn table() -> Table {
    Table::new(vec![
        Column::text("TYPE", "name").cut(20),
        Column::text("DESCRIPTION", "description").cut(16),
        Column::new("SCHEMA", |event_type| Cell::of(&Value::from(!event_type["schema"].is_null()))),
        Column::text("DEPRECATED", "deprecated").spare(2),
        Column::time("UPDATED", "updated_at").spare(1),
    ])
}

fn shown(desk: &Desk, item: &Item) -> Result<(), Failure> {
    desk.screen.item(item, |event_type| {
        let card = Card::default()
            .line("type", Cell::of(&event_type["name"]))
            .some("description", Cell::of(&event_type["description"]))
            .line("deprecated", Cell::of(&event_type["deprecated"]))
            .line("created", Cell::time(&event_type["created_at"]))
            .line("updated", Cell::time(&event_type["updated_at"]));
        [("Schema", "schema"), ("Example", "example")].into_iter().fold(card, |card, (heading, member)| {
            match item.member(member).filter(|json| json != "null") {
                Some(json) => card.text_below(heading, harmless(&indented(json.as_bytes()).unwrap_or(json))),
                None => card,
            }
        })
    })
}
