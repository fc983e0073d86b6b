//! How webhooks look.

use serde_json::Value;

use crate::cli::Failure;
use crate::cli::layout::{harmless, indented};
use crate::cli::show::card::Card;
use crate::cli::show::cell::{Cell, Tone, duration};
use crate::cli::show::table::{Column, Table};

pub(super) fn table() -> Table {
    Table::new(vec![
        Column::text("ID", "id"),
        Column::word("STATE", "state"),
        Column::text("URL", "url").cut(18),
        Column::text("EVENTS", "events").cut(9),
        Column::text("DIALECT", "dialect").spare(2),
        Column::time("CREATED", "created_at").spare(1),
    ])
}

pub(super) fn card(webhook: &Value) -> Card {
    lines(Card::default(), webhook)
}

/// With what is shown this once.
pub(super) fn with_secrets(webhook: &Value) -> Card {
    let told = "Keep what stands below: it is shown only this once.";
    let card = Card::titled(told, Tone::Waiting)
        .line("signing secret", Cell::of(&webhook["signing_secret"]))
        .some("token", Cell::of(&webhook["token"]));
    lines(card, webhook)
}

fn lines(card: Card, webhook: &Value) -> Card {
    let seconds = |member: &str| match webhook[member].as_u64() {
        Some(seconds) => Cell::plain(format!("{seconds} s")),
        None => Cell::plain(""),
    };
    card.line("id", Cell::of(&webhook["id"]))
        .line("state", Cell::word(&webhook["state"]))
        .some("next", next(webhook))
        .some("disabled because", Cell::of(&webhook["disabled_reason"]))
        .some("skipped", Cell::of(&webhook["skipped_deliveries"]))
        .line("url", Cell::of(&webhook["url"]))
        .line("events", Cell::of(&webhook["events"]))
        .line("dialect", Cell::of(&webhook["dialect"]))
        .some("description", Cell::of(&webhook["description"]))
        .some("headers", pairs(&webhook["headers"], ": "))
        .some("retry", Cell::of(&webhook["retry"]))
        .some("timeout", seconds("timeout_seconds"))
        .members(webhook, &[("rate limit", "rate_limit"), ("max in flight", "max_in_flight")])
        .some("metadata", pairs(&webhook["metadata"], "="))
        .line("created", Cell::time(&webhook["created_at"]))
        .some("updated", Cell::time(&webhook["updated_at"]))
        .some("verified", Cell::time(&webhook["verified_at"]))
}

/// What must be done before it gets anything.
fn next(webhook: &Value) -> Cell {
    if webhook["state"] != "pending_verification" {
        return Cell::plain("");
    }
    let id = Cell::of(&webhook["id"]).text;
    Cell::new(format!("`tidings webhooks verify {id}` sends its receiver the challenge"), Tone::Waiting)
}

fn pairs(members: &Value, between: &str) -> Cell {
    let pairs = members.as_object().into_iter().flatten();
    Cell::plain(
        pairs
            .map(|(name, value)| format!("{}{between}{}", harmless(name), Cell::of(value).text))
            .collect::<Vec<_>>()
            .join(", "),
    )
}

/// What a test delivery sent, and what came back.
pub(super) fn test(result: &Value) -> Card {
    let took = duration(result["duration_ms"].as_f64().unwrap_or_default());
    let (title, tone) = match (result["outcome"].as_str(), result["status"].as_u64()) {
        (Some("success"), Some(status)) => (format!("The receiver answered {status} in {took}."), Tone::Good),
        (_, Some(status)) => (format!("The receiver answered {status}, which is a failure, in {took}."), Tone::Bad),
        (class, None) => (unanswered(class.unwrap_or_default(), &took), Tone::Bad),
    };
    let request = &result["request"];
    let mut card = Card::titled(title, tone)
        .line("event", Cell::of(&result["event_id"]))
        .line("type", Cell::of(&result["event_type"]))
        .text_below(
            "Sent",
            message(&format!("POST {}", Cell::of(&request["url"]).text), &request["headers"], &request["body"]),
        );
    if let Some(status) = result["status"].as_u64() {
        let answer = message(&format!("status {status}"), &result["response_headers"], &result["response_body"]);
        card = card.text_below("Answered", answer);
    }
    card
}

/// What became of a request that got no answer, by the word of the API.
fn unanswered(class: &str, took: &str) -> String {
    match class {
        "blocked_address" => "Not sent: its address is one that Tidings does not send to.".to_owned(),
        "dns" => "Not sent: the name of its host does not resolve.".to_owned(),
        "tls" => "Not sent: the TLS handshake failed.".to_owned(),
        "connect" => "There was no connection to the receiver, or it broke before an answer.".to_owned(),
        "protocol" => "What the receiver answered is not HTTP.".to_owned(),
        _ => format!("No answer within {took}."),
    }
}

/// The failure that a test delivery's failure is.
pub(super) fn test_failed(result: &Value) -> Failure {
    let hint = match result["outcome"].as_str() {
        Some("blocked_address") => "its address is one that Tidings does not send to; `egress.allow` lists exceptions",
        Some("dns") => "its host's name does not resolve",
        Some("connect") => "nothing listens at its address, or it broke the connection",
        Some("tls") => "the TLS handshake failed: its certificate is not valid, or it speaks no TLS",
        Some("protocol") => "what listens at its address does not speak HTTP",
        Some("timeout") => "it took too long",
        _ => "it must answer with a status from 200 to 299",
    };
    Failure::told(format!("the test delivery failed: {hint}"))
}

/// First line, headers, body.
pub(in crate::cli::operator) fn message(first: &str, headers: &Value, body: &Value) -> String {
    let mut lines = vec![first.to_owned()];
    match headers {
        Value::Object(members) => {
            lines.extend(members.iter().map(|(name, value)| format!("{}: {}", harmless(name), Cell::of(value).text)));
        }
        Value::Array(pairs) => {
            lines.extend(
                pairs.iter().map(|pair| format!("{}: {}", Cell::of(&pair["name"]).text, Cell::of(&pair["value"]).text)),
            );
        }
        _ => {}
    }
    if let Some(body) = body.as_str().filter(|body| !body.is_empty()) {
        lines.push(String::new());
        lines.push(harmless(&indented(body.as_bytes()).unwrap_or_else(|| body.to_owned())));
    }
    lines.join("\n")
}

pub(super) fn health(health: &Value) -> Card {
    let ms = |value: &Value| Cell::plain(value.as_f64().map(duration).unwrap_or_default());
    let rate = health["success_rate"].as_f64();
    let tone = match rate {
        Some(rate) if rate >= 0.99 => Tone::Good,
        Some(rate) if rate < 0.9 => Tone::Bad,
        Some(_) => Tone::Waiting,
        None => Tone::Aside,
    };
    let backlog = &health["backlog"];
    let more = if backlog["at_least"] == true { " or more" } else { "" };
    let oldest = health["oldest_undelivered"]["seconds"].as_f64().map(|seconds| duration(seconds * 1_000.0));
    Card::default()
        .line("state", Cell::word(&health["state"]))
        .some("disabled because", Cell::of(&health["disabled_reason"]))
        .some("parked until", Cell::time(&health["parked_until"]))
        .line("counted since", Cell::time(&health["since"]))
        .line("attempts", Cell::of(&health["attempts"]))
        .line("success rate", Cell::new(rate.map(|rate| format!("{:.2} %", rate * 100.0)).unwrap_or_default(), tone))
        .line("latency p50", ms(&health["latency_ms"]["p50"]))
        .line("latency p95", ms(&health["latency_ms"]["p95"]))
        .line("failures in a row", Cell::of(&health["consecutive_failures"]))
        .some("failing since", Cell::time(&health["failing_since"]))
        .line("backlog", Cell::plain(format!("{}{more}", Cell::of(&backlog["count"]).text)))
        .line("oldest of it", Cell::plain(oldest.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::paint::Paint;
    use crate::cli::show::Screen;
    use crate::domain::outcome::Class;

    #[test]
    fn a_webhook_that_waits_for_its_challenge_says_what_comes_next() {
        let screen = Screen { json: false, paint: Paint::OFF, width: None };
        for show in [card, with_secrets] {
            let mut webhook = json!({"id": "wh_1", "state": "pending_verification"});
            let text = show(&webhook).text(screen);
            assert!(
                text.lines().any(|line| line.starts_with("next ") && line.contains("webhooks verify wh_1`")),
                "{text}"
            );
            webhook["state"] = "active".into();
            assert!(!show(&webhook).text(screen).contains("verify"));
        }
    }

    #[test]
    fn each_way_to_fail_has_a_sentence_and_a_hint_of_its_own() {
        let screen = Screen { json: false, paint: Paint::OFF, width: None };
        let told = Class::ALL.into_iter().filter(|class| *class != Class::Success).map(|class| {
            let status = (class == Class::HttpStatus).then_some(503);
            let result = json!({"outcome": class, "status": status, "duration_ms": 3_000.0});
            let card = test(&result).text(screen);
            format!("{}\n  {}", card.lines().next().unwrap_or_default(), test_failed(&result).text(Paint::OFF))
        });
        insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
    }
}
