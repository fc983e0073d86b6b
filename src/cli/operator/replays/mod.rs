//! `tidings replays`: jobs that resend many deliveries, at a pace.

mod screens;
mod watch;

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::dead_letters::Reason;
use super::deliveries::State;
use super::given::{Filters, word};
use super::list::Amount;
use super::{Command, Desk};
use crate::cli::Failure;
use crate::client::Call;
use crate::domain::ids::{EventId, ReplayId};

const NOUN: &str = "replays";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings replays start --source dead-letters --webhook wh_… --dry-run
  tidings replays start --source dead-letters --webhook wh_… --watch
  tidings replays start --source deliveries --event invoice.paid --from 2h --rate 50
  tidings replays watch rpl_…                      the exit code says how it ended";

/// What can be done with replays.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Replays {
    /// Start one
    Start(Box<Start>),
    /// List them, newest first
    List {
        #[command(flatten)]
        amount: Amount,
    },
    /// Show how far one is
    Show {
        #[arg(value_name = "REPLAY_ID")]
        id: ReplayId,
    },
    /// Wait for its end; exits with 0 if it completed, with 1 if it was cancelled
    Watch {
        #[arg(value_name = "REPLAY_ID")]
        id: ReplayId,
    },
    /// Hold one
    Pause {
        #[arg(value_name = "REPLAY_ID")]
        id: ReplayId,
    },
    /// Let one go on
    Resume {
        #[arg(value_name = "REPLAY_ID")]
        id: ReplayId,
    },
    /// End one; what it has already resent stays resent
    Cancel {
        #[arg(value_name = "REPLAY_ID")]
        id: ReplayId,
    },
}

/// What to resend.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Start {
    /// What to resend from
    #[arg(long)]
    source: Source,
    #[command(flatten)]
    filters: Filters,
    /// Of this event
    #[arg(long, value_name = "EVENT_ID")]
    event_id: Option<EventId>,
    /// Dead letters given up for this reason
    #[arg(long)]
    reason: Option<Reason>,
    /// Deliveries in this state
    #[arg(long)]
    state: Option<State>,
    /// Resend everything; required if there is no filter
    #[arg(long)]
    everything: bool,
    /// Deliveries a second at most
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Only say what would be resent
    #[arg(long, conflicts_with = "watch")]
    dry_run: bool,
    /// Wait for its end
    #[arg(long)]
    watch: bool,
}

/// What a replay goes through.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Source {
    DeadLetters,
    Deliveries,
}

impl Command for Replays {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let word = |id: &ReplayId, verb: &str| Call::post(&[&NOUN, id, &verb]);
        match self {
            Self::Start(start) => start.run(desk).await,
            Self::List { amount } => {
                let empty = "No replays. `tidings replays start --source dead-letters …` starts one.";
                desk.list(Call::get(&[&NOUN]), &amount, screens::table(), empty).await
            }
            Self::Show { id } => desk.show(Call::get(&[&NOUN, &id]), screens::card).await,
            Self::Watch { id } => watch::to_the_end(desk, id).await,
            Self::Pause { id } => desk.show(word(&id, "pause"), screens::card).await,
            Self::Resume { id } => desk.show(word(&id, "resume"), screens::card).await,
            Self::Cancel { id } => desk.show(word(&id, "cancel"), screens::card).await,
        }
    }
}

impl Start {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let body = self.body();
        let narrows = body["filter"].as_object().is_some_and(|filter| !filter.is_empty());
        if narrows == self.everything {
            return Err(Failure::misused(if narrows {
                "--everything is for replays without a filter: leave it out, or the filters"
            } else {
                "say what to resend: name --webhook, --event, --from or another filter, or --everything"
            }));
        }
        let call = Call::post(&[&NOUN]).json(&body);
        if self.dry_run {
            return desk.show(call, screens::forecast).await;
        }
        let item = desk.item(call).await?;
        let started = item.value();
        match started["id"].as_str().map(str::parse) {
            Some(Ok(id)) if self.watch => {
                desk.screen.note(format!("Started {id}. Ctrl-C ends the watching, not the replay."));
                watch::to_the_end(desk, id).await
            }
            _ => desk.screen.item(&item, screens::card),
        }
    }

    fn body(&self) -> Value {
        let Filters { webhook, event, times } = &self.filters;
        let members = [
            ("webhook_id", webhook.map(|id| id.to_string())),
            ("event", event.clone()),
            ("event_id", self.event_id.map(|id| id.to_string())),
            ("reason", self.reason.as_ref().and_then(word)),
            ("state", self.state.as_ref().and_then(word)),
            ("from", times.from.clone()),
            ("to", times.to.clone()),
        ];
        let filter: Map<_, _> =
            members.into_iter().filter_map(|(member, text)| Some((member.to_owned(), text?.into()))).collect();
        let source = match self.source {
            Source::DeadLetters => "dead_letters",
            Source::Deliveries => "deliveries",
        };
        let mut body = json!({ "source": source, "filter": filter });
        if self.everything {
            body["all"] = true.into();
        }
        if let Some(rate) = self.rate {
            body["rate_per_second"] = rate.into();
        }
        if self.dry_run {
            body["dry_run"] = true.into();
        }
        body
    }
}
