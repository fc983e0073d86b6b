//! Delivering: what is accepted arrives, signed, with its data as it was sent.

use std::time::Duration;

use serde_json::json;

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
