//! A process with both roles and more than one thread has a runtime for requests beside the one in which it stores and sends: what lives
//! in the one is asked for in the other.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use rustix::process::Signal;
use serde_json::json;
use tidings::store::{Config, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;
use tower::ServiceExt;

use crate::support::database;
use crate::support::load::Api;
use crate::support::process::{Served, settings};
use crate::support::{Receiver, World};

fn another() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

async fn end(runtime: Runtime) {
    spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(10))).await.expect("an end");
}

#[tokio::test]
async fn connections_outlive_the_runtime_that_asked_for_them() {
    let url = database::fresh().await;
    let store = Store::connect(&url, &Config { connections: 1, ..Config::default() }).expect("a URL");
    let (other, asking) = (another(), store.clone());
    other.spawn(async move { asking.ping().await }).await.expect("ended").expect("an answer");
    end(other).await;
    store.ping().await.expect("the connection is there");
    store.close().await;
}

/// The status of an answer to a request that is made in another runtime, which has ended on return.
async fn ask_in_another(world: &World, key: &str, path: &str, body: serde_json::Value) -> StatusCode {
    let request = Request::post(path).header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
    let (other, asked) = (another(), world.router.clone().oneshot(request.expect("a request")));
    let answer = other.spawn(asked).await.expect("ended").expect("an answer");
    end(other).await;
    answer.status()
}

#[tokio::test]
async fn a_delivery_outlives_the_runtime_that_handed_it_over() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    // One with a key does not wait for others, and might be stored and handed over where its request is read.
    let batch = json!({"events": [{"type": "a", "data": 1, "idempotency_key": "k"}]});
    assert_eq!(ask_in_another(&world, &tenant.key, "/v1/events/batch", batch).await, StatusCode::ACCEPTED);
    receiver.wait_for(1).await;
    world.drain().await;
    assert_eq!((receiver.count(), world.count("attempts").await), (1, 1), "once, and recorded");
}

#[tokio::test]
async fn a_connection_that_a_test_of_a_webhook_opened_outlives_the_runtime_that_asked() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let path = format!("/v1/webhooks/{}/test", webhook["id"].as_str().expect("an id"));
    assert_eq!(ask_in_another(&world, &tenant.key, &path, json!({})).await, StatusCode::OK);
    tenant.post("/v1/events", json!({"type": "a", "data": 1})).await.expect(202);
    let senders: Vec<_> = receiver.wait_for(2).await.iter().map(|request| request.from).collect();
    assert_eq!(senders[0], senders[1], "the delivery goes by the same connection");
}

#[tokio::test]
async fn one_thread_accepts_delivers_and_ends_in_order() {
    let url = database::fresh().await;
    let mut settings = settings(&url);
    settings.push(("process.threads", "1"));
    let served = Served::start(&[], &settings).await;
    let api = Api::new(&[served.address]);
    let key = api.tenant().await;
    let receiver = Receiver::start().await;
    api.webhook(&key, &receiver.url).await;
    let events: Vec<_> = (0..100).map(|n| json!({"type": "a", "data": n})).collect();
    assert_eq!(api.post("/v1/events/batch", &key, &json!({"events": events})).await.0, 202);
    for n in 0..20 {
        assert_eq!(api.post("/v1/events", &key, &json!({"type": "a", "data": n})).await.0, 202);
    }
    receiver.wait_for(120).await;
    let ended = served.process.stop(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(receiver.count(), 120, "each once");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_accepts_and_delivers_answers_with_threads_of_their_own() {
    let url = database::fresh().await;
    for (role, threads, has_own) in [("api,dispatch", "2", true), ("api,dispatch", "1", false), ("api", "2", false)] {
        let mut settings = settings(&url);
        settings.push(("process.threads", threads));
        let served = Served::start(&["--role", role], &settings).await;
        let process = served.process.id();
        let before = pauses(process, "tidings-api");
        let api = Api::new(&[served.address]);
        for _ in 0..50 {
            assert_eq!(api.get("/healthz", "").await.0, 200);
        }
        // Between two requests they have nothing to do; where others keep the processors busy, they hardly get to that.
        let paused = pauses(process, "tidings-api") - before;
        assert_eq!(paused >= 5, has_own, "{role}, {threads}: {paused}");
    }
}

/// How often the threads of this name have waited for something, or for a processor.
#[cfg(target_os = "linux")]
fn pauses(process: u32, name: &str) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("a process");
    let statuses = threads.map(|thread| {
        let path = thread.expect("a thread").path().join("status");
        std::fs::read_to_string(path).unwrap_or_default()
    });
    let pauses = statuses.filter_map(|status| {
        let line = |label: &str| status.lines().find_map(|line| line.strip_prefix(label)).map(str::trim);
        let count = |label| line(label)?.parse::<u64>().ok();
        (line("Name:") == Some(name))
            .then(|| Some(count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?))
            .flatten()
    });
    pauses.sum()
}
