//! Metrics: what happened is counted, nothing else is told, and whoever watches costs next to nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::support::process::{Process, Served, settings};
use crate::support::{Receiver, Reply, World, database};

/// `/metrics` as text.
async fn scrape(world: &World) -> String {
    let answer = world.send(world.request(Method::GET, "/metrics")).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"),
        (200, true)
    );
    answer.text
}

/// The value of the line that begins with this.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().expect("a number")
}

#[tokio::test]
async fn a_delivery_is_counted_at_each_step() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    // What still waits for a webhook that is news is given back, and claimed.
    world.drain().await;
    receiver.then(Reply::Status(500));
    let event = json!({"type": "a", "data": 1, "idempotency_key": "k"});
    tenant.post("/v1/events", event.clone()).await.expect(202);
    tenant.post("/v1/events", event).await.expect(200);
    tenant.post("/v1/events", json!({"type": "../", "data": 1})).await.expect(422);
    tenant
        .post("/v1/events/batch", json!({"events": [{"type": "a", "data": 1}, {"type": "a", "data": 2}]}))
        .await
        .expect(202);
    world.drain().await;
    world.after(Duration::from_mins(5)).await;
    world.look().await;

    let text = scrape(&world).await;
    for (series, expected) in [
        ("tidings_events_accepted_total{source=\"rest\"}", 1.0),
        ("tidings_events_accepted_total{source=\"batch\"}", 2.0),
        ("tidings_events_duplicate_total", 1.0),
        ("tidings_events_refused_total{code=\"validation_failed\"}", 1.0),
        ("tidings_accept_batch_size_sum", 4.0),
        ("tidings_accept_duration_seconds_count", 3.0),
        ("tidings_api_requests_total{route=\"/v1/events\",method=\"POST\",status=\"2xx\"}", 2.0),
        ("tidings_api_requests_total{route=\"/v1/events\",method=\"POST\",status=\"4xx\"}", 1.0),
        ("tidings_deliveries_taken_total{way=\"hand_off\"}", 3.0),
        ("tidings_deliveries_taken_total{way=\"claim\"}", 1.0),
        ("tidings_attempts_total{dialect=\"standard\",outcome=\"success\"}", 3.0),
        ("tidings_attempts_total{dialect=\"standard\",outcome=\"http_status\"}", 1.0),
        ("tidings_attempt_duration_seconds_count{dialect=\"standard\"}", 4.0),
        ("tidings_delivery_latency_seconds_count{dialect=\"standard\"}", 2.0),
        ("tidings_deliveries_settled_total{verdict=\"delivered\"}", 3.0),
        ("tidings_deliveries_settled_total{verdict=\"retry\"}", 1.0),
        ("tidings_settle_batch_size_sum", 4.0),
        ("tidings_deliveries_dead_total{reason=\"terminal_status\"}", 0.0),
        ("tidings_attempts_in_flight", 0.0),
        ("tidings_deliveries_waiting", 0.0),
        ("tidings_oldest_due_delivery_age_seconds", 0.0),
        // The clock was moved by more than a lease.
        ("tidings_leases_expired_total", 1.0),
    ] {
        assert!((value(&text, series) - expected).abs() < 1e-9, "{series} is {}", value(&text, series));
    }
    assert!(value(&text, "tidings_claim_duration_seconds_count") >= 1.0);
    assert!(value(&text, "tidings_looks_total{result=\"ok\"}") >= 2.0);
}

#[tokio::test]
async fn what_the_database_holds_is_told_and_asked_for_once_in_ten_seconds() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    let gone = Receiver::start().await;
    let goner = tenant.webhook(&gone.url).await["id"].as_str().expect("an id").to_owned();
    gone.always(Reply::Status(410));
    tenant.event("a", json!(1)).await;
    world.drain().await;
    receiver.always(Reply::Status(500));
    tenant.event("a", json!(2)).await;
    world.drain().await;

    let text = scrape(&world).await;
    for (series, expected) in [
        ("tidings_database_up", 1.0),
        // One waits for its retry; the other belongs to the disabled webhook and is held.
        ("tidings_backlog_deliveries", 2.0),
        ("tidings_dead_letters", 1.0),
        ("tidings_webhooks{state=\"active\"}", 1.0),
        ("tidings_webhooks{state=\"disabled\"}", 1.0),
        ("tidings_webhooks{state=\"parked\"}", 0.0),
        ("tidings_dispatchers", 1.0),
        ("tidings_deliveries_dead_total{reason=\"terminal_status\"}", 1.0),
        ("tidings_database_connections_limit{pool=\"hot\"}", 6.0),
    ] {
        assert!((value(&text, series) - expected).abs() < 1e-9, "{series} is {} in {text}", value(&text, series));
    }
    let open = ["used", "idle"]
        .map(|state| value(&text, &format!("tidings_database_connections{{pool=\"hot\",state=\"{state}\"}}")));
    assert!((1.0..=6.0).contains(&open.iter().sum()), "{open:?}");
    assert!(value(&text, "tidings_database_acquire_seconds{pool=\"general\"}") < 2.0);
    tenant.delete(&format!("/v1/webhooks/{goner}")).await.expect(204);
    let again = scrape(&world).await;
    assert!((value(&again, "tidings_webhooks{state=\"disabled\"}") - 1.0).abs() < 1e-9, "it was not asked again");
}

#[tokio::test]
async fn the_age_of_the_oldest_due_delivery_shows_what_nobody_sends() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    // By SQL, so that nobody is handed it.
    let statement = "SELECT tidings.enqueue(tenant => $1, type => 'a', data => '1')";
    sqlx::query(statement).bind(&tenant.id).execute(&world.pool).await.expect("enqueued");
    world.clock.advance(Duration::from_mins(2));
    world.look().await;
    let age = value(&scrape(&world).await, "tidings_oldest_due_delivery_age_seconds");
    assert!((100.0..140.0).contains(&age), "{age}");
    world.drain().await;
    assert!(value(&scrape(&world).await, "tidings_oldest_due_delivery_age_seconds").abs() < 1e-9);
}

#[tokio::test]
async fn no_label_grows_with_tenants_webhooks_or_what_callers_write() {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let mut ids = Vec::new();
    for round in 0..3 {
        let tenant = world.tenant().await;
        ids.push(tenant.id.clone());
        ids.push(tenant.webhook(&receiver.url).await["id"].as_str().expect("an id").to_owned());
        tenant.event(&format!("unheard.of.{round}"), json!(1)).await;
        world.send(world.request(Method::GET, &format!("/no/such/path/{round}"))).await.expect(404);
        tenant.get(&format!("/v1/webhooks/{}", ids[ids.len() - 1])).await.expect(200);
        world.drain().await;
    }
    let text = scrape(&world).await;
    for told in ids.iter().map(String::as_str).chain(["unheard", "such", "127.0.0.1", "Acme", "whsec_"]) {
        assert!(!text.contains(told), "{told} in {text}");
    }
    let routes: BTreeSet<_> =
        text.lines().filter_map(|line| line.split("route=\"").nth(1)?.split('"').next()).collect();
    assert!(routes.contains("/v1/webhooks/{id}") && routes.contains("none"), "{routes:?}");
}

#[tokio::test]
async fn metrics_can_have_a_socket_of_their_own_also_where_there_is_no_api() {
    // The first in a process to speak of TLS chooses who provides it; no call here needs it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = database::fresh().await;
    let mut settings = settings(&url);
    settings.push(("telemetry.metrics_listen", "127.0.0.1:0"));
    let address = |ready: &str| {
        let address = ready.split("metrics.address=").nth(1).and_then(|rest| rest.split(' ').next());
        address.expect("an address").to_owned()
    };
    let get =
        |address: String| async move { reqwest::get(format!("http://{address}/metrics")).await.expect("an answer") };
    let served = Served::start(&["--role", "api"], &settings).await;
    let own = address(&served.process.line(" ready ").await);
    let answer = get(own).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.expect("a text").contains("tidings_build_info{version="));
    assert_eq!(get(served.address.to_string()).await.status(), 404, "it is not on the API's socket then");

    let dispatcher = Process::start(&["serve", "--role", "dispatch"], &settings);
    let answer = get(address(&dispatcher.line(" ready ").await)).await;
    let text = answer.text().await.expect("a text");
    assert!((value(&text, "tidings_dispatchers") - 1.0).abs() < 1e-9, "{text}");
    assert_eq!(dispatcher.stop(Signal::TERM).await.code, Some(0));
    assert_eq!(served.process.stop(Signal::TERM).await.code, Some(0));
}
