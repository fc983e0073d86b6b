//! How events look.

use serde_json::Value;

use crate::cli::layout::{harmless, indented};
use crate::cli::operator::webhooks::message;
use crate::cli::show::card::Card;
use crate::cli::show::cell::{Cell, Tone, counted};
use crate::cli::show::table::{Column, Table};

pub(super) fn table() -> Table {
    Table::new(vec![
        Column::text("ID", "id"),
        Column::text("TYPE", "type").cut(10),
        Column::new("DELIVERIES", |event| deliveries(&event["deliveries"])).cut(12),
        Column::time("CREATED", "created_at"),
    ])
}

/// How many are in which state.
fn deliveries(all: &Value) -> Cell {
    let all = all.as_array().map_or(&[][..], Vec::as_slice);
    let in_state = |state: &str| all.iter().filter(|delivery| delivery["state"] == state).count();
    let states = ["dead", "pending", "delivered", "cancelled"].map(|state| (state, in_state(state)));
    let told: Vec<_> =
        states.iter().filter(|(_, count)| *count > 0).map(|(state, count)| format!("{count} {state}")).collect();
    let tone = states
        .iter()
        .find(|(_, count)| *count > 0)
        .map_or(Tone::Aside, |(state, _)| Cell::word(&Value::from(*state)).tone);
    Cell::new(if told.is_empty() { "none".to_owned() } else { told.join(", ") }, tone)
}

pub(super) fn card(event: &Value, data: Option<&str>) -> Card {
    let card = Card::default()
        .line("id", Cell::of(&event["id"]))
        .line("type", Cell::of(&event["type"]))
        .some("occurred", Cell::time(&event["occurred_at"]))
        .line("created", Cell::time(&event["created_at"]))
        .some("data deleted", Cell::time(&event["data_deleted_at"]))
        .line("deliveries", deliveries(&event["deliveries"]));
    let card = match data.filter(|data| *data != "null") {
        Some(data) => card.text_below("Data", harmless(&indented(data.as_bytes()).unwrap_or_default())),
        None => card,
    };
    let columns = vec![
        Column::text("ID", "id"),
        Column::word("STATE", "state"),
        Column::text("ATTEMPTS", "attempts").right().spare(1),
        Column::text("WEBHOOK", "webhook_id").spare(2),
    ];
    card.rows_below("Deliveries", Table::new(columns), &event["deliveries"])
}

pub(super) fn receipt(receipt: &Value) -> Card {
    let id = Cell::of(&receipt["id"]).text;
    let deliveries = receipt["deliveries"].as_u64().unwrap_or_default();
    let (title, tone) = if receipt["duplicate"] == true {
        ("Accepted before under the same idempotency key; nothing was stored.", Tone::Waiting)
    } else {
        ("Accepted.", Tone::Good)
    };
    let owed = match deliveries {
        0 => "none: no webhook wants this type (--dry-run says why)".to_owned(),
        some => counted(some, "webhook gets it", "webhooks get it"),
    };
    Card::titled(title, tone).line("id", Cell::plain(id)).line("deliveries", Cell::plain(owed))
}

/// What a dry run says.
pub(super) fn forecast(forecast: &Value) -> Card {
    let count = forecast["deliveries"].as_u64().unwrap_or_default();
    let mut card = Card::titled(
        format!("{} would be owed; nothing was stored or sent.", counted(count, "delivery", "deliveries")),
        if count > 0 { Tone::Good } else { Tone::Waiting },
    );
    for matched in forecast["matches"].as_array().into_iter().flatten() {
        let id = Cell::of(&matched["webhook_id"]).text;
        let (heading, text) = match (&matched["request"], &matched["held"]) {
            (Value::Null, _) => {
                (format!("{id} would have a dead letter"), Cell::of(&matched["unrenderable"]["detail"]).text)
            }
            (request, held) => {
                let first = format!("POST {}", Cell::of(&request["url"]).text);
                let held = held.as_str().map(|state| format!(" once it is no longer {state}")).unwrap_or_default();
                (format!("{id} would get{held}"), message(&first, &request["headers"], &request["body"]))
            }
        };
        card = card.text_below(heading, text);
    }
    let columns = vec![
        Column::text("WEBHOOK", "webhook_id"),
        Column::text("WHY", "detail").cut(20),
        Column::text("URL", "url").cut(12).spare(1),
    ];
    card.rows_below("Others", Table::new(columns), &forecast["others"])
}
