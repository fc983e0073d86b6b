//! Fairness: no webhook delays another, and none gets more than it asked for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::support::load::Api;
use crate::support::process::{Served, settings};
use crate::support::{Receiver, Reply, World, database};

#[tokio::test]
async fn fresh_events_of_50_webhooks_arrive_while_one_with_5000_hangs() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let hanging = Receiver::start().await;
    hanging.always(Reply::Hang);
    tenant.webhook_with(json!({"url": hanging.url, "events": ["slow"]})).await;
    let fresh = Receiver::start().await;
    for number in 0..50 {
        let events = json!([format!("fresh.{number}")]);
        tenant.webhook_with(json!({"url": format!("{}/{number}", fresh.url), "events": events})).await;
    }
    world.run();
    for _ in 0..5 {
        tenant.events("slow", 1_000).await;
    }
    hanging.wait_for(32).await;

    let events = (0..50).map(|number| tenant.event(format!("fresh.{number}").leak(), json!({})));
    join_all(events).await;
    let received = fresh.wait_for(50).await;
    let paths: std::collections::HashSet<_> = received.iter().map(|one| one.path.clone()).collect();
    assert_eq!(paths.len(), 50);
    assert_eq!(hanging.count(), 32, "what hangs hangs still: nothing waited for it to time out");
}

#[tokio::test]
async fn a_fresh_event_arrives_while_ten_webhooks_with_2000_each_hang() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let hanging = Receiver::start().await;
    hanging.always(Reply::Hang);
    for number in 0..10 {
        tenant.webhook_with(json!({"url": format!("{}/{number}", hanging.url), "events": ["slow"]})).await;
    }
    let fresh = Receiver::start().await;
    tenant.webhook_with(json!({"url": fresh.url, "events": ["fresh"]})).await;
    world.run();
    for _ in 0..4 {
        tenant.events("slow", 500).await;
    }
    hanging.wait_for(10 * 32).await;

    tenant.event("fresh", json!({})).await;
    fresh.wait_for(1).await;
    assert_eq!(hanging.count(), 10 * 32, "what hangs hangs still: nothing waited for it to time out");
}

#[tokio::test]
async fn what_did_not_fit_into_a_lane_is_not_overtaken_for_good() {
    const OLD: usize = 600;
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let gate = Arc::new(Semaphore::new(0));
    receiver.always(Reply::Gate(Arc::clone(&gate), 204));
    tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "max_in_flight": 1})).await;
    let report = async |event_type: &str, count: usize| {
        let event = json!({"type": event_type, "data": "x".repeat(16 * 1024)});
        tenant.post("/v1/events/batch", json!({"events": vec![event; count]})).await.expect(202);
    };
    for _ in 0..OLD / 50 {
        report("old", 50).await;
    }
    let waiting: i64 = world.value("SELECT count(*) FROM tidings.outbox WHERE holder IS NULL").await;
    assert!((100..=400).contains(&waiting), "{waiting} did not fit into the lane");

    // One comes for each that is delivered, so that the lane is never short of fresh ones.
    gate.add_permits(1);
    receiver.always(Reply::Status(204));
    world.run();
    let mut fresh = 0;
    while receiver.count() < OLD * 2 {
        let missing = receiver.count() - fresh;
        if missing > 0 {
            report("fresh", missing.min(50)).await;
            fresh += missing.min(50);
        }
        world.clock.advance(Duration::from_millis(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let left: i64 = world
        .value(
            "SELECT count(*) FROM tidings.outbox JOIN tidings.events AS e
                                     ON e.id = tidings.event_of(outbox.id) WHERE e.type = 'old'",
        )
        .await;
    assert_eq!(left, 0, "they have had their turn");
}

#[tokio::test]
async fn a_receiver_never_has_more_under_way_than_it_allows() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (narrow, usual) = (Receiver::start().await, Receiver::start().await);
    for (receiver, more) in [(&narrow, json!(3)), (&usual, json!(null))] {
        receiver.always(Reply::After(Duration::from_millis(10), 204));
        let mut body = json!({"url": receiver.url, "events": ["*"]});
        if more.is_number() {
            body["max_in_flight"] = more;
        }
        tenant.webhook_with(body).await;
    }
    tenant.events("a", 100).await;
    world.drain().await;
    for (receiver, limit) in [(&narrow, 3), (&usual, 32)] {
        let most = receiver.received().iter().map(|one| one.alongside + 1).max();
        assert_eq!((receiver.count(), most), (100, Some(limit)));
    }
}

#[tokio::test]
async fn a_rate_limit_holds_over_all_processes() {
    let first = World::new().await;
    let tenant = first.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "rate_limit": 20})).await;
    let second = first.beside().await;
    let ahead = second.clock.now() - first.clock.now();
    first.clock.advance(ahead.to_std().expect("the second began later"));
    tenant.events("a", 100).await;
    let held = "SELECT count(*) FROM tidings.outbox WHERE attempts = 0";
    let mut begun = Vec::new();
    for _ in 0..=20 {
        tokio::try_join!(first.dispatcher.tick(), second.dispatcher.tick()).expect("a look");
        begun.push(100 - first.value::<i64>(held).await);
        let count = usize::try_from(begun.last().copied().expect("one")).expect("a count");
        receiver.wait_for(count).await;
        assert_eq!(receiver.count(), count, "what was let through and no more");
        for world in [&first, &second] {
            world.clock.advance(Duration::from_millis(100));
        }
    }
    // A fifth of a second's worth may begin together.
    for (step, window) in begun.windows(11).enumerate() {
        let in_a_second = window[10] - window[0];
        assert!((19..=20).contains(&in_a_second), "{in_a_second} in the second from step {step}: {begun:?}");
    }
    assert!((1..=5).contains(&begun[0]), "{begun:?}");
}

/// Looks come every tenth of a second, and gates open between them.
#[tokio::test]
async fn a_small_rate_limit_is_reached() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut receivers = Vec::new();
    for (limit, event_type) in [(3, "three"), (4, "four"), (6, "six")] {
        let receiver = Receiver::start().await;
        tenant.webhook_with(json!({"url": receiver.url, "events": [event_type], "rate_limit": limit})).await;
        tenant.events(event_type, limit * 6).await;
        // Five seconds' worth, a fifth of a second's that may begin together, and one.
        receivers.push((receiver, limit * 52 / 10 + 1));
    }
    for _ in 0..50 {
        world.look().await;
        world.clock.advance(Duration::from_millis(100));
    }
    world.look().await;
    for (receiver, expected) in &receivers {
        receiver.wait_for(*expected).await;
        assert_eq!(receiver.count(), *expected, "of those that may begin");
    }
}

/// A look every 0.9 s would let a fifth of a second's worth through each time: five a second.
#[tokio::test]
async fn a_rate_limit_is_reached_however_seldom_looks_are() {
    let url = database::fresh().await;
    let receiver = Receiver::start().await;
    let settings = [settings(&url), vec![("dispatch.poll_milliseconds", "900")]].concat();
    let served = Served::start(&[], &settings).await;
    let api = Api::new(&[served.address]);
    let key = api.tenant().await;
    let webhook = json!({"url": receiver.url, "events": ["*"], "rate_limit": 20});
    assert_eq!(api.post("/v1/webhooks", &key, &webhook).await.0, 201);
    let events: Vec<_> = (0..60).map(|number| json!({"type": "a", "data": number})).collect();
    assert_eq!(api.post("/v1/events/batch", &key, &json!({"events": events})).await.0, 202);
    let began = Instant::now();
    receiver.wait_for(60).await;
    let took = began.elapsed();
    assert!((2.0..8.0).contains(&took.as_secs_f64()), "{took:?} for three seconds' worth");
    served.process.stop(Signal::TERM).await;
}

#[tokio::test]
async fn whoever_holds_a_gate_holds_up_only_webhooks_with_a_limit() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (limited, free) = (Receiver::start().await, Receiver::start().await);
    tenant.webhook_with(json!({"url": limited.url, "events": ["limited"], "rate_limit": 100})).await;
    tenant.webhook_with(json!({"url": free.url, "events": ["free"]})).await;
    tenant.event("limited", json!({})).await;
    world.drain().await;
    let mut holder = world.pool.begin().await.expect("a transaction");
    let gates = sqlx::query("SELECT FROM tidings.rate_gates FOR UPDATE").execute(&mut *holder).await.expect("locked");
    assert_eq!(gates.rows_affected(), 1);
    for event_type in ["limited", "free"] {
        let enqueue = sqlx::query("SELECT tidings.enqueue(tenant => $1, type => $2, data => '1'::json)");
        enqueue.bind(&tenant.id).bind(event_type).execute(&world.pool).await.expect("enqueued");
    }
    // What is enqueued in SQL is due by the database's clock.
    world.clock.advance(Duration::from_mins(1));
    world.look().await;
    free.wait_for(1).await;
    assert_eq!(limited.count(), 1);
    holder.rollback().await.expect("rolled back");
    world.drain().await;
    assert_eq!((limited.count(), free.count()), (2, 1));
}

#[tokio::test]
async fn what_a_rate_limit_lets_through_does_not_pile_up_before_a_receiver_that_hangs() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::Hang);
    tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "rate_limit": 1_000})).await;
    tenant.events("a", 1_000).await;
    for _ in 0..20 {
        world.dispatcher.tick().await.expect("a look");
        world.clock.advance(Duration::from_millis(100));
    }
    receiver.wait_for(32).await;
    let claimed: i64 = world.value("SELECT count(*) FROM tidings.outbox WHERE attempts > 0").await;
    assert!((32..=32 + 4 * 32).contains(&claimed), "{claimed} would be sent at once when it comes back");
}
