//! Resending: an operator's word that a delivery shall be made again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("an id")
}

/// A `DocIntell` webhook and the delivery of an event whose first attempt was answered so.
async fn delivery(tenant: &Tenant<'_>, receiver: &Receiver, first: Reply) -> (String, Value) {
    let webhook = tenant.webhook(&receiver.url).await;
    receiver.then(first);
    let event = tenant.event("document.uploaded", json!({"n": 1.5})).await;
    tenant.world.drain().await;
    (id(&webhook).to_owned(), tenant.delivery_of(&event).await)
}

async fn resend(tenant: &Tenant<'_>, kind: &str, of: &Value) -> crate::support::world::Answer {
    tenant.post(&format!("/v1/{kind}/{}/resend", id(of)), Value::Null).await
}

#[tokio::test]
async fn a_dead_letter_gets_fresh_attempts_and_keeps_its_history() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (_, dead) = delivery(&tenant, &receiver, Reply::Status(400)).await;
    receiver.always(Reply::Status(500));

    let resent = resend(&tenant, "dead-letters", &dead).await.expect(202);
    assert_eq!((&resent["id"], &resent["state"], &resent["attempts"]), (&dead["id"], &json!("pending"), &json!(1)));
    assert_eq!(world.count("dead_letters").await, 0);
    for _ in 0..6 {
        world.after(Duration::from_secs(20)).await;
    }
    assert_eq!(receiver.count(), 1 + 5, "a whole schedule");
    let letter = tenant.dead_letter().await;
    assert_eq!((&letter["attempts"], &letter["reason"]), (&json!(6), &json!("attempts_exhausted")));
    let attempts = tenant.attempts(&dead).await;
    let numbers: Vec<_> = attempts.iter().map(|attempt| attempt["number"].as_i64()).collect();
    assert_eq!(numbers, [6, 5, 4, 3, 2, 1].map(Some));
    let bodies: HashSet<_> = receiver.received().into_iter().map(|one| one.body).collect();
    assert_eq!(bodies.len(), 1, "the same bytes each time");

    receiver.always(Reply::Status(204));
    resend(&tenant, "deliveries", &dead).await.expect(202);
    world.drain().await;
    let delivered = tenant.get(&format!("/v1/deliveries/{}", id(&dead))).await.expect(200);
    assert_eq!((&delivered["state"], &delivered["attempts"]), (&json!("delivered"), &json!(7)));
}

#[tokio::test]
async fn a_delivered_one_gets_a_new_delivery_of_the_same_event() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (_, delivered) = delivery(&tenant, &receiver, Reply::Status(200)).await;
    let successor = resend(&tenant, "deliveries", &delivered).await.expect(202);
    assert_ne!(successor["id"], delivered["id"]);
    assert_eq!((&successor["event_id"], &successor["attempts"]), (&delivered["event_id"], &json!(0)));
    world.drain().await;
    let received = receiver.received();
    assert_eq!((received.len(), &received[0].body), (2, &received[1].body));
    let event = tenant.get(&format!("/v1/events/{}", delivered["event_id"].as_str().expect("one"))).await.expect(200);
    let states: Vec<_> = (0..2).map(|place| event["deliveries"][place]["state"].clone()).collect();
    assert_eq!(states, ["delivered", "delivered"]);

    world.clock.advance(Duration::from_mins(1));
    let third = resend(&tenant, "deliveries", &delivered).await.expect(202);
    assert!(third["id"] != successor["id"] && third["id"] != delivered["id"], "asked again later, it is another");
    world.drain().await;
    assert_eq!(receiver.count(), 3);
}

#[tokio::test]
async fn a_cancelled_one_gets_a_new_delivery() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (_, dead) = delivery(&tenant, &receiver, Reply::Status(400)).await;
    tenant.delete(&format!("/v1/dead-letters/{}", id(&dead))).await.expect(204);
    let successor = resend(&tenant, "deliveries", &dead).await.expect(202);
    assert_ne!(successor["id"], dead["id"]);
    world.drain().await;
    assert_eq!(receiver.count(), 2);
    assert_eq!(tenant.get(&format!("/v1/deliveries/{}", id(&dead))).await.expect(200)["state"], "cancelled");
}

#[tokio::test]
async fn a_pending_one_is_due_now() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (_, pending) = delivery(&tenant, &receiver, Reply::Status(500)).await;
    assert_eq!((receiver.count(), &pending["state"]), (1, &json!("pending")));
    let same = resend(&tenant, "deliveries", &pending).await.expect(202);
    assert_eq!((&same["id"], &same["attempts"]), (&pending["id"], &json!(1)));
    world.drain().await;
    assert_eq!((receiver.count(), world.count("outbox").await), (2, 0));
}

#[tokio::test]
async fn one_that_is_under_way_is_left_alone() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    let gate = Arc::new(Semaphore::new(0));
    receiver.always(Reply::Gate(Arc::clone(&gate), 204));
    let event = tenant.event("document.uploaded", json!({"n": 1})).await;
    world.look().await;
    receiver.wait_for(1).await;
    // A row that was changed is another one, in another place.
    let place = async || world.value::<String>("SELECT ctid::text FROM tidings.outbox").await;
    let before = place().await;
    let under_way = tenant.delivery_of(&event).await;
    resend(&tenant, "deliveries", &under_way).await.expect(202);
    assert_eq!(place().await, before);
    gate.add_permits(1);
    world.drain().await;
    let delivered = tenant.delivery_of(&event).await;
    assert_eq!((&delivered["state"], receiver.count()), (&json!("delivered"), 1));
}

#[tokio::test]
async fn attempts_are_counted_in_a_number_that_does_not_run_over() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (_, dead) = delivery(&tenant, &receiver, Reply::Status(400)).await;
    receiver.always(Reply::Status(400));
    world.value::<i16>("UPDATE tidings.dead_letters SET attempts = 31999, number = NULL RETURNING attempts").await;
    resend(&tenant, "dead-letters", &dead).await.expect(202);
    world.drain().await;
    assert_eq!(tenant.dead_letter().await["attempts"], 32_000);
    for kind in ["dead-letters", "deliveries"] {
        assert_eq!(resend(&tenant, kind, &dead).await.problem(409), "too_many_resends", "{kind}");
    }
}

#[tokio::test]
async fn a_resend_that_waits_for_a_retry_is_due_now_when_it_is_asked_for_again() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (_, delivered) = delivery(&tenant, &receiver, Reply::Status(204)).await;
    receiver.then(Reply::Status(500));
    let successor = resend(&tenant, "deliveries", &delivered).await.expect(202);
    world.drain().await;
    assert_eq!((receiver.count(), tenant.attempts(&successor).await.len()), (2, 1));
    let again = resend(&tenant, "deliveries", &delivered).await.expect(202);
    assert_eq!(again["id"], successor["id"]);
    world.drain().await;
    assert_eq!(receiver.count(), 3, "it does not wait for its retry");
}

#[tokio::test]
async fn the_same_resend_many_times_at_once_is_one() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (_, delivered) = delivery(&tenant, &receiver, Reply::Status(200)).await;
    let answers = join_all((0..8).map(|_| resend(&tenant, "deliveries", &delivered))).await;
    let ids: HashSet<_> = answers.iter().map(|answer| answer.expect(202)["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    world.drain().await;
    assert_eq!(receiver.count(), 2);

    receiver.then(Reply::Status(400));
    let event = tenant.event("document.uploaded", json!({})).await;
    world.drain().await;
    let dead = tenant.delivery_of(&event).await;
    let answers = join_all((0..8).map(|_| resend(&tenant, "dead-letters", &dead))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!(answer.problem(409), "not_dead");
    }
    world.drain().await;
    assert_eq!((receiver.count(), world.count("outbox").await), (4, 0));
}

#[tokio::test]
async fn a_webhook_that_cannot_receive_is_a_conflict_and_changes_nothing() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let (webhook, dead) = delivery(&tenant, &receiver, Reply::Status(400)).await;
    let path = format!("/v1/webhooks/{webhook}");
    tenant.post(&format!("{path}/deactivate"), Value::Null).await;
    for kind in ["dead-letters", "deliveries"] {
        assert_eq!(resend(&tenant, kind, &dead).await.problem(409), "webhook_inactive");
    }
    assert_eq!(tenant.dead_letter().await["id"], dead["id"]);
    tenant.delete(&path).await.expect(204);
    for kind in ["dead-letters", "deliveries"] {
        assert_eq!(resend(&tenant, kind, &dead).await.problem(409), "webhook_deleted");
    }
    let stranger = world.tenant().await;
    for kind in ["dead-letters", "deliveries"] {
        assert_eq!(resend(&stranger, kind, &dead).await.problem(404), "not_found");
    }
    world.drain().await;
    assert_eq!(receiver.count(), 1);
}
