//! Dry runs: what would come of an event, without anything coming of it.

use serde_json::{Value, json};

use tidings::domain::ids::WebhookId;
use uuid::Uuid;

use crate::support::{Receiver, World};

/// A request's headers as shown, but for those that differ with the event's id.
fn shown_headers(request: &Value) -> Vec<(String, String)> {
    let headers = request["headers"].as_array().expect("headers");
    let text = |header: &Value, member: &str| header[member].as_str().expect(member).to_owned();
    headers.iter().map(|header| (text(header, "name").to_lowercase(), text(header, "value"))).collect()
}

#[tokio::test]
async fn a_dry_run_shows_the_exact_request_and_stores_and_sends_nothing() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    for dialect in ["docintell", "numora", "standard"] {
        let headers = json!({"X-Team": "blue", "X-Api-Token": "hush"});
        let body = json!({"url": receiver.url, "events": ["*"], "dialect": dialect, "headers": headers});
        tenant.webhook_with(body).await;
    }
    for (event_type, matching) in [("document.uploaded", 2), ("document.reviewed", 2), ("any", 1)] {
        let event = json!({"type": event_type, "data": {"amount": 1.5}, "occurred_at": "2026-03-21T14:24:11Z"});
        let forecast = tenant.post("/v1/events?dry_run=true", event.clone()).await.expect(200);
        assert_eq!(forecast["matches"].as_array().map(Vec::len), Some(matching), "{forecast}");
        world.drain().await;
        assert_eq!((world.count("events").await, world.count("outbox").await, receiver.count()), (0, 0, 0));
    }

    let event = json!({"type": "document.uploaded", "data": {"amount": 1.5}, "occurred_at": "2026-03-21T14:24:11Z"});
    let forecast = tenant.post("/v1/events?dry_run=true", event.clone()).await.expect(200);
    tenant.post("/v1/events", event).await.expect(202);
    world.drain().await;
    assert_eq!(receiver.count(), 2);
    for shown in forecast["matches"].as_array().expect("matches") {
        let is_docintell = shown["dialect"] == "docintell";
        let received = receiver.received();
        let arrived = received.iter().find(|one| one.headers.contains_key("x-docintell-event") == is_docintell);
        let arrived = arrived.expect("a request");
        let request = &shown["request"];
        assert_eq!((&request["method"], &request["url"]), (&json!("POST"), &json!(receiver.url)));
        assert_eq!(request["body"].as_str().expect("a body").as_bytes(), &arrived.body[..]);
        for (name, value) in shown_headers(request) {
            match name.as_str() {
                "x-api-token" => assert_eq!(value, "[redacted]"),
                // These differ with the event's id, and a dry run makes no event.
                "webhook-id" | "webhook-signature" => assert_eq!(value.len(), arrived.header(&name).len()),
                _ => assert_eq!(value, arrived.header(&name), "{name}"),
            }
        }
    }
}

#[tokio::test]
async fn a_dry_run_of_a_large_event_shows_as_many_requests_as_a_page_holds() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    for _ in 0..7 {
        tenant.webhook("https://example.com/hook").await;
    }
    let event = json!({"type": "a.b", "data": "x".repeat(200_000)});
    let forecast = tenant.post("/v1/events?dry_run=true", event).await.expect(200);
    let shown = forecast["matches"].as_array().map(Vec::len);
    assert_eq!((shown, &forecast["deliveries"], &forecast["more"]), (Some(5), &json!(7), &json!(true)));
}

#[tokio::test]
async fn a_dry_run_says_why_webhooks_get_nothing_and_what_is_held() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = |events: &str, dialect: &str| json!({"url": receiver.url, "events": [events], "dialect": dialect});
    tenant.webhook_with(webhook("push.failed", "numora")).await;
    tenant.webhook_with(webhook("*", "limai")).await;
    tenant.webhook_with(webhook("*", "beltic")).await;
    let paused = tenant.webhook_with(webhook("*", "standard")).await;
    let path = format!("/v1/webhooks/{}/deactivate", paused["id"].as_str().expect("an id"));
    tenant.post(&path, json!({})).await.expect(200);

    let event = json!({"type": "DOCUMENT_EXTRACTED", "data": {}});
    let forecast = tenant.post("/v1/events?dry_run=true", event).await.expect(200);
    let others = forecast["others"].as_array().expect("others").iter();
    let mut reasons: Vec<_> = others.map(|one| format!("{} {}", one["dialect"], one["reason"])).collect();
    reasons.sort();
    let expected = ["\"beltic\" \"not_in_dialect\"", "\"limai\" \"never_verified\"", "\"numora\" \"not_subscribed\""];
    assert_eq!(reasons, expected);
    assert_eq!(forecast["matches"][0]["webhook_id"], paused["id"]);
    assert_eq!(forecast["matches"][0]["held"], "inactive");
}

/// Registering so many one by one would take long; they are alike.
async fn copies(world: &World, webhook: &Value, count: i32) {
    let id = webhook["id"].as_str().expect("an id").parse::<WebhookId>().expect("an id").as_u128();
    for statement in [
        "INSERT INTO tidings.webhooks SELECT (jsonb_populate_record(w, jsonb_build_object('id', gen_random_uuid()))).*
         FROM tidings.webhooks AS w, generate_series(1, $2) WHERE w.id = $1",
        "INSERT INTO tidings.subscriptions (tenant_id, pattern, webhook_id)
         SELECT w.tenant_id, p, w.id FROM tidings.webhooks AS w, unnest(w.events) AS p, tidings.webhooks AS first
         WHERE first.id = $1 AND w.tenant_id = first.tenant_id AND w.events = first.events AND w.id <> $1 AND $2 > 0",
    ] {
        let query = sqlx::query(statement).bind(Uuid::from_u128(id)).bind(count);
        query.execute(&world.pool).await.expect("copied");
    }
}

#[tokio::test]
async fn of_many_webhooks_those_that_match_come_first_and_all_of_them_count() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = |event: &str| json!({"url": receiver.url, "events": [event]});
    let other = tenant.webhook_with(webhook("other")).await;
    copies(&world, &other, 120).await;
    let youngest = tenant.webhook_with(webhook("wanted")).await;
    let event = |event_type: &str| json!({"type": event_type, "data": 1});
    let forecast = tenant.post("/v1/events?dry_run=true", event("wanted")).await.expect(200);
    assert_eq!((&forecast["deliveries"], &forecast["more"]), (&json!(1), &json!(true)));
    assert_eq!(forecast["matches"][0]["webhook_id"], youngest["id"]);
    assert_eq!(forecast["others"].as_array().map(Vec::len), Some(99));
    let forecast = tenant.post("/v1/events?dry_run=true", event("other")).await.expect(200);
    assert_eq!((&forecast["deliveries"], &forecast["more"]), (&json!(121), &json!(true)));
    assert_eq!((forecast["matches"].as_array().map(Vec::len), &forecast["others"]), (Some(100), &json!([])));
    let accepted = tenant.post("/v1/events", event("other")).await.expect(202);
    assert_eq!(accepted["deliveries"], 121);
}

#[tokio::test]
async fn a_dry_run_shows_what_cannot_be_rendered() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "beltic").await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    for (data, member) in [(json!({"status": 1}), json!("status")), (json!([1]), Value::Null)] {
        let event = json!({"type": "processed", "data": data});
        let forecast = tenant.post("/v1/events?dry_run=true", event).await.expect(200);
        let shown = &forecast["matches"][0];
        assert_eq!((&shown["request"], &shown["unrenderable"]["member"]), (&Value::Null, &member), "{forecast}");
    }
    assert_eq!(world.count("events").await, 0);
}

#[tokio::test]
async fn a_dry_run_says_what_a_delivery_lacks_to_be_signed() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "beltic").await;
    tenant.webhook("https://example.com/hook").await;
    for (missing, told) in [
        ("DELETE FROM tidings.webhook_secrets WHERE kind = 'token'", "`token` must be there"),
        ("DELETE FROM tidings.webhook_secrets", "`secret` must be there"),
    ] {
        sqlx::query(missing).execute(&world.pool).await.expect("deleted");
        let event = json!({"type": "processed", "data": {}});
        let forecast = tenant.post("/v1/events?dry_run=true", event).await.expect(200);
        let shown = &forecast["matches"][0];
        let detail = shown["unrenderable"]["detail"].as_str().unwrap_or_default();
        assert!(shown["request"].is_null() && detail.contains(told) && detail.contains("rotate"), "{forecast}");
    }
}
