//! Delivering: what is accepted arrives, signed, with its data as it was sent.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use crate::support::{Receiver, Reply, World};

#[tokio::test]
async fn an_event_arrives_and_is_no_longer_pending() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;

    let id = tenant.event("document.processed", json!({"document_id": "doc_1"})).await;
    world.drain().await;

    let received = receiver.only();
    assert_eq!(received.header("webhook-id"), id);
    assert_eq!(received.json()["data"], json!({"document_id": "doc_1"}));
    assert_eq!((world.count("outbox").await, world.count("attempts").await), (0, 1));
    let event = tenant.get(&format!("/v1/events/{id}")).await.expect(200);
    assert_eq!(event["deliveries"][0]["state"], "delivered");
}

#[tokio::test]
async fn a_failure_is_attempted_again_when_it_is_due() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(500)).then(Reply::Status(503));
    tenant.webhook(&receiver.url).await;

    tenant.event("document.uploaded", json!({"document_id": "doc_1"})).await;
    world.drain().await;
    assert_eq!(receiver.count(), 1);
    world.after(Duration::from_millis(800)).await;
    assert_eq!(receiver.count(), 1, "not before about a second has passed");
    world.after(Duration::from_millis(400)).await;
    assert_eq!(receiver.count(), 2);
    world.after(Duration::from_millis(2_300)).await;
    assert_eq!(receiver.count(), 3);

    let bodies: Vec<_> = receiver.received().into_iter().map(|received| received.body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "the same bytes each time");
    assert_eq!((world.count("outbox").await, world.count("attempts").await), (0, 3));
}

/// Such as the deletion of a webhook with a long backlog, which cancels it in one transaction.
#[tokio::test]
async fn a_result_that_somebody_has_locked_holds_up_no_other() {
    let world = World::new().await;
    world.run();
    let receiver = Receiver::start().await;
    let gate = Arc::new(Semaphore::new(0));
    receiver.always(Reply::Gate(Arc::clone(&gate), 204));
    let mut events = Vec::new();
    for _ in 0..2 {
        let tenant = world.tenant().await;
        tenant.webhook(&receiver.url).await;
        events.push((tenant.event("a.b", json!(1)).await, tenant));
    }
    events.sort_by(|(one, _), (other, _)| one.cmp(other));
    let [(first, one), (second, other)] = &events[..] else { panic!("two") };
    receiver.wait_for(2).await;
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let lock = "SELECT FROM tidings.outbox ORDER BY id LIMIT 1 FOR UPDATE";
    assert_eq!(sqlx::query(lock).execute(&mut *elsewhere).await.expect("locked").rows_affected(), 1);
    gate.add_permits(2);
    let recorded = async {
        while other.delivery_of(second).await["state"] != "delivered" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), recorded).await.expect("recorded beside what is locked");
    assert_eq!(one.delivery_of(first).await["state"], "pending");
    elsewhere.rollback().await.expect("rolled back");
    world.drain().await;
    assert_eq!(one.delivery_of(first).await["state"], "delivered");
    assert_eq!(receiver.count(), 2);
}
