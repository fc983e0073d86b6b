//! Erasure: the data of an event is deleted, the fact stays.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tidings::actions::accept::HandOffTarget;
use tidings::dispatch::Keeper;
use tokio::sync::Semaphore;

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

const DAY: Duration = Duration::from_hours(24);

async fn erase(tenant: &Tenant<'_>, event: &str) -> Value {
    tenant.call(Method::DELETE, &format!("/v1/events/{event}/data"), None).await.expect(200)
}

/// Where a text can be found in the database.
async fn traces(world: &World, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'tidings' AND table_type = 'BASE TABLE'";
    for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&world.pool).await.expect("tables") {
        let look = format!(
            "SELECT count(*) FROM tidings.{table} AS r WHERE r::text LIKE '%' || $1 || '%' OR r::text LIKE '%' || encode($1::bytea, 'hex') || '%'"
        );
        let count: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(look)).bind(text).fetch_one(&world.pool).await.expect("a count");
        if count > 0 {
            found.push(table);
        }
    }
    found
}

#[tokio::test]
async fn the_data_is_nowhere_and_the_fact_is_told() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    receiver.then(Reply::With(200, vec![("x-echo", "hush-hush".to_owned())], "you said hush-hush".to_owned()));
    let report = json!({"type": "document.uploaded", "data": {"name": "hush-hush"}, "idempotency_key": "k"});
    let accepted = tenant.post("/v1/events", report.clone()).await.expect(202);
    let event = accepted["id"].as_str().expect("an id").to_owned();
    world.drain().await;
    let before = traces(&world, "hush-hush").await;
    assert!(before.iter().any(|table| table.starts_with("events_")), "{before:?}");
    assert!(before.iter().any(|table| table.starts_with("attempts_")), "{before:?}");

    world.run();
    let erased = erase(&tenant, &event).await;
    assert_eq!((&erased["id"], &erased["cancelled_deliveries"]), (&json!(event), &json!(0)));
    assert_eq!(traces(&world, "hush-hush").await, [""; 0]);
    assert_eq!(world.value::<i64>("SELECT count(*) FROM tidings.idempotency_keys WHERE digest <> ''").await, 0);

    let shown = tenant.get(&format!("/v1/events/{event}")).await.expect(200);
    assert_eq!((shown.get("data"), &shown["data_deleted_at"]), (None, &erased["data_deleted_at"]));
    assert_eq!((&shown["type"], &shown["deliveries"][0]["state"]), (&json!("document.uploaded"), &json!("delivered")));
    let listed = tenant.get("/v1/events").await.expect(200);
    assert_eq!(listed["data"][0]["data_deleted_at"], erased["data_deleted_at"]);
    let delivery = tenant.delivery_of(&event).await;
    let attempts = tenant.attempts(&delivery).await;
    assert_eq!((&attempts[0]["request"], &attempts[0]["response"]["body"]), (&Value::Null, &json!("")));
    assert!(attempts[0]["request_unavailable"].as_str().is_some_and(|why| why.contains("deleted")), "{attempts:?}");
    let resend = format!("/v1/deliveries/{}/resend", delivery["id"].as_str().expect("an id"));
    assert_eq!(tenant.post(&resend, Value::Null).await.problem(409), "event_data_deleted");
    assert_eq!(tenant.post("/v1/events", report).await.problem(409), "event_data_deleted", "its key stays taken");

    world.clock.advance(Duration::from_hours(1));
    assert_eq!(erase(&tenant, &event).await, erased, "twice is once");
    assert_eq!(world.tenant().await.delete(&format!("/v1/events/{event}/data")).await.problem(404), "not_found");
}

#[tokio::test]
async fn what_is_owed_is_cancelled_and_never_sent() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let (slow, failing) = (Receiver::start().await, Receiver::start().await);
    let uploads = |url: &str| json!({"url": url, "events": ["document.uploaded"]});
    let paused = tenant.webhook_with(uploads("http://127.0.0.1:9/")).await;
    let paused = paused["id"].as_str().expect("an id");
    tenant.post(&format!("/v1/webhooks/{paused}/deactivate"), json!({})).await.expect(200);
    failing.always(Reply::Status(400));
    tenant.webhook_with(uploads(&failing.url)).await;
    let dead_and_held = tenant.event("document.uploaded", json!({"n": 1})).await;
    world.drain().await;
    let letter = tenant.dead_letter().await["id"].as_str().expect("an id").to_owned();

    // One request is under way, and behind it another event waits in memory.
    let gate = Arc::new(Semaphore::new(0));
    slow.always(Reply::Gate(Arc::clone(&gate), 204));
    tenant.webhook_with(json!({"url": slow.url, "events": ["document.processing.failed"], "max_in_flight": 1})).await;
    let under_way = tenant.event("document.processing.failed", json!({"n": 2})).await;
    let waiting = tenant.event("document.processing.failed", json!({"n": 3})).await;
    world.run();
    slow.wait_for(1).await;
    assert_eq!(erase(&tenant, &dead_and_held).await["cancelled_deliveries"], 2);
    for event in [&under_way, &waiting] {
        assert!(erase(&tenant, event).await["cancelled_deliveries"].as_i64() >= Some(1));
    }
    gate.add_permits(10);
    world.drain().await;
    assert_eq!(slow.count(), 1, "what waited was not sent");
    for event in [&dead_and_held, &under_way, &waiting] {
        let shown = tenant.get(&format!("/v1/events/{event}")).await.expect(200);
        for delivery in shown["deliveries"].as_array().expect("deliveries") {
            assert_eq!(delivery["state"], "cancelled", "a result does not bring it back: {shown}");
        }
    }
    let delivery = tenant.get(&format!("/v1/deliveries/{letter}")).await.expect(200);
    assert_eq!(delivery["reason"], "data_deleted");
    for kind in ["dead-letters", "deliveries"] {
        let resent = tenant.post(&format!("/v1/{kind}/{letter}/resend"), Value::Null).await;
        assert_eq!(resent.problem(409), "event_data_deleted", "{kind}");
    }
    assert_eq!((world.count("outbox").await, world.count("dead_letters").await), (0, 0));
}

/// A producer that repeats the event in a transaction of its own, and leaves that open, is not waited for.
#[tokio::test]
async fn a_key_in_an_open_transaction_is_told_and_keeps_nothing_locked() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = tenant.webhook("https://example.com/hook").await;
    let path = format!("/v1/webhooks/{}/deactivate", webhook["id"].as_str().expect("an id"));
    tenant.post(&path, json!({})).await.expect(200);
    let report = json!({"type": "a", "data": 1, "idempotency_key": "k"});
    let event = tenant.post("/v1/events", report).await.expect(202)["id"].as_str().expect("an id").to_owned();
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let repeat = "SELECT tidings.enqueue(tenant => $1, type => 'a', data => '1'::json, idempotency_key => 'k')";
    sqlx::query(repeat).bind(&tenant.id).execute(&mut *elsewhere).await.expect("repeated");
    let path = format!("/v1/events/{event}/data");
    let beside = async {
        let blocked =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while world.value::<i64>(blocked).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let free = "SELECT FROM tidings.outbox FOR UPDATE NOWAIT";
        sqlx::query(free).execute(&world.pool).await.expect("nobody has it locked").rows_affected()
    };
    let (refused, free) = tokio::join!(tenant.call(Method::DELETE, &path, None), beside);
    assert_eq!((refused.problem(503).as_str(), free), ("contended", 1));
    elsewhere.commit().await.expect("committed");
    assert_eq!(erase(&tenant, &event).await["cancelled_deliveries"], 1);
}

#[tokio::test]
async fn what_retention_copies_is_not_brought_back() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(400));
    tenant.webhook(&receiver.url).await;
    let event = tenant.event("document.uploaded", json!({"name": "hush-hush"})).await;
    world.drain().await;
    world.after(DAY * 32).await;
    // Deleted between the copy and the change of partitions.
    let day = "(SELECT min(day) + 1 FROM tidings.partitioned_days('events') AS day)";
    let begun: String = world
        .value("SELECT tidings.begin_round((SELECT min(day) + 1 FROM tidings.partitioned_days('events') AS day))::text")
        .await;
    let copied: i64 = world
        .value("SELECT count(*) FROM tidings.keep_events('events_next', 'events', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', 10)")
        .await;
    assert_eq!((copied, traces(&world, "hush-hush").await.contains(&"events_next".to_owned())), (1, true));
    world.run();
    erase(&tenant, &event).await;
    let swap = format!("SELECT tidings.swap_kept({day}, '{begun}')");
    sqlx::query(sqlx::AssertSqlSafe(swap)).execute(&world.pool).await.expect("swapped");
    let keeper = Keeper::new(world.context.store.clone(), world.clock.clone(), 30);
    keeper.tidy().await.expect("tidied");
    assert_eq!(traces(&world, "hush-hush").await, [""; 0]);
}

/// Who looks for the first time, or after another server may have taken over, may hold what was erased just before.
#[tokio::test]
async fn the_first_look_is_told_what_was_erased_lately() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let (old, late) = (tenant.event("a", json!({"n": 1})).await, tenant.event("a", json!({"n": 2})).await);
    for event in [&old, &late] {
        erase(&tenant, event).await;
    }
    let age = "UPDATE tidings.erasures SET deleted_at = now() - interval '2 hours' WHERE event_id = tidings.parse_id('evt_', $1)";
    sqlx::query(age).bind(&old).execute(&world.pool).await.expect("aged");
    let news = world.context.store.news(None, Duration::from_hours(1)).await.expect("news");
    assert_eq!(news.erased.iter().map(ToString::to_string).collect::<Vec<_>>(), [late]);
    let news = world.context.store.news(Some(&news.snapshot), Duration::from_hours(1)).await.expect("news");
    assert!(news.erased.is_empty());
}

#[tokio::test]
async fn what_was_erased_leaves_the_lane_that_it_waits_in() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let slow = Receiver::start().await;
    let gate = Arc::new(Semaphore::new(0));
    slow.always(Reply::Gate(Arc::clone(&gate), 204));
    tenant.webhook_with(json!({"url": slow.url, "events": ["*"], "max_in_flight": 1})).await;
    world.look().await;
    tenant.event("a", json!({"n": 1})).await;
    let waiting = tenant.event("a", json!({"n": 2})).await;
    world.look().await;
    slow.wait_for(1).await;
    assert_eq!(world.dispatcher.waiting(), 1);
    erase(&tenant, &waiting).await;
    world.look().await;
    assert_eq!(world.dispatcher.waiting(), 0);
    gate.add_permits(2);
    world.drain().await;
    assert_eq!(slow.count(), 1);
}
