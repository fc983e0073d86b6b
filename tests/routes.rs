//! Who is owed an event: processes remember it, and what another of them changes counts for the next event all the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::world::Tenant;
use crate::support::{Receiver, World};

/// Ways to report an event: alone and in a batch, each without a key and with one. Events with keys take another statement.
const WAYS: usize = 4;

/// How many deliveries an event of a type owes, and that every way to report one says the same. Only the `first` meets what was remembered
/// before a change.
async fn owed_at(tenant: &Tenant<'_>, event_type: &str, first: usize) -> u64 {
    static KEYS: AtomicUsize = AtomicUsize::new(0);
    let event = |is_keyed: bool| {
        let mut event = json!({"type": event_type, "data": 1});
        if is_keyed {
            event["idempotency_key"] = format!("key-{}", KEYS.fetch_add(1, Ordering::Relaxed)).into();
        }
        event
    };
    let number = |receipt: &Value| receipt["deliveries"].as_u64().expect("a number");
    let mut numbers = Vec::new();
    for way in (first..first + WAYS).map(|way| way % WAYS) {
        let is_keyed = way % 2 == 1;
        if way < 2 {
            numbers.push(number(&tenant.post("/v1/events", event(is_keyed)).await.expect(202)));
        } else {
            let batch = json!({"events": [event(is_keyed), event(false)]});
            let receipts = tenant.post("/v1/events/batch", batch).await.expect(202);
            numbers.extend(receipts["events"].as_array().expect("receipts").iter().map(number));
        }
    }
    assert!(numbers.iter().all(|one| *one == numbers[0]), "{event_type}, at first {first}: {numbers:?}");
    numbers[0]
}

async fn owed(tenant: &Tenant<'_>, event_type: &str) -> u64 {
    owed_at(tenant, event_type, 0).await
}

async fn set_types(world: &World, types: Option<&[&str]>) {
    let set = "UPDATE tidings.dialects SET event_types = $1 WHERE name = 'standard'";
    sqlx::query(set).bind(types).execute(&world.pool).await.expect("published");
}

#[tokio::test]
async fn what_another_process_changes_counts_for_the_next_event() {
    let world = World::new().await;
    let beside = world.beside().await;
    // Whoever changes a webhook waits for both.
    world.run();
    beside.run();
    let url = Receiver::start().await.url.clone();
    let path = |webhook: &Value| format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    for first in 0..WAYS {
        let here = world.tenant().await;
        let there = Tenant { world: &beside, ..here.clone() };
        let owed = async |event_type| owed_at(&here, event_type, first).await;
        assert_eq!(owed("order.created").await, 0);

        let all = there.webhook(&url).await;
        assert_eq!(owed("order.created").await, 1);
        let orders = there.webhook_with(json!({"url": url, "events": ["order.*"]})).await;
        assert_eq!((owed("order.created").await, owed("other").await), (2, 1));

        there.patch(&path(&orders), json!({"events": ["other"]})).await.expect(200);
        assert_eq!((owed("order.created").await, owed("other").await), (1, 2));
        there.delete(&path(&all)).await.expect(204);
        assert_eq!((owed("order.created").await, owed("other").await), (0, 1));

        // As a process of another version does, whose dialect lists other types.
        set_types(&world, Some(&["order.created"])).await;
        assert_eq!(owed("other").await, 0);
        set_types(&world, None).await;
        assert_eq!(owed("other").await, 1);
    }
}

#[tokio::test]
async fn events_are_held_as_soon_as_another_process_has_switched_a_webhook_off() {
    let world = World::new().await;
    let beside = world.beside().await;
    let here = world.tenant().await;
    let there = Tenant { world: &beside, ..here.clone() };
    // The other's clock stands later, so that its secrets would not be valid here yet.
    let ahead = beside.clock.now() - world.clock.now();
    world.clock.advance(ahead.to_std().expect("the other began later"));
    let receiver = Receiver::start().await;
    let webhook = there.webhook(&receiver.url).await;
    here.event("a", json!(1)).await;
    world.drain().await;
    assert_eq!(receiver.count(), 1);

    let held = "SELECT count(*) FROM tidings.outbox WHERE holder IS NULL";
    let path = |verb: &str| format!("/v1/webhooks/{}/{verb}", webhook["id"].as_str().expect("an id"));
    there.post(&path("deactivate"), json!({})).await.expect(200);
    here.event("a", json!(2)).await;
    assert_eq!(world.value::<i64>(held).await, 1);
    there.post(&path("activate"), json!({})).await.expect(200);
    // Nothing else has to tell this process that it may lease them again.
    here.event("a", json!(3)).await;
    assert_eq!(world.value::<i64>(held).await, 1);
}

/// As after a failover to a server that lost some transactions: it gives their numbers to others, so that a change can look as if it had
/// long been seen.
#[tokio::test]
async fn nothing_is_remembered_beyond_the_connections_that_it_was_asked_over() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let url = Receiver::start().await.url.clone();
    tenant.webhook(&url).await;
    tenant.webhook_with(json!({"url": url, "events": ["b"]})).await;
    assert_eq!(owed(&tenant, "a").await, 1);
    let change = "WITH subscribed AS (
            INSERT INTO tidings.subscriptions (tenant_id, pattern, webhook_id)
            SELECT tenant_id, 'a', id FROM tidings.webhooks WHERE events = '{b}'
        )
        UPDATE tidings.webhooks SET changed = '3'";
    sqlx::query(change).execute(&world.pool).await.expect("an old number");
    assert_eq!(owed(&tenant, "a").await, 1, "from memory, or this test shows nothing");

    let lose = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'tidings' AND pid <> pg_backend_pid()";
    sqlx::query(lose).execute(&world.pool).await.expect("lost");
    let begun = Instant::now();
    while tenant.post("/v1/events", json!({"type": "a", "data": 1})).await.status != 202 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the connections do not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(owed(&tenant, "a").await, 2);
}

/// Three producers of one process, while another registers one webhook after the other, for longer than a process goes without
/// looking at what changed.
#[tokio::test]
async fn no_event_misses_a_webhook_that_was_there_before_it() {
    let world = World::new().await;
    let beside = world.beside().await;
    let here = world.tenant().await;
    let there = Tenant { world: &beside, ..here.clone() };
    let receiver = Receiver::start().await;
    let begun = Instant::now();
    let (registered, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let register = async {
        while begun.elapsed() < Duration::from_millis(2_500) {
            there.webhook(&receiver.url).await;
            registered.fetch_add(1, Ordering::SeqCst);
        }
        ended.store(1, Ordering::SeqCst);
    };
    let produce = |number: usize| {
        let (here, registered, ended) = (&here, &registered, &ended);
        async move {
            let mut events = 0;
            while ended.load(Ordering::SeqCst) == 0 {
                let before = registered.load(Ordering::SeqCst);
                let body = json!({"type": format!("type.{number}"), "data": 1});
                let receipt = here.post("/v1/events", body).await.expect(202);
                let owed = usize::try_from(receipt["deliveries"].as_u64().expect("a number")).expect("few");
                // Its own registration is answered after it took effect.
                let after = registered.load(Ordering::SeqCst) + 1;
                assert!((before..=after).contains(&owed), "{owed} of {before} to {after} webhooks");
                events += 1;
            }
            events
        }
    };
    let (events, ()) = tokio::join!(join_all((0..3).map(produce)), register);
    assert!(registered.into_inner() > 10 && events.iter().all(|count| *count > 10), "{events:?}");
}
