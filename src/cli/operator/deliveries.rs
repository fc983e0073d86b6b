//! `tidings deliveries`.

use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::given::{Filters, word};
use super::list::Amount;
use super::webhooks::message;
use super::{Command, Desk, each};
use crate::cli::Failure;
use crate::cli::show::card::Card;
use crate::cli::show::cell::{Cell, duration};
use crate::cli::show::table::{Column, Table};
use crate::client::{Answer, Call};
use crate::domain::ids::{DeliveryId, EventId};

const NOUN: &str = "deliveries";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings deliveries list --state pending --webhook wh_…
  tidings deliveries attempts dlv_… --full         what was sent and answered
  tidings deliveries list --event-id evt_… --json | jq -r .id | tidings deliveries resend -";

/// What can be done with deliveries.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Deliveries {
    /// List them, newest event first
    List {
        /// In this state
        #[arg(long)]
        state: Option<State>,
        /// Of this event
        #[arg(long, value_name = "EVENT_ID")]
        event_id: Option<EventId>,
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
    /// List the attempts of one, newest first
    Attempts {
        #[arg(value_name = "DELIVERY_ID")]
        id: DeliveryId,
        /// With each request and answer
        #[arg(long)]
        full: bool,
        #[command(flatten)]
        amount: Amount,
    },
    /// Send again: a pending one becomes due now, a dead one pending again, any other gets a new delivery
    Resend {
        /// Deliveries, or `-` for ids on standard input
        #[arg(value_name = "DELIVERY_ID", required = true)]
        ids: Vec<each::IdOrInput<DeliveryId>>,
    },
}

/// States of a delivery.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum State {
    Pending,
    Delivered,
    Dead,
    Cancelled,
}

impl Command for Deliveries {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List { state, event_id, filters, amount } => {
                let state = state.as_ref().and_then(word);
                let call = Call::get(&[&NOUN]).query("filter[state]", state).query("filter[event_id]", event_id);
                let empty =
                    "No deliveries. Events become deliveries where a webhook wants them: `tidings webhooks list`.";
                desk.list(filters.of(call), &amount, table(), empty).await
            }
            Self::Show { id } => desk.show(Call::get(&[&NOUN, &id]), card).await,
            Self::Attempts { id, full, amount } => {
                let call = Call::get(&[&NOUN, &id, &"attempts"]);
                if full && !desk.screen.json {
                    return whole_attempts(desk, &call).await;
                }
                desk.list(call, &amount, attempts(), "Not attempted yet.").await
            }
            Self::Resend { ids } => {
                let ids = each::ids(ids)?;
                desk.each(&ids, |id| Call::post(&[&NOUN, id, &"resend"]), resent).await
            }
        }
    }
}

/// What came of a resend.
pub(super) fn resent(id: &DeliveryId, answer: &Answer) -> Result<String, Failure> {
    let delivery = answer.item()?.value();
    let new = Cell::of(&delivery["id"]).text;
    Ok(if new == id.to_string() { format!("{id} is due now.") } else { format!("{id} is sent again as {new}.") })
}

fn table() -> Table {
    Table::new(vec![
        Column::text("ID", "id"),
        Column::word("STATE", "state"),
        Column::text("EVENT", "event").cut(10),
        Column::text("ATTEMPTS", "attempts").right().spare(3),
        Column::text("WEBHOOK", "webhook_id").spare(2),
        Column::time("CREATED", "created_at").spare(4),
        Column::time("NEXT", "next_attempt_at").spare(1),
    ])
}

fn card(delivery: &Value) -> Card {
    Card::default()
        .line("id", Cell::of(&delivery["id"]))
        .line("state", Cell::word(&delivery["state"]))
        .some("reason", Cell::of(&delivery["reason"]))
        .line("event", Cell::of(&delivery["event"]))
        .line("event id", Cell::of(&delivery["event_id"]))
        .line("webhook", Cell::of(&delivery["webhook_id"]))
        .line("dialect", Cell::of(&delivery["dialect"]))
        .line("attempts", Cell::of(&delivery["attempts"]))
        .line("created", Cell::time(&delivery["created_at"]))
        .some("next attempt", Cell::time(&delivery["next_attempt_at"]))
        .some("settled", Cell::time(&delivery["settled_at"]))
}

fn attempts() -> Table {
    Table::new(vec![
        Column::text("NO", "number").right(),
        Column::time("STARTED", "started_at"),
        Column::word("OUTCOME", "outcome"),
        Column::text("STATUS", "status"),
        Column::new("TOOK", |attempt| Cell::plain(attempt["duration_ms"].as_f64().map(duration).unwrap_or_default()))
            .right(),
        Column::word("THEN", "verdict"),
    ])
}

/// Each attempt on a card of its own.
async fn whole_attempts(desk: &Desk, call: &Call) -> Result<(), Failure> {
    let mut after = None::<String>;
    loop {
        let page = desk.client.page(call, 100, after.as_deref()).await?;
        for (index, item) in page.items.iter().enumerate() {
            if index > 0 {
                desk.screen.say("")?;
            }
            desk.screen.say(whole_attempt(&item.value()).text(desk.screen))?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

fn whole_attempt(attempt: &Value) -> Card {
    let took = attempt["duration_ms"].as_f64().map(duration).unwrap_or_default();
    let mut card = Card::default()
        .line("attempt", Cell::of(&attempt["number"]))
        .line("started", Cell::time(&attempt["started_at"]))
        .line("took", Cell::plain(took))
        .line("outcome", Cell::word(&attempt["outcome"]))
        .line("then", Cell::word(&attempt["verdict"]));
    let request = &attempt["request"];
    card = match request {
        Value::Null => {
            card.text_below("Sent", format!("No longer known: {}.", Cell::of(&attempt["request_unavailable"]).text))
        }
        request => {
            let first = format!("{} {}", Cell::of(&request["method"]).text, Cell::of(&request["url"]).text);
            card.text_below("Sent", message(&first, &request["headers"], &request["body"]))
        }
    };
    match &attempt["response"] {
        Value::Null => card,
        response => {
            let first = format!("status {}", Cell::of(&response["status"]).text);
            card.text_below("Answered", message(&first, &response["headers"], &response["body"]))
        }
    }
}
