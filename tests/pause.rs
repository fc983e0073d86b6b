//! Pausing: a webhook that is deactivated has its events held, and gets or loses them when it is activated.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use tidings::domain::ids::{TenantId, WebhookId};

use crate::support::{Receiver, Reply, World};

fn at(webhook: &Value, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", webhook["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn events_are_held_while_a_webhook_is_inactive_and_delivered_afterwards() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let mut sent = 0;
    for (off, on) in [
        ((Method::POST, "/deactivate", None), (Method::POST, "/activate", None)),
        ((Method::PATCH, "", Some(json!({"is_active": false}))), (Method::PATCH, "", Some(json!({"is_active": true})))),
    ] {
        let switch = async |(method, rest, body): (Method, &str, Option<Value>)| {
            tenant.call(method, &at(&webhook, rest), body).await.expect(200)
        };
        for _ in 0..2 {
            let paused = switch(off.clone()).await;
            assert_eq!((&paused["state"], &paused["is_active"]), (&json!("inactive"), &json!(false)));
        }
        for number in 0..3 {
            tenant.event("a.b", json!(number)).await;
        }
        world.drain().await;
        assert_eq!((receiver.count(), world.count("outbox").await), (sent, 3), "held");
        sent += 3;
        assert_eq!(switch(on).await["state"], "active");
        receiver.wait_for(sent).await;
        world.drain().await;
        assert_eq!((receiver.count(), world.count("outbox").await), (sent, 0));
    }
}

#[tokio::test]
async fn what_was_held_can_be_dropped_and_is_counted() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let registration = json!({"url": receiver.url, "events": ["*"], "is_active": false});
    let webhook = tenant.webhook_with(registration).await;
    assert_eq!(webhook["state"], "inactive");
    for number in 0..3 {
        tenant.event("a.b", json!(number)).await;
    }
    for wrong in ["?skip_backlog=yes", "?skip_backlog=", "?skip=true"] {
        let answer = tenant.call(Method::POST, &at(&webhook, &format!("/activate{wrong}")), None).await;
        assert_eq!(answer.problem(400), "invalid_query", "{wrong}");
    }
    let path = at(&webhook, "/activate?skip_backlog=true");
    let active = tenant.call(Method::POST, &path, None).await.expect(200);
    assert_eq!((&active["state"], &active["skipped_deliveries"]), (&json!("active"), &json!(3)));
    tenant.event("a.b", json!("fresh")).await;
    receiver.wait_for(1).await;
    world.drain().await;
    assert_eq!(receiver.only().json()["data"], "fresh");
    let cancelled = tenant.get("/v1/deliveries?filter[state]=cancelled").await.expect(200);
    assert_eq!(cancelled["data"].as_array().map(Vec::len), Some(3));
}

/// As by a client that repeats the call because the answer was lost.
#[tokio::test]
async fn of_an_active_webhook_nothing_is_dropped() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(500));
    let webhook = tenant.webhook(&receiver.url).await;
    tenant.event("a.b", json!(1)).await;
    world.drain().await;
    let active = tenant.post(&at(&webhook, "/activate?skip_backlog=true"), Value::Null).await.expect(200);
    assert_eq!(active["skipped_deliveries"], 0);
    world.after(Duration::from_mins(1)).await;
    assert_eq!((receiver.count(), world.count("outbox").await), (2, 0), "it was tried again");
}

#[tokio::test]
async fn what_waited_in_a_process_is_dropped_with_the_rest() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let gate = Arc::new(Semaphore::new(0));
    receiver.always(Reply::Gate(Arc::clone(&gate), 204));
    let registration = json!({"url": receiver.url, "events": ["*"], "max_in_flight": 4, "timeout_seconds": 30});
    let webhook = tenant.webhook_with(registration).await;
    tenant.events("a.b", 60).await;
    receiver.wait_for(4).await;
    tenant.post(&at(&webhook, "/deactivate"), json!({})).await.expect(200);
    let active = tenant.post(&at(&webhook, "/activate?skip_backlog=true"), Value::Null).await.expect(200);
    assert_eq!(active["skipped_deliveries"], 56, "all but what is under way");
    gate.add_permits(60);
    world.drain().await;
    assert_eq!((receiver.count(), world.count("outbox").await), (4, 0));
}

/// A connection may keep the plan that it made while little was owed; by that, each row would be compared with all that are cancelled.
#[tokio::test]
async fn a_large_backlog_is_cancelled_as_soon_as_a_small_one() {
    let world = World::new().await;
    let (tenant, webhook): (TenantId, WebhookId) = (TenantId::from_u128(1), WebhookId::from_u128(2));
    let cancel = || world.context.store.cancel_rest(tenant, slice::from_ref(&webhook), world.clock.now());
    sqlx::raw_sql("VACUUM tidings.outbox").execute(&world.pool).await.expect("empty, and known to be");
    for _ in 0..50 {
        assert_eq!(cancel().await.expect("nothing to cancel"), 0);
    }
    let owed = "INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, attempts)
                SELECT $1, gen_random_uuid(), $2, now(), 1, 0 FROM generate_series(1, 100000)";
    sqlx::query(owed).bind(tenant).bind(webhook).execute(&world.pool).await.expect("owed");
    let cancelled = timeout(Duration::from_secs(10), cancel()).await.expect("soon");
    assert_eq!((cancelled.expect("cancelled"), world.count("outbox").await), (100_000, 0));
}
