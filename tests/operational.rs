//! Operational events: what Tidings tells a tenant of its own webhooks and deliveries, whom, and whom not.

use serde_json::{Value, json};
use sqlx::Acquire;

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

fn id(webhook: &Value) -> &str {
    webhook["id"].as_str().expect("an id")
}

/// A webhook that gives up after one attempt.
async fn hasty(tenant: &Tenant<'_>, events: Value) -> (Receiver, Value) {
    let receiver = Receiver::start().await;
    let retry = json!({"max_attempts": 1, "initial_seconds": 1});
    let webhook = tenant.webhook_with(json!({"url": receiver.url, "events": events, "retry": retry})).await;
    (receiver, webhook)
}

/// The types that arrived.
fn types(receiver: &Receiver) -> Vec<String> {
    let own = |body: Value| body["type"].as_str().expect("a type").to_owned();
    receiver.received().iter().map(|one| own(one.json())).collect()
}

#[tokio::test]
async fn a_dead_letter_is_told_to_those_who_ask_for_it_and_to_nobody_else() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (broken, webhook) = hasty(&tenant, json!(["order.*", "delivery.dead"])).await;
    let (exact, _) = hasty(&tenant, json!(["delivery.dead"])).await;
    let (prefix, _) = hasty(&tenant, json!(["delivery.*"])).await;
    let (all, _) = hasty(&tenant, json!(["*"])).await;
    let other = world.tenant().await;
    let (foreign, _) = hasty(&other, json!(["delivery.*"])).await;
    broken.always(Reply::Status(503));
    // That of the watcher dies too, and must not be told in its turn.
    prefix.always(Reply::Status(500));
    let event = tenant.event("order.paid", json!({"secret": "hush"})).await;
    world.drain().await;

    assert_eq!(types(&broken), ["order.paid"], "not about itself");
    assert_eq!(types(&all), ["order.paid"], "`*` means what producers report");
    assert_eq!((types(&exact), types(&prefix)), (vec!["delivery.dead".to_owned()], vec!["delivery.dead".to_owned()]));
    assert_eq!(foreign.count(), 0);
    assert_eq!(
        (world.count("events").await, world.count("dead_letters").await, world.count("outbox").await),
        (2, 2, 0)
    );

    let told = exact.only().json()["data"].clone();
    let deliveries = tenant.get(&format!("/v1/deliveries?filter[webhook_id]={}", id(&webhook))).await.expect(200);
    let delivery = &deliveries["data"][0];
    for (member, expected) in [
        ("delivery_id", delivery["id"].clone()),
        ("event_id", json!(event)),
        ("event_type", json!("order.paid")),
        ("webhook_id", webhook["id"].clone()),
        ("reason", json!("attempts_exhausted")),
        ("attempts", json!(1)),
        ("last_outcome", json!("http_status")),
        ("last_status", json!(503)),
    ] {
        assert_eq!(told[member], expected, "{member} of {told}");
    }
    assert!(told["died_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    assert!(!told.to_string().contains("hush") && !told.to_string().contains("/hook"), "{told}");
}

#[tokio::test]
async fn each_of_many_dead_letters_is_told_once_and_shown_as_an_event() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (broken, _) = hasty(&tenant, json!(["order.*"])).await;
    let (watcher, _) = hasty(&tenant, json!(["delivery.*"])).await;
    broken.always(Reply::Status(500));
    tenant.events("order.paid", 60).await;
    world.drain().await;
    let told: std::collections::BTreeSet<_> =
        watcher.received().iter().map(|one| one.json()["data"]["delivery_id"].to_string()).collect();
    assert_eq!((told.len(), watcher.count()), (60, 60));
    let events = tenant.get("/v1/events?filter[type]=delivery.dead").await.expect(200);
    assert_eq!(events["data"][0]["deliveries"][0]["state"], "delivered", "{events}");
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_webhook_and_others_are_told() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (gone, webhook) = hasty(&tenant, json!(["order.*", "webhook.*"])).await;
    let (watcher, _) = hasty(&tenant, json!(["webhook.*"])).await;
    gone.always(Reply::Status(410));
    tenant.event("order.paid", json!(1)).await;
    world.drain().await;
    let told = watcher.only().json();
    assert_eq!((&told["type"], &told["data"]["webhook_id"]), (&json!("webhook.disabled"), &webhook["id"]));
    assert_eq!(told["data"]["reason"], "the receiver answered 410 Gone");
    let host = gone.url.trim_start_matches("http://").trim_end_matches("/hook");
    assert_eq!(told["data"]["host"], host, "of the URL only the host, since its path may be a secret: {told}");
    tenant.post(&format!("/v1/webhooks/{}/activate", id(&webhook)), json!({})).await.expect(200);
    world.drain().await;
    assert_eq!((gone.count(), watcher.count()), (1, 1), "never about itself");
}

#[tokio::test]
async fn an_event_is_stored_if_and_only_if_what_it_reports_is() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = tenant.webhook("https://example.com/hook").await;
    hasty(&tenant, json!(["webhook.disabled"])).await;
    let mut connection = world.pool.acquire().await.expect("a connection");
    for commits in [false, true] {
        let mut transaction = connection.begin().await.expect("begun");
        let disable =
            "UPDATE tidings.webhooks SET state = 'disabled', disabled_reason = 'tried' WHERE url LIKE 'https%'";
        assert_eq!(sqlx::query(disable).execute(&mut *transaction).await.expect("disabled").rows_affected(), 1);
        if commits {
            transaction.commit().await.expect("committed");
        } else {
            transaction.rollback().await.expect("rolled back");
        }
        assert_eq!(
            (world.count("events").await, world.count("outbox").await),
            (i64::from(commits), i64::from(commits))
        );
    }
    tenant.delete(&format!("/v1/webhooks/{}", id(&webhook))).await.expect(204);
    assert_eq!(world.count("events").await, 1);
}

#[tokio::test]
async fn what_nobody_asked_for_is_not_kept() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (broken, _) = hasty(&tenant, json!(["*"])).await;
    let (_, paused) = hasty(&tenant, json!(["webhook.*"])).await;
    tenant.post(&format!("/v1/webhooks/{}/deactivate", id(&paused)), json!({})).await.expect(200);
    broken.then(Reply::Status(500)).then(Reply::Status(410));
    for _ in 0..2 {
        tenant.event("order.paid", json!(1)).await;
        world.drain().await;
    }
    assert_eq!(world.count("dead_letters").await, 2);
    assert_eq!(
        world.count("events").await,
        3,
        "of a dead letter nothing; of the disabling, for the one that is paused"
    );
    assert_eq!(world.count("outbox").await, 1, "held");
}

#[tokio::test]
async fn a_passed_challenge_is_told() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (watcher, _) = hasty(&tenant, json!(["webhook.verified"])).await;
    let receiver = Receiver::start().await;
    let body = json!({"url": receiver.url, "events": ["*"], "dialect": "limai"});
    let webhook = tenant.webhook_with(body).await;
    let verify = format!("/v1/webhooks/{}/verify", id(&webhook));
    receiver.then(Reply::Status(200));
    tenant.post(&verify, json!({})).await.problem(422);
    world.drain().await;
    assert_eq!(watcher.count(), 0, "not when it failed, nor when a dialect without a challenge is registered");
    receiver.then(Reply::Challenge);
    tenant.post(&verify, json!({})).await.expect(200);
    world.drain().await;
    let told = watcher.only().json();
    assert_eq!((&told["type"], &told["data"]["webhook_id"]), (&json!("webhook.verified"), &webhook["id"]));
    assert_eq!(told["data"]["state"], "active");
}

#[tokio::test]
async fn a_dialect_with_event_types_of_its_own_has_none_of_these() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    for events in [json!(["webhook.failing"]), json!(["delivery.*"])] {
        let body = json!({"url": "https://example.com/hook", "events": events, "dialect": "limai"});
        let refused = tenant.post("/v1/webhooks", body).await;
        assert_eq!(refused.problem(422), "validation_failed");
        assert_eq!(refused.json()["errors"][0]["code"], "unknown_event");
    }
}
