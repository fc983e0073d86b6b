//! Health: how a webhook fares, seen by whichever process, and what becomes of one that only fails.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tidings::domain::clock::later;
use tidings::domain::health::{Streak, Traffic, quarter_of};
use tidings::domain::ids::{TenantId, WebhookId};
use tidings::store::health::Pulse;
use tokio::sync::Semaphore;

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

/// Longer than a dispatcher keeps what it saw to itself.
const TOLD: Duration = Duration::from_secs(6);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn path(webhook: &Value, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", webhook["id"].as_str().expect("an id"))
}

async fn health(tenant: &Tenant<'_>, webhook: &Value) -> Value {
    tenant.get(&path(webhook, "/health")).await.expect(200)
}

/// A webhook that is tried again every so often, and never given up in these tests.
async fn steady(tenant: &Tenant<'_>, receiver: &Receiver, every: Duration) -> Value {
    let seconds = every.as_secs();
    let retry =
        json!({"max_attempts": 50, "initial_seconds": seconds, "factor": 1, "max_seconds": seconds, "jitter": 0});
    tenant.webhook_with(json!({"url": receiver.url, "events": ["order.*"], "retry": retry})).await
}

async fn watcher(tenant: &Tenant<'_>) -> Receiver {
    let receiver = Receiver::start().await;
    tenant.webhook_with(json!({"url": receiver.url, "events": ["webhook.*"]})).await;
    receiver
}

fn told(receiver: &Receiver) -> Vec<String> {
    receiver.received().iter().map(|one| one.json()["type"].as_str().expect("a type").to_owned()).collect()
}

#[tokio::test]
async fn what_was_sent_in_a_day_is_added_up() {
    let world = World::new().await;
    let beside = world.beside().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = steady(&tenant, &receiver, HOUR).await;
    let fresh = health(&tenant, &webhook).await;
    assert_eq!(
        (&fresh["attempts"], &fresh["success_rate"], &fresh["latency_ms"]["p50"]),
        (&json!(0), &Value::Null, &Value::Null)
    );
    assert_eq!(
        (&fresh["oldest_undelivered"], &fresh["backlog"]),
        (&Value::Null, &json!({"count": 0, "at_least": false}))
    );

    for _ in 0..3 {
        receiver.then(Reply::After(Duration::from_millis(80), 204));
        tenant.event("order.paid", json!(1)).await;
    }
    world.drain().await;
    // The other process's clock started later.
    world.clock.advance(Duration::from_mins(5));
    receiver.then(Reply::Status(500));
    tenant.event("order.paid", json!(2)).await;
    world.drain().await;
    let failed_at = world.clock.now();
    let there = Tenant { world: &beside, ..tenant.clone() };
    there.event("order.paid", json!(3)).await;
    beside.drain().await;
    beside.after(TOLD).await;
    world.after(TOLD).await;

    let seen = health(&tenant, &webhook).await;
    assert_eq!((&seen["attempts"], &seen["successes"], &seen["success_rate"]), (&json!(5), &json!(4), &json!(0.8)));
    let (p50, p95) =
        (seen["latency_ms"]["p50"].as_f64().expect("p50"), seen["latency_ms"]["p95"].as_f64().expect("p95"));
    assert!((65.0..2_000.0).contains(&p50) && p95 >= p50, "{seen}");
    assert_eq!((&seen["consecutive_failures"], &seen["backlog"]["count"]), (&json!(1), &json!(1)));
    assert_eq!(seen["oldest_undelivered"]["seconds"], json!(TOLD.as_secs()), "{seen}");
    let since: DateTime<Utc> = seen["failing_since"].as_str().expect("a time").parse().expect("a time");
    assert!((since - failed_at).num_seconds() == 0, "{seen}");

    world.after(2 * DAY).await;
    world.after(TOLD).await;
    let later = health(&tenant, &webhook).await;
    assert_eq!(
        (&later["attempts"], &later["successes"]),
        (&json!(1), &json!(1)),
        "what is older than a day is not shown"
    );
    assert_eq!((&later["consecutive_failures"], &later["failing_since"]), (&json!(0), &Value::Null));
    world.after(HOUR).await;
    assert_eq!(world.count("webhook_traffic").await, 1, "nor kept");
}

#[tokio::test]
async fn a_backlog_is_counted_up_to_a_limit() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = steady(&tenant, &Receiver::start().await, HOUR).await;
    tenant.post(&path(&webhook, "/deactivate"), json!({})).await.expect(200);
    tenant.events("order.paid", 1_000).await;
    world.clock.advance(Duration::from_secs(90));
    let seen = health(&tenant, &webhook).await;
    assert_eq!((&seen["backlog"], &seen["state"]), (&json!({"count": 1_000, "at_least": false}), &json!("inactive")));
    assert_eq!(seen["oldest_undelivered"]["seconds"], 90);
    for _ in 0..10 {
        tenant.events("order.paid", 1_000).await;
    }
    let seen = health(&tenant, &webhook).await;
    assert_eq!(
        (&seen["backlog"], &seen["oldest_undelivered"]["seconds"]),
        (&json!({"count": 10_000, "at_least": true}), &json!(90))
    );
}

#[tokio::test]
async fn an_end_in_order_tells_what_was_seen() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = steady(&tenant, &Receiver::start().await, HOUR).await;
    tenant.event("order.paid", json!(1)).await;
    world.drain().await;
    assert_eq!(health(&tenant, &webhook).await["attempts"], 0);
    world.close().await;
    assert_eq!(health(&tenant, &webhook).await["attempts"], 1);
}

#[tokio::test]
async fn a_webhook_that_only_fails_is_told_of_once_for_each_stretch() {
    let world = World::new().await;
    let beside = world.beside().await;
    let tenant = world.tenant().await;
    let (receiver, watcher) = (Receiver::start().await, watcher(&tenant).await);
    let webhook = steady(&tenant, &receiver, Duration::from_mins(31)).await;
    receiver.always(Reply::Status(500));
    tenant.event("order.paid", json!(1)).await;
    world.drain().await;
    world.after(Duration::from_mins(32)).await;
    world.after(TOLD).await;
    assert_eq!(watcher.count(), 0, "half an hour is not long enough");
    for _ in 0..3 {
        world.after(Duration::from_mins(32)).await;
        world.after(TOLD).await;
        beside.after(Duration::from_mins(32)).await;
        beside.after(TOLD).await;
    }
    assert_eq!(told(&watcher), ["webhook.failing"]);
    let data = watcher.only().json()["data"].clone();
    assert_eq!((&data["webhook_id"], &data["consecutive_failures"]), (&webhook["id"], &json!(3)), "{data}");
    let time = |member: &str| data[member].as_str().expect(member).parse::<DateTime<Utc>>().expect(member);
    assert_eq!(time("disabled_from") - time("failing_since"), chrono::TimeDelta::days(5));

    receiver.then(Reply::Status(204));
    world.after(Duration::from_mins(32)).await;
    world.after(TOLD).await;
    assert_eq!(health(&tenant, &webhook).await["failing_since"], Value::Null);
    tenant.event("order.paid", json!(2)).await;
    world.drain().await;
    for _ in 0..3 {
        world.after(Duration::from_mins(32)).await;
    }
    world.after(TOLD).await;
    assert_eq!(told(&watcher), ["webhook.failing", "webhook.failing"], "another stretch");
}

#[tokio::test]
async fn one_that_fails_for_days_is_disabled_and_starts_afresh_when_a_person_says_so() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (receiver, watcher) = (Receiver::start().await, watcher(&tenant).await);
    let webhook = steady(&tenant, &receiver, DAY).await;
    receiver.always(Reply::Status(500));
    tenant.event("order.paid", json!(1)).await;
    world.drain().await;
    for _ in 0..4 {
        world.after(DAY).await;
        world.after(TOLD).await;
    }
    assert_eq!(told(&watcher), ["webhook.failing"], "four days");
    // Under way while it is disabled: these end as they end.
    let gate = Arc::new(Semaphore::new(0));
    world.clock.advance(DAY);
    receiver.then(Reply::Status(500)).then(Reply::Gate(Arc::clone(&gate), 204));
    world.look().await;
    receiver.wait_for(6).await;
    tenant.event("order.paid", json!(2)).await;
    receiver.wait_for(7).await;
    let disabled = async {
        loop {
            world.clock.advance(TOLD);
            world.look().await;
            let shown = tenant.get(&path(&webhook, "")).await.expect(200);
            if shown["state"] == "disabled" {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let shown = tokio::time::timeout(Duration::from_secs(20), disabled).await.expect("disabled after five days");
    assert!(
        shown["disabled_reason"].as_str().is_some_and(|reason| reason.starts_with("every attempt has failed since")),
        "{shown}"
    );
    gate.add_permits(1);
    world.drain().await;
    assert_eq!(told(&watcher), ["webhook.failing", "webhook.disabled"]);
    let data = watcher.received()[1].json()["data"].clone();
    assert_eq!((&data["reason"], &data["consecutive_failures"]), (&shown["disabled_reason"], &json!(6)), "{data}");

    let sent = receiver.count();
    tenant.event("order.paid", json!(3)).await;
    world.after(2 * DAY).await;
    assert_eq!(receiver.count(), sent, "held");
    receiver.then(Reply::Status(500));
    tenant.post(&path(&webhook, "/activate"), json!({})).await.expect(200);
    world.drain().await;
    world.after(TOLD).await;
    let seen = health(&tenant, &webhook).await;
    assert_eq!((&seen["state"], &seen["consecutive_failures"]), (&json!("active"), &json!(2)), "{seen}");
    assert_eq!(watcher.count(), 2);
}

/// What a process saw, as times after the world's: successes are positive, failures negative.
fn pulse(at: DateTime<Utc>, tenant: &str, webhook: &Value, seen: &[i64]) -> Pulse {
    let mut streak = Streak::default();
    for second in seen {
        streak.add(*second > 0, later(at, Duration::from_secs(second.unsigned_abs())));
    }
    let tenant_id: TenantId = tenant.parse().expect("an id");
    let webhook_id: WebhookId = webhook["id"].as_str().expect("an id").parse().expect("an id");
    Pulse { tenant_id, webhook_id, streak, traffic: vec![(quarter_of(at), Traffic::default())] }
}

#[tokio::test]
async fn what_several_processes_saw_is_put_together_by_time() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let at = world.clock.now();
    for (first, second, failures, since) in [
        (&[-1, -2][..], &[-3][..], 3, Some(1)),
        (&[-3], &[-1, -2], 3, Some(1)),
        (&[-1, -2], &[3], 0, None),
        (&[3], &[-1, -2], 0, None),
        (&[3], &[-1, -4], 1, Some(4)),
        (&[-1, -4], &[3], 1, Some(4)),
        (&[2, -3], &[1, -4], 2, Some(3)),
        (&[1, -2, -6], &[4, -5], 2, Some(5)),
        (&[-1, 2], &[-3, 4], 0, None),
        (&[], &[], 0, None),
    ] {
        let webhook = tenant.webhook("https://example.com/hook").await;
        for seen in [first, second] {
            let pulse = pulse(at, &tenant.id, &webhook, seen);
            world.context.store.note_pulses(&[pulse]).await.expect("told");
        }
        let seen = health(&tenant, &webhook).await;
        let since = since.map(|second| later(at, Duration::from_secs(second)));
        assert_eq!(
            (&seen["consecutive_failures"], &seen["failing_since"]),
            (&json!(failures), &json!(since)),
            "{first:?} {second:?}"
        );
    }
}

#[tokio::test]
async fn several_processes_report_and_disable_once() {
    let world = World::new().await;
    let beside = world.beside().await;
    let tenant = world.tenant().await;
    watcher(&tenant).await;
    let webhook = tenant.webhook("https://example.com/hook").await;
    let at = world.clock.now();
    let far = i64::try_from(6 * DAY.as_secs()).expect("days");
    world.context.store.note_pulses(&[pulse(at, &tenant.id, &webhook, &[-1, -far])]).await.expect("told");
    let ask = async |store: &tidings::store::Store| {
        let told = store.report_failing(HOUR, Some(DAY), at).await.expect("reported");
        (told, store.disable_failing(5 * DAY, at).await.expect("disabled").len())
    };
    let (a, b) = (&world.context.store, &beside.context.store);
    let answers = tokio::join!(ask(a), ask(b), ask(a), ask(b));
    let answers = [answers.0, answers.1, answers.2, answers.3];
    assert_eq!((answers.iter().map(|one| one.0).sum::<i64>(), answers.iter().map(|one| one.1).sum::<usize>()), (1, 1));
    assert_eq!(world.count("events").await, 2);

    // One that went on to fail elsewhere meanwhile is not told of again; one that succeeded since is not failing.
    let other = tenant.webhook("https://example.com/other").await;
    world.context.store.note_pulses(&[pulse(at, &tenant.id, &other, &[-1, -far])]).await.expect("told");
    world.context.store.note_pulses(&[pulse(at, &tenant.id, &other, &[far + 1])]).await.expect("told");
    assert_eq!(ask(a).await, (0, 0));
}

#[tokio::test]
async fn one_that_is_given_another_url_at_that_moment_is_not_disabled() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = tenant.webhook("https://example.com/hook").await;
    let at = world.clock.now();
    let far = i64::try_from(6 * DAY.as_secs()).expect("days");
    let store = &world.context.store;
    store.note_pulses(&[pulse(at, &tenant.id, &webhook, &[-1, -far])]).await.expect("told");
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let change = "UPDATE tidings.webhooks SET revision = revision + 1, url = 'https://example.com/other'";
    sqlx::query(change).execute(&mut *elsewhere).await.expect("changed");
    let commit = async {
        let blocked =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while world.value::<i64>(blocked).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        elsewhere.commit().await.expect("committed");
    };
    let (disabled, ()) = tokio::join!(store.disable_failing(5 * DAY, at), commit);
    assert_eq!(disabled.expect("asked").len(), 0);
    assert_eq!(tenant.get(&path(&webhook, "")).await.expect(200)["state"], "active");
}
