//! Replays and the ends of processes: the built program, killed while it resends.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::support::load::Api;
use crate::support::process::{Served, settings};
use crate::support::{Receiver, database};

const EVENTS: i64 = 600;

async fn value(pool: &PgPool, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(pool).await.expect(statement)
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds().await {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn killed_processes_lose_nothing_of_a_replay_and_repeat_nothing() {
    let url = database::fresh().await;
    let pool = PgPool::connect(&url).await.expect("the database");
    let settings = [settings(&url), vec![("dispatch.lease_seconds", "5")]].concat();
    let receiver = Receiver::start().await;
    let first = Served::start(&[], &settings).await;
    let second = Served::start(&[], &settings).await;
    let third = Served::start(&[], &settings).await;
    let api = Api::new(&[first.address]);
    let key = api.tenant().await;
    api.webhook(&key, &receiver.url).await;
    let events: Vec<_> = (0..EVENTS).map(|number| json!({"type": "a.b", "data": number})).collect();
    assert_eq!(api.post("/v1/events/batch", &key, &json!({"events": events})).await.0, 202);
    let delivered = "SELECT count(DISTINCT delivery_id) FROM tidings.attempts WHERE verdict = 'delivered'";
    until("all are delivered", async || value(&pool, delivered).await == EVENTS).await;

    let body = json!({"source": "deliveries", "all": true, "rate_per_second": 150});
    let (status, replay) = api.post("/v1/replays", &key, &body).await;
    assert_eq!((status, &replay["progress"]["total"]), (201, &json!(EVENTS)), "{replay}");
    // Whichever of them does the pages: two die while it goes on, one after the other.
    let resent = "SELECT max(resent) FROM tidings.replays";
    until("a fourth is resent", async || value(&pool, resent).await > EVENTS / 4).await;
    first.process.stop(Signal::KILL).await;
    api.moves_to(&[third.address]);
    until("a half is resent", async || value(&pool, resent).await > EVENTS / 2).await;
    second.process.stop(Signal::KILL).await;
    assert!(value(&pool, resent).await < EVENTS, "killed before its end");

    let path = format!("/v1/replays/{}", replay["id"].as_str().expect("an id"));
    until("the replay is completed", async || api.get(&path, &key).await.1["state"] == "completed").await;
    let done: Value = api.get(&path, &key).await.1;
    assert_eq!((&done["progress"]["resent"], &done["progress"]["skipped"]), (&json!(EVENTS), &json!(0)), "{done}");
    until("everything is delivered", async || value(&pool, "SELECT count(*) FROM tidings.outbox").await == 0).await;
    assert_eq!(value(&pool, delivered).await, 2 * EVENTS, "one more delivery of each, none missing, none twice");
    let uneven =
        "SELECT count(*) FROM (SELECT tidings.event_of(delivery_id) FROM tidings.attempts WHERE verdict = 'delivered'
                                        GROUP BY 1 HAVING count(DISTINCT delivery_id) <> 2) AS uneven";
    assert_eq!(value(&pool, uneven).await, 0);
    third.process.stop(Signal::TERM).await;
}
