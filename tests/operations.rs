//! What operators are given: every metric that the dashboard and the alerts name is there, and logs tell no secret.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::load::Api;
use crate::support::process::{Served, settings};
use crate::support::{Receiver, Reply, World, database};

/// Every metric that a text names.
fn named(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    let is_metric = |word: &&str| word.starts_with("tidings_") || word.starts_with("process_");
    words.filter(is_metric).filter(|word| !["tidings_", "tidings_producer"].contains(word)).collect()
}

/// Every `expr` of the dashboard's panels.
fn expressions(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().expect("an expression")).collect()
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_told_by_a_running_tidings() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    tenant.event("a", json!(1)).await;
    tenant.post("/v1/events", json!({})).await.expect(422);
    world.drain().await;
    let text = world.send(world.request(reqwest::Method::GET, "/metrics")).await.text;
    let told: BTreeSet<_> = text.lines().filter(|line| !line.starts_with('#')).flat_map(named).collect();

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    let read = |file: &str| std::fs::read_to_string(format!("{folder}/{file}")).expect(file);
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).expect("JSON");
    let (expressions, page) = (expressions(&dashboard), read("operations.md"));
    assert!(expressions.len() > 40, "the expressions were found");
    let shown: BTreeSet<_> = expressions.into_iter().flat_map(named).collect();
    let written = named(&page);
    assert!(written.len() > 15, "the alerts were found");
    let missing: Vec<_> = shown.union(&written).filter(|name| !told.contains(*name)).collect();
    assert!(missing.is_empty(), "named and not told: {missing:?}");
}

#[tokio::test]
async fn at_the_loudest_no_line_of_tidings_holds_a_secret_or_a_body() {
    let url = database::fresh().await;
    let mut settings = settings(&url);
    settings.push(("log.level", "trace"));
    let served = Served::start(&[], &settings).await;
    let api = Api::new(&[served.address]);
    let key = api.tenant().await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::With(
        200,
        vec![("x-answer", "answer-header-hunter2".to_owned())],
        "answer-body-hunter2".into(),
    ));
    let webhook = json!({"url": receiver.url, "events": ["*"], "headers": {"Authorization": "Bearer custom-hunter2"}});
    let (_, webhook) = api.post("/v1/webhooks", &key, &webhook).await;
    let secret = webhook["signing_secret"].as_str().expect("a secret").to_owned();
    let event = json!({"type": "a", "data": {"private": "event-data-hunter2"}, "idempotency_key": "k"});
    assert_eq!(api.post("/v1/events", &key, &event).await.0, 202);
    receiver.wait_for(1).await;
    served.process.line("delivery.attempted").await;
    let text = served.process.stop(rustix::process::Signal::TERM).await.text;

    let line = text.lines().find(|line| line.contains("delivery.attempted")).expect("a line");
    for field in [
        "tenant.id",
        "webhook.id",
        "event.id",
        "delivery.id",
        "attempt.number",
        "outcome",
        "status",
        "duration_ms",
        "verdict",
    ] {
        assert!(line.contains(&format!("{field}=")), "{field}: {line}");
    }
    assert!(line.contains(webhook["id"].as_str().expect("an id")), "{line}");
    assert!(text.lines().any(|line| line.contains("api.request") && line.contains("/v1/events")), "{text}");
    let bare = secret.trim_start_matches("whsec_");
    let hidden =
        ["hunter2", bare, key.as_str(), crate::support::world::PLATFORM_KEY, crate::support::world::MASTER_KEY];
    for line in text.lines() {
        assert!(!hidden.iter().any(|secret| line.contains(secret)), "{line}");
    }
}
