//! What a receiver says about its webhook as a whole: not now, and never again.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tidings::domain::retry::WebhookEffect;
use tokio::sync::Semaphore;

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

const SECOND: Duration = Duration::from_secs(1);

fn not_before(status: u16, value: &str) -> Reply {
    Reply::With(status, vec![("retry-after", value.to_owned())], String::new())
}

/// A webhook that gets one request at a time.
async fn narrow_webhook(tenant: &Tenant<'_>, receiver: &Receiver) -> String {
    let body = json!({"url": receiver.url, "events": ["*"], "max_in_flight": 1, "headers": {"X-Team": "blue"}});
    tenant.webhook_with(body).await["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn retry_after_parks_all_deliveries_of_the_webhook_and_of_no_other() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (busy, other) = (Receiver::start().await, Receiver::start().await);
    busy.then(not_before(429, "90"));
    narrow_webhook(&tenant, &busy).await;
    narrow_webhook(&tenant, &other).await;

    tenant.events("a", 10).await;
    world.drain().await;
    assert_eq!((busy.count(), other.count()), (1, 10), "what was waiting behind it is not sent either");
    tenant.event("a", json!({})).await;
    world.drain().await;
    world.after(89 * SECOND).await;
    assert_eq!((busy.count(), other.count()), (1, 11), "nor what is reported meanwhile");
    world.after(SECOND).await;
    assert_eq!((busy.count(), other.count()), (12, 11));
    assert_eq!(world.count("outbox").await, 0);
}

#[tokio::test]
async fn who_is_parked_is_told_and_a_person_may_end_it() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(not_before(429, "90"));
    let path = format!("/v1/webhooks/{}", narrow_webhook(&tenant, &receiver).await);
    let parked = async || tenant.get(&format!("{path}/health")).await.expect(200)["parked_until"].clone();
    assert_eq!(parked().await, Value::Null);
    tenant.event("a", json!({})).await;
    world.drain().await;
    let until: DateTime<Utc> = serde_json::from_value(parked().await).expect("a time");
    assert_eq!((until - world.clock.now()).num_seconds(), 90);
    for verb in ["deactivate", "activate"] {
        tenant.post(&format!("{path}/{verb}"), json!({})).await.expect(200);
    }
    assert_eq!(parked().await, Value::Null);
    tenant.event("a", json!({})).await;
    receiver.wait_for(2).await;
}

#[tokio::test]
async fn retry_after_can_be_a_date_and_counts_for_503_too() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let date = world.clock.now() + TimeDelta::seconds(120);
    receiver.then(not_before(503, &date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
    narrow_webhook(&tenant, &receiver).await;
    tenant.event("a", json!({})).await;
    world.drain().await;
    world.after(118 * SECOND).await;
    assert_eq!(receiver.count(), 1);
    world.after(2 * SECOND).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn retry_after_parks_for_an_hour_at_most() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(not_before(429, "86400"));
    narrow_webhook(&tenant, &receiver).await;
    tenant.event("a", json!({})).await;
    world.drain().await;
    world.after(3_599 * SECOND).await;
    assert_eq!(receiver.count(), 1);
    world.after(SECOND).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn retry_after_on_another_status_means_nothing() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(not_before(500, "3600"));
    narrow_webhook(&tenant, &receiver).await;
    tenant.event("a", json!({})).await;
    world.drain().await;
    world.after(6 * SECOND).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn after_a_quiet_time_the_load_comes_back_slowly() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(not_before(429, "60"));
    tenant.webhook(&receiver.url).await;
    tenant.event("a", json!({})).await;
    world.drain().await;

    let gate = Arc::new(Semaphore::new(0));
    receiver.always(Reply::Gate(Arc::clone(&gate), 204));
    tenant.events("a", 63).await;
    world.clock.advance(60 * SECOND);
    world.look().await;
    // Each answer lets one more request begin than ended: 1, 2, 4, 8 and so on up to the limit of 32.
    let mut arrived = 1;
    for under_way in [1, 2, 4, 8, 16, 32] {
        arrived += under_way;
        let received = receiver.wait_for(arrived).await;
        let most = received[1..].iter().map(|one| one.alongside + 1).max().expect("some");
        assert!(most <= under_way, "{most} at once");
        assert_eq!(receiver.count(), arrived, "no more until there are answers");
        gate.add_permits(under_way);
    }
    gate.add_permits(64);
    world.drain().await;
    assert_eq!(receiver.count(), 65);
}

#[tokio::test]
async fn gone_disables_the_webhook_gives_the_delivery_up_and_holds_the_others() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(410));
    let id = narrow_webhook(&tenant, &receiver).await;
    tenant.events("a", 10).await;
    world.drain().await;
    assert_eq!(receiver.count(), 1);

    let webhook = tenant.get(&format!("/v1/webhooks/{id}")).await.expect(200);
    assert_eq!((&webhook["state"], &webhook["is_active"]), (&json!("disabled"), &json!(false)));
    assert!(webhook.to_string().contains("410"), "the reason is told: {webhook}");
    assert_eq!(tenant.dead_letter().await["reason"], "terminal_status");
    tenant.event("a", json!({})).await;
    world.after(3_600 * SECOND).await;
    assert_eq!((receiver.count(), world.count("outbox").await), (1, 10), "its events are held");

    tenant.post(&format!("/v1/webhooks/{id}/activate"), Value::Null).await;
    world.drain().await;
    assert_eq!((receiver.count(), world.count("outbox").await), (11, 0));
    assert!(receiver.received().iter().all(|one| one.header("x-team") == "blue"), "with its own headers");
}

/// A webhook whose receiver answers 410 to what was sent before these calls, each a method, what follows its path, and a body.
async fn state_after_410_to_what_was_sent_before(calls: &[(Method, &str, Value)]) -> Value {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let (receiver, gate) = (Receiver::start().await, Arc::new(Semaphore::new(0)));
    receiver.then(Reply::Gate(Arc::clone(&gate), 410));
    let path = format!("/v1/webhooks/{}", narrow_webhook(&tenant, &receiver).await);
    tenant.event("a", json!({})).await;
    receiver.wait_for(1).await;
    for (method, rest, body) in calls {
        tenant.call(method.clone(), &format!("{path}{rest}"), Some(body.clone())).await.expect(200);
    }
    gate.add_permits(1);
    world.drain().await;
    tenant.get(&path).await.expect(200)["state"].clone()
}

#[tokio::test]
async fn gone_counts_though_the_webhook_was_changed_unless_it_has_another_url_or_was_switched_on_since() {
    let patch = |body| (Method::PATCH, "", body);
    let deactivate = (Method::POST, "/deactivate", json!({}));
    let activate = (Method::POST, "/activate", json!({}));
    for (calls, state) in [
        (vec![], "disabled"),
        (vec![patch(json!({"description": "a"})), patch(json!({"headers": {"X-Team": "red"}}))], "disabled"),
        (vec![activate.clone()], "disabled"),
        (vec![patch(json!({"url": "http://example.com/"}))], "active"),
        (vec![deactivate.clone()], "inactive"),
        (vec![deactivate, activate], "active"),
        (vec![patch(json!({"is_active": false})), patch(json!({"is_active": true}))], "active"),
    ] {
        assert_eq!(state_after_410_to_what_was_sent_before(&calls).await, state, "{calls:?}");
    }
}

#[tokio::test]
async fn a_wish_for_quiet_counts_though_the_webhook_was_changed_but_not_from_a_url_that_was_left() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let path = format!("/v1/webhooks/{}", narrow_webhook(&tenant, &receiver).await);
    let (tenant_id, id) = (tenant.id.parse().expect("an id"), path["/v1/webhooks/".len()..].parse().expect("an id"));
    let until = world.clock.now() + TimeDelta::seconds(90);
    let parked_by_an_answer_to = async |revision| {
        let effect = WebhookEffect::ParkUntil(until);
        world.context.store.affect_webhook(tenant_id, id, revision, effect, world.clock.now()).await.expect("stored");
        let parked = tenant.get(&format!("{path}/health")).await.expect(200)["parked_until"].clone();
        !parked.is_null()
    };
    for url in ["http://example.com/", &receiver.url] {
        tenant.patch(&path, json!({"url": url})).await.expect(200);
    }
    assert_eq!(tenant.patch(&path, json!({"description": "a"})).await.headers["etag"], "\"4\"");
    for of_before in [0, 1, 2] {
        assert!(!parked_by_an_answer_to(of_before).await, "it had another URL, then or in between");
    }
    assert!(parked_by_an_answer_to(3).await, "only its description is another");
}
