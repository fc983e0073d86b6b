//! `tidings events`.

mod batch;
mod data;
mod screens;

use std::path::PathBuf;

use clap::Subcommand;

use super::given::{Times, name, time};
use super::list::Amount;
use super::{Command, Desk, each};
use crate::cli::Failure;
use crate::cli::show::confirm;
use crate::client::Call;
use crate::domain::ids::EventId;

const NOUN: &str = "events";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings events send invoice.paid '{\"invoice\": 17}'
  tidings events send invoice.paid --file data.json --dry-run
  tidings events send --batch events.ndjson        one {\"type\": …, \"data\": …} a line
  tidings events list --type invoice.paid --from 2h";

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Events {
    /// Report one, or many from a file
    Send(Send),
    /// List them, newest first
    List {
        /// Of this type
        #[arg(long = "type", value_name = "TYPE")]
        event_type: Option<String>,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one with its data, and what became of its deliveries
    Show {
        #[arg(value_name = "EVENT_ID")]
        id: EventId,
    },
    /// Forget the data of events, for good; that they happened stays known
    DeleteData {
        /// Events, or `-` for ids on standard input
        #[arg(value_name = "EVENT_ID", required = true)]
        ids: Vec<each::IdOrInput<EventId>>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What to report.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Send {
    /// Its type, such as `invoice.paid`
    #[arg(value_name = "TYPE", required_unless_present = "batch", value_parser = name)]
    event_type: Option<String>,
    /// Its data: JSON, or `-` for what standard input has
    #[arg(value_name = "DATA", required_unless_present_any = ["batch", "file"])]
    data: Option<String>,
    /// Read its data from this file
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    file: Option<PathBuf>,
    /// Events reported under the same key within 24 h count as one [default: a key of its own]
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// When it happened, if not now: 2026-03-21T14:24:11Z, or 90s, 15m, 2h, 3d ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    occurred_at: Option<String>,
    /// Only say which webhooks would get it, and exactly what they would get
    #[arg(long)]
    dry_run: bool,
    /// Many: a file with an event a line, `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["event_type", "data", "file", "idempotency_key", "occurred_at", "dry_run"])]
    batch: Option<PathBuf>,
    /// Skip this many lines of the batch, which were accepted before
    #[arg(long, value_name = "LINES", requires = "batch", conflicts_with_all = ["event_type", "data", "file"], default_value_t = 0)]
    skip: usize,
}

impl Command for Events {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::Send(send) => match &send.batch {
                Some(file) => batch::send(desk, file, send.skip).await,
                None => send.one(desk).await,
            },
            Self::List { event_type, times, amount } => {
                let call = times.of(Call::get(&[&NOUN]).query("filter[type]", event_type));
                let empty = "No events. `tidings events send TYPE DATA` reports one.";
                desk.list(call, &amount, screens::table(), empty).await
            }
            Self::Show { id } => {
                let item = desk.item(Call::get(&[&NOUN, &id])).await?;
                desk.screen.item(&item, |event| screens::card(event, item.member("data").as_deref()))
            }
            Self::DeleteData { ids, yes } => {
                let ids = each::ids(ids)?;
                confirm(&format!("Forgetting the data of {}", each::how_many(&ids, "event", "events")), yes)?;
                let done = |id: &EventId, _: &_| Ok(format!("Forgot the data of {id}."));
                desk.each(&ids, |id| Call::delete(&[&NOUN, id, &"data"]), done).await
            }
        }
    }
}

impl Send {
    async fn one(self, desk: &Desk) -> Result<(), Failure> {
        let data = data::read(self.data.as_deref(), self.file.as_deref())?;
        let key = self.idempotency_key.unwrap_or_else(data::new_key);
        let event_type = self.event_type.unwrap_or_default();
        let body = data::event(&event_type, &data, (!self.dry_run).then_some(&key), self.occurred_at.as_deref());
        let call = Call::post(&[&NOUN]).raw(body).keyed();
        if self.dry_run {
            return desk.show(call.query("dry_run", Some(true)), screens::forecast).await;
        }
        desk.show(call, screens::receipt).await
    }
}
