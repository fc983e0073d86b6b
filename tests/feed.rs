//! The feed of attempts: newest first across deliveries, filtered, paged, and each tenant's own.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

async fn read(tenant: &Tenant<'_>, query: &str) -> Vec<Value> {
    let page = tenant.get(&format!("/v1/attempts?{query}")).await;
    assert!(page.headers.contains_key("tidings-as-of"));
    page.expect(200)["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn attempts_are_told_newest_first_and_filtered() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let (well, unwell) = (Receiver::start().await, Receiver::start().await);
    unwell.always(Reply::Status(503));
    let first = tenant.webhook(&well.url).await;
    let retry = json!({"max_attempts": 3, "initial_seconds": 30, "factor": 1, "jitter": 0});
    let second = tenant.webhook_with(json!({"url": unwell.url, "events": ["b.*"], "retry": retry})).await;
    other.webhook(&well.url).await;
    let mut events = Vec::new();
    for event_type in ["a.b", "b.c", "a.c"] {
        world.clock.advance(Duration::from_secs(20));
        events.push(tenant.event(event_type, json!(1)).await);
        other.event(event_type, json!(1)).await;
        world.drain().await;
    }
    // A retry is later than what was attempted meanwhile, though its delivery is older.
    world.after(Duration::from_secs(40)).await;

    let all = read(&tenant, "").await;
    let told: Vec<_> =
        all.iter().map(|one| (one["event"].as_str().expect("a type"), &one["number"], &one["status"])).collect();
    assert_eq!(told[0], ("b.c", &json!(2), &json!(503)), "{told:?}");
    assert_eq!(told.len(), 5, "none of the other tenant's: {told:?}");
    assert!(all.is_sorted_by(|newer, older| newer["started_at"].as_str() >= older["started_at"].as_str()));
    assert_eq!(all[0]["event_id"], events[1]);

    let webhook = |webhook: &Value| format!("filter[webhook_id]={}", webhook["id"].as_str().expect("an id"));
    for (query, count) in [
        (webhook(&first), 3),
        (webhook(&second), 2),
        ("filter[outcome]=failure".to_owned(), 2),
        ("filter[outcome]=http_status".to_owned(), 2),
        ("filter[outcome]=success".to_owned(), 3),
        ("filter[outcome]=timeout".to_owned(), 0),
        ("filter[slower_than_ms]=60000".to_owned(), 0),
        (format!("filter[from]={}", all[1]["started_at"].as_str().expect("a time")), 2),
        (format!("filter[to]={}", all[1]["started_at"].as_str().expect("a time")), 3),
    ] {
        assert_eq!(read(&tenant, &query).await.len(), count, "{query}");
    }
    for query in ["filter[outcome]=odd", "filter[slower_than_ms]=-1", "filter[from]=now", "filter[state]=dead"] {
        assert_eq!(tenant.get(&format!("/v1/attempts?{query}")).await.problem(400), "invalid_query", "{query}");
    }
    let producer = Tenant { key: world.key(&tenant.id, &["producer"]).await, ..tenant.clone() };
    assert_eq!(producer.get("/v1/attempts").await.problem(403), "missing_role");
}

#[tokio::test]
async fn a_walk_meets_every_attempt_once_also_those_of_one_time() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    // The clock stands still: all of them start at one time.
    tenant.events("a.b", 25).await;
    world.drain().await;
    let all: Vec<_> = read(&tenant, "page[size]=100").await.iter().map(|one| one["id"].clone()).collect();
    assert_eq!(all.len(), 25);
    let (mut walked, mut after) = (Vec::new(), String::new());
    loop {
        let page = tenant.get(&format!("/v1/attempts?page[size]=4{after}")).await.expect(200);
        walked.extend(page["data"].as_array().expect("a list").iter().map(|one| one["id"].clone()));
        let Some(next) = page["page"]["next"].as_str() else { break };
        after = format!("&page[after]={next}");
    }
    assert_eq!(walked, all);
}

#[tokio::test]
async fn new_attempts_are_described_and_every_partition_can_be() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    tenant.events("a.b", 10).await;
    world.drain().await;
    world.context.store.describe_attempts().await.expect("described");
    let missing: i64 = world
        .value(
            "SELECT count(*) FROM pg_inherits AS p WHERE p.inhparent = 'tidings.attempts'::regclass AND NOT EXISTS (
                 SELECT FROM pg_index AS i JOIN pg_inherits AS own ON own.inhrelid = i.indexrelid
                 WHERE i.indrelid = p.inhrelid AND own.inhparent = 'tidings.attempts_by_time'::regclass)",
        )
        .await;
    assert_eq!(missing, 0);
    sqlx::query("SELECT tidings.make_partitions('2031-01-01', 1)").execute(&world.pool).await.expect("a new partition");
    let new: i64 = world
        .value("SELECT count(*) FROM pg_indexes WHERE tablename = 'attempts_20310101' AND indexdef LIKE '%brin%'")
        .await;
    assert_eq!(new, 1, "partitions to come have the index");
}
