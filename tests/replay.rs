//! Replays: many deliveries resent by one word, each once, at a pace.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

pub fn text(of: &Value) -> &str {
    of.as_str().expect("a text")
}

/// A world, whose tenant speaks `DocIntell`: there every 4xx is final.
pub async fn tenant(world: &World) -> Tenant<'_> {
    world.tenant_with("sandbox", "docintell").await
}

/// Events whose deliveries die at the first attempt; then the receiver is well again.
pub async fn letters(tenant: &Tenant<'_>, receiver: &Receiver, count: usize) {
    receiver.always(Reply::Status(400));
    tenant.events("document.uploaded", count).await;
    tenant.world.drain().await;
    receiver.always(Reply::Status(204));
}

pub async fn start(tenant: &Tenant<'_>, body: Value) -> Value {
    tenant.post("/v1/replays", body).await.expect(201)
}

pub async fn show(tenant: &Tenant<'_>, replay: &Value) -> Value {
    tenant.get(&format!("/v1/replays/{}", text(&replay["id"]))).await.expect(200)
}

/// Works until it is completed, by a clock that moves on; all that is due is sent meanwhile.
pub async fn finish(tenant: &Tenant<'_>, replay: &Value) -> Value {
    for _ in 0..500 {
        tenant.world.replay().await;
        let now = show(tenant, replay).await;
        if now["state"] == "completed" {
            tenant.world.drain().await;
            return now;
        }
        tenant.world.after(Duration::from_millis(100)).await;
    }
    panic!("it does not end: {}", show(tenant, replay).await)
}

/// total, resent, skipped, remaining.
pub fn progress(replay: &Value) -> [u64; 4] {
    ["total", "resent", "skipped", "remaining"].map(|member| replay["progress"][member].as_u64().expect(member))
}

/// How often each event arrived.
fn arrivals(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut arrivals = BTreeMap::new();
    for received in receiver.received() {
        *arrivals.entry(String::from_utf8_lossy(&received.body).into_owned()).or_default() += 1;
    }
    arrivals
}

#[tokio::test]
async fn dead_letters_are_resent_and_counted() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 120).await;

    let body = json!({"source": "dead_letters", "filter": {"webhook_id": webhook["id"]}, "rate_per_second": 200});
    let made = tenant.post("/v1/replays", body).await;
    let replay = made.expect(201);
    assert_eq!(made.headers["location"], format!("/v1/replays/{}", text(&replay["id"])));
    assert!(text(&replay["id"]).starts_with("rpl_"), "{replay}");
    assert_eq!((&replay["state"], &replay["source"]), (&json!("running"), &json!("dead_letters")));
    assert_eq!(replay["filter"], json!({"webhook_id": webhook["id"]}));
    assert_eq!((progress(&replay), &replay["progress"]["counting"]), ([120, 0, 0, 120], &json!(false)));
    assert_eq!((&replay["rate_per_second"], &replay["finished_at"]), (&json!(200), &Value::Null));
    assert!(text(&replay["estimated_end_at"]) > text(&replay["created_at"]), "{replay}");
    assert_eq!(receiver.count(), 120, "nothing is resent before a dispatcher looks");

    let done = finish(&tenant, &replay).await;
    assert_eq!((progress(&done), &done["estimated_end_at"]), ([120, 120, 0, 0], &Value::Null));
    assert!(done["finished_at"].is_string() && done["skipped_reasons"] == json!({}), "{done}");
    assert_eq!((world.count("dead_letters").await, world.count("outbox").await), (0, 0));
    assert!(receiver.count() == 240 && arrivals(&receiver).values().all(|count| *count == 2));
    let attempts = tenant.get("/v1/deliveries?filter[state]=delivered&page[size]=100").await.expect(200);
    assert!(attempts["data"].as_array().expect("a list").iter().all(|delivery| delivery["attempts"] == 2));
}

#[tokio::test]
async fn what_dies_again_is_not_resent_again() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 30).await;
    receiver.always(Reply::Status(400));
    let replay = start(&tenant, json!({"source": "dead_letters", "all": true, "rate_per_second": 20})).await;
    // Died after the start: not of it.
    world.clock.advance(Duration::from_millis(1));
    tenant.events("document.uploaded", 5).await;
    let done = finish(&tenant, &replay).await;
    assert_eq!(progress(&done), [30, 30, 0, 0]);
    assert_eq!((receiver.count(), world.count("dead_letters").await), (30 + 5 + 30, 35));
}

#[tokio::test]
async fn what_came_to_an_end_gets_one_more_delivery_and_no_replay_meets_its_own() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 2).await;
    let dead = tenant.get("/v1/dead-letters").await.expect(200);
    tenant.delete(&format!("/v1/dead-letters/{}", text(&dead["data"][0]["id"]))).await.expect(204);
    tenant.events("document.uploaded", 40).await;
    world.drain().await;
    // One of them was resent before: it is there twice, and still goes out once.
    let delivered = tenant.get("/v1/deliveries?filter[state]=delivered").await.expect(200);
    let path = format!("/v1/deliveries/{}/resend", text(&delivered["data"][3]["id"]));
    tenant.post(&path, Value::Null).await.expect(202);
    world.drain().await;
    assert_eq!(receiver.count(), 2 + 40 + 1);
    // Attempts take their time, though the clock stands still.
    world.clock.advance(Duration::from_mins(1));

    let replay = start(&tenant, json!({"source": "deliveries", "all": true, "rate_per_second": 50})).await;
    let done = finish(&tenant, &replay).await;
    assert_eq!((progress(&done), &done["skipped_reasons"]), ([43, 42, 1, 0], &json!({"already_resent": 1})));
    assert_eq!((receiver.count(), world.count("dead_letters").await), (43 + 42, 0));
    let cancelled = tenant.get("/v1/deliveries?filter[state]=cancelled").await.expect(200);
    assert_eq!(cancelled["data"].as_array().map(Vec::len), Some(1), "its end stays as it was");

    world.clock.advance(Duration::from_mins(1));
    let again = start(&tenant, json!({"source": "deliveries", "filter": {"state": "cancelled"}})).await;
    assert_eq!(progress(&finish(&tenant, &again).await), [1, 1, 0, 0], "another replay resends it once more");
}

#[tokio::test]
async fn each_filter_narrows_and_a_dry_run_says_what_then_happens() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let (left, right) = (Receiver::start().await, Receiver::start().await);
    let webhook = tenant.webhook(&left.url).await;
    let other = tenant.webhook_with(json!({"url": right.url, "events": ["document.processing.failed"]})).await;
    letters(&tenant, &left, 7).await;
    right.always(Reply::Status(410));
    let event = tenant.event("document.processing.failed", json!({})).await;
    world.drain().await;
    world.clock.advance(Duration::from_secs(30));
    let middle = world.clock.now();
    world.clock.advance(Duration::from_secs(30));
    right.always(Reply::Status(204));
    tenant.post(&format!("/v1/webhooks/{}/activate", text(&other["id"])), Value::Null).await.expect(200);
    tenant.events("document.uploaded", 3).await;
    world.drain().await;
    world.clock.advance(Duration::from_mins(1));

    for (source, filter, total) in [
        ("dead_letters", json!({"webhook_id": webhook["id"]}), 7),
        ("dead_letters", json!({"webhook_id": other["id"]}), 1),
        ("dead_letters", json!({"event": "document.uploaded"}), 7),
        ("dead_letters", json!({"event_id": event}), 1),
        ("dead_letters", json!({"reason": "terminal_status"}), 8),
        ("dead_letters", json!({"reason": "unrenderable"}), 0),
        ("dead_letters", json!({"from": middle}), 0),
        ("dead_letters", json!({"to": middle + Duration::from_secs(1)}), 8),
        ("deliveries", json!({"state": "delivered"}), 4),
        ("deliveries", json!({"state": "dead"}), 8),
        ("deliveries", json!({"state": "cancelled"}), 0),
        ("deliveries", json!({"from": middle + Duration::from_secs(1)}), 3),
        ("deliveries", json!({"event": "document.processing.failed"}), 2),
        ("deliveries", json!({"webhook_id": webhook["id"], "state": "delivered"}), 4),
        ("deliveries", json!({"event_id": event, "webhook_id": other["id"]}), 1),
    ] {
        let dry = json!({"source": source, "filter": filter, "dry_run": true});
        let told = tenant.post("/v1/replays", dry).await.expect(200);
        assert_eq!((&told["total"], &told["complete"]), (&json!(total), &json!(true)), "{told}");
        assert_eq!((&told["would_resend"], told["filter"].is_object()), (&json!(total), true), "{told}");
    }
    assert_eq!((world.count("replays").await, world.count("dead_letters").await), (0, 8));

    let filter = json!({"event": "document.processing.failed", "from": middle - Duration::from_mins(1)});
    let replay = start(&tenant, json!({"source": "deliveries", "filter": filter})).await;
    let (before_left, before_right) = (left.count(), right.count());
    assert_eq!(progress(&finish(&tenant, &replay).await), [2, 2, 0, 0]);
    assert_eq!((left.count(), right.count()), (before_left + 1, before_right + 1), "those and no others");
}

#[tokio::test]
async fn webhooks_that_cannot_receive_are_passed_over_as_the_dry_run_said() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    let mut webhooks = Vec::new();
    for _ in 0..4 {
        webhooks.push(text(&tenant.webhook(&receiver.url).await["id"]).to_owned());
    }
    letters(&tenant, &receiver, 10).await;
    tenant.post(&format!("/v1/webhooks/{}/deactivate", webhooks[1]), Value::Null).await.expect(200);
    tenant.delete(&format!("/v1/webhooks/{}", webhooks[2])).await.expect(204);
    receiver.then(Reply::Status(410));
    tenant.post("/v1/events", json!({"type": "document.uploaded", "data": {}})).await.expect(202);
    world.drain().await;
    let disabled = tenant.get("/v1/webhooks?filter[state]=disabled").await.expect(200);
    assert_eq!(disabled["data"].as_array().map(Vec::len), Some(1), "{disabled}");
    let expected = json!({"webhook_disabled": 11, "webhook_inactive": 10, "webhook_deleted": 10});

    let told =
        tenant.post("/v1/replays", json!({"source": "dead_letters", "all": true, "dry_run": true})).await.expect(200);
    assert_eq!((&told["total"], &told["would_resend"], &told["would_skip"]), (&json!(41), &json!(10), &json!(31)));
    assert_eq!((&told["skipped_reasons"], told["webhooks"].as_array().map(Vec::len)), (&expected, Some(4)));
    let replay = start(&tenant, json!({"source": "dead_letters", "all": true})).await;
    let done = finish(&tenant, &replay).await;
    assert_eq!((progress(&done), &done["skipped_reasons"]), ([41, 10, 31, 0], &expected));
    assert_eq!(world.count("dead_letters").await, 31, "what is passed over stays where it is");
}

#[tokio::test]
async fn however_many_there_are_each_look_costs_little() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 1).await;
    // Forty-five thousand older ones, whose events are gone.
    let old = "INSERT INTO tidings.dead_letters
               SELECT d.tenant_id, tidings.delivery_id(tidings.new_event_id(to_timestamp(1e9 + n)), 1), d.webhook_id, d.died_at,
                      d.dialect_revision, d.reason, d.attempts, d.detail
               FROM tidings.dead_letters AS d, generate_series(1, 45000) AS n";
    sqlx::query(old).execute(&world.pool).await.expect("old letters");
    let filter = json!({"webhook_id": webhook["id"]});
    let replay = start(&tenant, json!({"source": "dead_letters", "filter": filter, "rate_per_second": 1})).await;
    assert_eq!((&replay["progress"]["counting"], &replay["estimated_end_at"]), (&json!(true), &Value::Null));
    assert!(progress(&replay)[0] > 15_000, "{replay}");
    let told = json!({"source": "dead_letters", "filter": filter, "dry_run": true});
    let told = tenant.post("/v1/replays", told).await.expect(200);
    assert_eq!((&told["total"], &told["skipped_reasons"]["event_gone"]), (&json!(45_001), &json!(45_000)));

    // What is passed over takes nothing from the rate.
    let done = finish(&tenant, &replay).await;
    assert_eq!((progress(&done), &done["skipped_reasons"]), ([45_001, 1, 45_000, 0], &json!({"event_gone": 45_000})));
}

#[tokio::test]
async fn an_event_whose_data_was_deleted_is_passed_over() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    let event = tenant.event("document.uploaded", json!({})).await;
    world.drain().await;
    world.clock.advance(Duration::from_mins(1));
    world.run();
    tenant.delete(&format!("/v1/events/{event}/data")).await.expect(200);

    let replay = start(&tenant, json!({"source": "deliveries", "all": true})).await;
    let done = finish(&tenant, &replay).await;
    assert_eq!(progress(&done), [1, 0, 1, 0]);
    assert_eq!(done["skipped_reasons"], json!({"event_gone": 1}));
    assert_eq!(receiver.count(), 1, "nothing is sent again");
}
