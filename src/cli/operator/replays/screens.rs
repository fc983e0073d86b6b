//! How replays look.

use serde_json::Value;

use crate::cli::show::card::Card;
use crate::cli::show::cell::{Cell, Tone, count, counted};
use crate::cli::show::table::{Column, Table};

pub(super) fn table() -> Table {
    Table::new(vec![
        Column::text("ID", "id"),
        Column::word("STATE", "state"),
        Column::text("SOURCE", "source").spare(3),
        Column::new("RESENT", |replay| number(&replay["progress"]["resent"])).right(),
        Column::new("SKIPPED", |replay| number(&replay["progress"]["skipped"])).right().spare(2),
        Column::new("LEFT", |replay| number(&replay["progress"]["remaining"])).right(),
        Column::time("CREATED", "created_at").spare(1),
    ])
}

fn number(value: &Value) -> Cell {
    Cell::plain(value.as_u64().map(count).unwrap_or_default())
}

pub(super) fn card(replay: &Value) -> Card {
    let progress = &replay["progress"];
    Card::default()
        .line("id", Cell::of(&replay["id"]))
        .line("state", Cell::word(&replay["state"]))
        .line("source", Cell::of(&replay["source"]))
        .line("filter", pairs(&replay["filter"], "everything"))
        .line("rate", Cell::plain(format!("{} a second", Cell::of(&replay["rate_per_second"]).text)))
        .line("total", number(&progress["total"]))
        .line("resent", number(&progress["resent"]))
        .line("skipped", number(&progress["skipped"]))
        .some("because", pairs(&replay["skipped_reasons"], ""))
        .line("left", number(&progress["remaining"]))
        .line("created", Cell::time(&replay["created_at"]))
        .some("ends about", Cell::time(&replay["estimated_end_at"]))
        .some("finished", Cell::time(&replay["finished_at"]))
}

fn pairs(members: &Value, nothing: &str) -> Cell {
    let pairs = members.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name} {}", Cell::of(value).text)).collect();
    Cell::plain(if pairs.is_empty() { nothing.to_owned() } else { pairs.join(", ") })
}

/// What a dry run says.
pub(super) fn forecast(forecast: &Value) -> Card {
    let would = forecast["would_resend"].as_u64().unwrap_or_default();
    let sign = if forecast["complete"] == false { " or more" } else { "" };
    let title = format!("{}{sign} would be resent; nothing was.", counted(would, "delivery", "deliveries"));
    let columns = vec![
        Column::text("WEBHOOK", "webhook_id"),
        Column::new("MATCH", |row| number(&row["total"])).right(),
        Column::new("WOULD RESEND", |row| number(&row["would_resend"])).right(),
        Column::new("WOULD SKIP", |row| number(&row["would_skip"])).right(),
        Column::new("WHY SKIP", |row| pairs(&row["skipped_reasons"], "")).cut(12).spare(1),
    ];
    Card::titled(title, if would > 0 { Tone::Good } else { Tone::Waiting })
        .line("source", Cell::of(&forecast["source"]))
        .line("filter", pairs(&forecast["filter"], "everything"))
        .line("rate", Cell::plain(format!("{} a second", Cell::of(&forecast["rate_per_second"]).text)))
        .rows_below("By webhook", Table::new(columns), &forecast["webhooks"])
}
