//! Replays under way: their pace, their neighbours, and the words of people.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tidings::dispatch::Keeper;

use crate::replay::{finish, letters, progress, show, start, tenant, text};
use crate::support::world::{Answer, Tenant};
use crate::support::{Receiver, World};

async fn say(tenant: &Tenant<'_>, replay: &Value, word: &str) -> Answer {
    tenant.call(reqwest::Method::POST, &format!("/v1/replays/{}/{word}", text(&replay["id"])), None).await
}

/// As many looks, a while apart; what they resend stays due.
async fn looks(world: &World, count: usize, apart: Duration) {
    for _ in 0..count {
        world.clock.advance(apart);
        world.replay().await;
    }
}

/// Another process, and one time for both.
async fn beside(world: &World) -> World {
    let other = world.beside().await;
    world.clock.advance((other.clock.now() - world.clock.now()).to_std().unwrap_or_default());
    other
}

#[tokio::test]
async fn the_rate_is_kept_however_often_one_looks() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 60).await;
    let other = beside(&world).await;
    let replay = start(&tenant, json!({"source": "dead_letters", "all": true, "rate_per_second": 10})).await;
    for _ in 0..5 {
        world.replay().await;
        other.replay().await;
    }
    assert_eq!(progress(&show(&tenant, &replay).await)[1], 1, "one at once");
    for second in 1..=3 {
        for _ in 0..20 {
            world.clock.advance(Duration::from_millis(50));
            other.clock.advance(Duration::from_millis(50));
            tokio::join!(world.replay(), other.replay());
        }
        assert_eq!(progress(&show(&tenant, &replay).await)[1], 1 + second * 10);
    }
    looks(&world, 1, Duration::from_mins(10)).await;
    assert_eq!(progress(&show(&tenant, &replay).await)[1], 31 + 6, "what was missed is not made up for");
    let estimated = show(&tenant, &replay).await["estimated_end_at"].clone();
    let end: chrono::DateTime<chrono::Utc> = text(&estimated).parse().expect("a time");
    assert_eq!((end - world.clock.now()).num_seconds(), 3, "23 remain");
}

#[tokio::test]
async fn people_pause_resume_and_cancel() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 30).await;
    let other = beside(&world).await;
    let replay = start(&tenant, json!({"source": "dead_letters", "all": true, "rate_per_second": 10})).await;
    looks(&world, 10, Duration::from_millis(100)).await;
    assert_eq!(say(&tenant, &replay, "resume").await.expect(200)["state"], "running", "it runs");
    for _ in 0..2 {
        let paused = say(&tenant, &replay, "pause").await.expect(200);
        assert_eq!((&paused["state"], progress(&paused)), (&json!("paused"), [30, 11, 0, 19]));
        assert_eq!(paused["estimated_end_at"], Value::Null);
        looks(&world, 10, Duration::from_secs(1)).await;
    }
    assert_eq!(progress(&show(&tenant, &replay).await), [30, 11, 0, 19]);
    // Another process goes on with it.
    assert_eq!(say(&tenant, &replay, "resume").await.expect(200)["state"], "running");
    world.clock.advance(Duration::from_mins(1));
    other.clock.advance(world.clock.now().signed_duration_since(other.clock.now()).to_std().expect("behind"));
    other.replay().await;
    assert_eq!(progress(&show(&tenant, &replay).await), [30, 17, 0, 13]);
    for _ in 0..2 {
        let cancelled = say(&tenant, &replay, "cancel").await.expect(200);
        assert_eq!((&cancelled["state"], cancelled["finished_at"].is_string()), (&json!("cancelled"), true));
    }
    for word in ["pause", "resume"] {
        assert_eq!(say(&tenant, &replay, word).await.problem(409), "replay_finished");
    }
    looks(&world, 10, Duration::from_secs(1)).await;
    assert_eq!(world.count("dead_letters").await, 13, "the others stay");

    let rest = start(&tenant, json!({"source": "dead_letters", "all": true})).await;
    finish(&tenant, &rest).await;
    assert_eq!((receiver.count(), world.count("dead_letters").await), (60, 0), "each once");
    for word in ["pause", "resume", "cancel"] {
        assert_eq!(say(&tenant, &rest, word).await.problem(409), "replay_finished");
    }
    for (filter, found) in
        [("", 2), ("?filter[state]=completed", 1), ("?filter[state]=running", 0), ("?page[size]=1", 1)]
    {
        let list = tenant.get(&format!("/v1/replays{filter}")).await.expect(200);
        assert_eq!(list["data"].as_array().map(Vec::len), Some(found), "{filter}");
    }
    let list = tenant.get("/v1/replays").await.expect(200);
    assert_eq!((&list["data"][0]["id"], &list["data"][1]["id"]), (&rest["id"], &replay["id"]), "newest first");
}

#[tokio::test]
async fn words_and_work_at_once_leave_everything_accounted_for() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 200).await;
    let other = beside(&world).await;
    let replay = start(&tenant, json!({"source": "dead_letters", "all": true, "rate_per_second": 100})).await;
    for round in 0..12 {
        world.clock.advance(Duration::from_millis(100));
        other.clock.advance(Duration::from_millis(100));
        let words = ["pause", "resume", "pause", "resume"].map(|word| say(&tenant, &replay, word));
        let (answers, (), ()) = tokio::join!(join_all(words), world.replay(), other.replay());
        for answer in answers {
            assert!([200, 409].contains(&answer.status), "{}", answer.text);
        }
        let now = show(&tenant, &replay).await;
        let [total, resent, skipped, remaining] = progress(&now);
        assert_eq!((total, resent + skipped + remaining), (200, 200), "round {round}");
        let left = u64::try_from(world.count("dead_letters").await).expect("a count");
        assert_eq!((resent, skipped), (200 - left, 0), "what is counted is what was done");
    }
    let (cancelled, ()) = tokio::join!(say(&tenant, &replay, "cancel"), world.replay());
    let at_cancel = progress(&cancelled.expect(200));
    looks(&world, 5, Duration::from_secs(1)).await;
    assert_eq!(progress(&show(&tenant, &replay).await), at_cancel, "nothing after the answer");
}

#[tokio::test]
async fn a_single_resend_of_the_same_is_not_done_twice() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    letters(&tenant, &receiver, 40).await;
    let list = tenant.get("/v1/dead-letters?page[size]=100").await.expect(200);
    let replay = start(&tenant, json!({"source": "dead_letters", "all": true, "rate_per_second": 1000})).await;
    let resends = list["data"].as_array().expect("a list").iter().step_by(2);
    let resends: Vec<_> = resends.map(|letter| format!("/v1/dead-letters/{}/resend", text(&letter["id"]))).collect();
    let resends = resends.iter().map(|path| tenant.post(path, Value::Null));
    world.clock.advance(Duration::from_millis(30));
    let (answers, ()) = tokio::join!(join_all(resends), world.replay());
    let by_hand = answers.iter().filter(|answer| answer.status == 202).count() as u64;
    assert!(answers.iter().all(|answer| [202, 409].contains(&answer.status)));
    let done = finish(&tenant, &replay).await;
    let [total, resent, skipped, _] = progress(&done);
    assert_eq!((total, resent + by_hand, skipped), (40, 40, by_hand), "{done}");
    assert_eq!((receiver.count(), world.count("dead_letters").await), (80, 0));

    let delivered = tenant.get("/v1/deliveries?page[size]=100").await.expect(200);
    world.clock.advance(Duration::from_mins(1));
    let replay = start(&tenant, json!({"source": "deliveries", "all": true})).await;
    for delivery in delivered["data"].as_array().expect("a list").iter().take(5) {
        let path = format!("/v1/deliveries/{}/resend", text(&delivery["id"]));
        tenant.post(&path, Value::Null).await.expect(202);
    }
    let done = finish(&tenant, &replay).await;
    assert_eq!((progress(&done), &done["skipped_reasons"]), ([40, 35, 5, 0], &json!({"already_resent": 5})));
    assert_eq!(receiver.count(), 120);
}

#[tokio::test]
async fn replays_run_side_by_side_and_fresh_events_beside_them() {
    let world = World::new().await;
    let (first, second) = (tenant(&world).await, tenant(&world).await);
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    first.webhook(&receiver.url).await;
    second.webhook(&other.url).await;
    letters(&first, &receiver, 100).await;
    letters(&second, &other, 20).await;
    let body = json!({"source": "dead_letters", "all": true, "rate_per_second": 20});
    let (long, short) = (start(&first, body.clone()).await, start(&second, body).await);
    looks(&world, 5, Duration::from_millis(100)).await;
    let both = [progress(&show(&first, &long).await)[1], progress(&show(&second, &short).await)[1]];
    assert_eq!(both, [11, 11], "each at its own rate");
    second.event("document.uploaded", json!({"fresh": true})).await;
    world.drain().await;
    assert!(other.received().iter().any(|one| one.json()["data"]["fresh"] == true));
    assert_eq!(progress(&finish(&second, &short).await), [20, 20, 0, 0]);
    assert!(progress(&show(&first, &long).await)[3] > 0);

    for _ in 0..19 {
        start(&first, json!({"source": "dead_letters", "all": true})).await;
    }
    let more = first.post("/v1/replays", json!({"source": "dead_letters", "all": true})).await;
    assert_eq!(more.problem(409), "too_many_replays");
    start(&second, json!({"source": "dead_letters", "all": true})).await;
}

#[tokio::test]
async fn those_started_at_the_same_time_are_counted_too() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let all = || json!({"source": "dead_letters", "all": true});
    for _ in 0..19 {
        start(&tenant, all()).await;
    }
    // Whatever each counts, it has counted when this lets go of the tenant.
    let mut holder = world.pool.begin().await.expect("a transaction");
    sqlx::query("SELECT FROM tidings.tenants FOR UPDATE").execute(&mut *holder).await.expect("held");
    let let_go = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        holder.commit().await.expect("let go");
    };
    let (answers, ()) = tokio::join!(join_all((0..8).map(|_| tenant.post("/v1/replays", all()))), let_go);
    let (started, more): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(started.len(), 1);
    assert!(more.iter().all(|answer| answer.problem(409) == "too_many_replays"));
    assert_eq!(world.count("replays").await, 20);
}

#[tokio::test]
async fn those_of_a_deleted_tenant_are_cancelled_and_forgotten_in_their_time() {
    let world = World::new().await;
    let (tenant, other) = (tenant(&world).await, tenant(&world).await);
    for tenant in [&tenant, &other] {
        let replay = start(tenant, json!({"source": "dead_letters", "all": true})).await;
        say(tenant, &replay, "pause").await.expect(200);
        start(tenant, json!({"source": "dead_letters", "all": true})).await;
    }
    world.platform(reqwest::Method::DELETE, &format!("/v1/tenants/{}", tenant.id), None).await.expect(204);
    let states = "SELECT string_agg(state, ' ' ORDER BY state) FROM tidings.replays GROUP BY tenant_id ORDER BY 1";
    let states: Vec<String> = sqlx::query_scalar(states).fetch_all(&world.pool).await.expect("replays");
    assert_eq!(states, ["cancelled cancelled", "paused running"]);
    let now = world.clock.now() + chrono::TimeDelta::seconds(1);
    assert_eq!(world.context.store.purge_replays(now).await.expect("purged"), 2);
}

#[tokio::test]
async fn finished_ones_are_forgotten_with_what_they_resent() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    let done = start(&tenant, json!({"source": "dead_letters", "all": true})).await;
    world.replay().await;
    assert_eq!(show(&tenant, &done).await["state"], "completed", "nothing to do is done at once");
    let paused = start(&tenant, json!({"source": "dead_letters", "all": true})).await;
    say(&tenant, &paused, "pause").await.expect(200);
    let keeper = Keeper::new(world.context.store.clone(), world.clock.clone(), 30);
    world.clock.advance(Duration::from_hours(24 * 29));
    keeper.tidy().await.expect("tidied").expect("nobody else does");
    assert_eq!(world.count("replays").await, 2);
    world.clock.advance(Duration::from_hours(48));
    keeper.tidy().await.expect("tidied").expect("nobody else does");
    assert_eq!(tenant.get("/v1/replays").await.expect(200)["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(show(&tenant, &paused).await["state"], "paused", "an unfinished one stays");
}

#[tokio::test]
async fn bad_input_starts_nothing() {
    let world = World::new().await;
    let tenant = tenant(&world).await;
    for (body, pointer) in [
        (json!({"source": "dead_letters"}), "/filter"),
        (json!({"source": "dead_letters", "filter": {}, "dry_run": true}), "/filter"),
        (json!({"source": "events", "all": true}), "/source"),
        (json!({"all": true}), "/source"),
        (json!({"source": "deliveries", "filter": {"webhook": "x"}}), "/filter/webhook"),
        (json!({"source": "deliveries", "filter": {"webhook_id": "dlv_x"}}), "/filter/webhook_id"),
        (json!({"source": "deliveries", "filter": {"from": "2026-02-30T00:00:00Z"}}), "/filter/from"),
        (json!({"source": "deliveries", "all": true, "rate_per_second": 1001}), "/rate_per_second"),
        (json!({"source": "deliveries", "all": true, "speed": 1}), "/speed"),
    ] {
        let answer = tenant.post("/v1/replays", body.clone()).await;
        assert_eq!(answer.problem(422), "validation_failed", "{body}");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{}", answer.text);
    }
    let needed = tenant.post("/v1/replays", json!({"source": "dead_letters"})).await;
    assert!(needed.text.contains(r#"\"all\": true"#), "{}", needed.text);
    assert_eq!(tenant.get("/v1/replays?filter[state]=done").await.problem(400), "invalid_query");
    assert_eq!(tenant.get("/v1/replays/rpl_x").await.problem(400), "invalid_id");
    assert_eq!(world.count("replays").await, 0);
}
