//! Traces: one event is one trace, from its producer's span to its receiver, through the outbox; with tracing off there is none.

use std::time::Duration;

use serde_json::json;
use tidings::telemetry;

use crate::support::collector::{Collector, Span};
use crate::support::{Receiver, Reply, World};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER: &str = "00f067aa0ba902b7";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PRODUCER}-{flags}")
}

/// Reports an event with a `traceparent`.
async fn report(world: &World, key: &str, traceparent: &str) {
    let request =
        world.request(reqwest::Method::POST, "/v1/events").bearer_auth(key).header("traceparent", traceparent);
    world.send(request.json(&json!({"type": "a", "data": {"private": "hunter2"}}))).await.expect(202);
}

#[track_caller]
fn one<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let mut named = spans.iter().filter(|span| span.name == name);
    let span = named.next().unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    assert!(named.next().is_none(), "{name} twice in {spans:#?}");
    span
}

#[tokio::test]
async fn one_trace_leads_from_the_producers_span_to_the_receivers_header() {
    let collector = Collector::start().await;
    let world = World::watched(&collector.config).await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    report(&world, &tenant.key, &traceparent("01")).await;
    world.drain().await;

    let spans = collector.trace(TRACE, "attempt", 1).await;
    let (request, accept) = (one(&spans, "POST /v1/events"), one(&spans, "accept"));
    let (attempt, send) = (one(&spans, "attempt"), one(&spans, "send"));
    assert_eq!(request.parent, PRODUCER);
    assert_eq!((&accept.parent, &attempt.parent), (&request.id, &accept.id));
    for part in ["wait", "send", "settle"] {
        let part = one(&spans, part);
        assert_eq!(part.parent, attempt.id, "{part:?}");
        assert!(attempt.begun <= part.begun && part.ended <= attempt.ended, "{part:?} of {attempt:?}");
    }
    assert_eq!(receiver.only().header("traceparent"), format!("00-{TRACE}-{}-01", send.id));
    assert_eq!(send.attribute("http.response.status_code"), "204");
    assert_eq!(attempt.attribute("tidings.verdict"), "delivered");
    assert_eq!(attempt.attribute("tidings.webhook.id"), webhook["id"].as_str().expect("an id"));
    assert_eq!(request.attribute("http.route"), "/v1/events");
    assert!(spans.iter().all(|span| span.service == "tidings" && !span.failed));
    assert!(!format!("{:?}", collector.spans()).contains("hunter2"), "no body is told");
    assert!(collector.keys().iter().all(|key| key == "hush"));
}

#[tokio::test]
async fn a_retry_goes_on_in_the_trace_that_the_outbox_kept() {
    let collector = Collector::start().await;
    let world = World::watched(&collector.config).await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(500));
    tenant.webhook(&receiver.url).await;
    report(&world, &tenant.key, &traceparent("01")).await;
    world.drain().await;
    // Read back from the database, as by another process.
    world.after(Duration::from_secs(20)).await;
    let spans = collector.trace(TRACE, "attempt", 2).await;
    let (accept, attempts): (_, Vec<_>) =
        (one(&spans, "accept"), spans.iter().filter(|span| span.name == "attempt").collect());
    assert!(attempts.iter().all(|attempt| attempt.parent == accept.id));
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.attribute("tidings.verdict"), attempt.failed)).collect();
    assert_eq!(told, [("retry", true), ("delivered", false)]);
    let sends: Vec<_> =
        spans.iter().filter(|span| span.name == "send").map(|span| format!("00-{TRACE}-{}-01", span.id)).collect();
    let received: Vec<_> = receiver.received().iter().map(|one| one.header("traceparent").to_owned()).collect();
    assert_eq!(received, sends, "each attempt has a span of its own");
}

#[tokio::test]
async fn an_event_enqueued_by_sql_brings_its_trace() {
    let collector = Collector::start().await;
    let world = World::watched(&collector.config).await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    let statement = "SELECT tidings.enqueue(tenant => $1, type => 'a', data => '1', traceparent => $2)";
    for traceparent in [traceparent("01"), "nonsense".to_owned()] {
        sqlx::query(statement).bind(&tenant.id).bind(traceparent).execute(&world.pool).await.expect("enqueued");
    }
    // The database's clock has gone on; this one is moved.
    world.after(Duration::from_mins(1)).await;
    let spans = collector.trace(TRACE, "attempt", 1).await;
    assert_eq!(one(&spans, "attempt").parent, PRODUCER);
    let told = receiver.received().iter().filter(|one| one.headers.contains_key("traceparent")).count();
    assert_eq!((receiver.count(), told), (2, 1), "a malformed one is ignored");
}

#[tokio::test]
async fn without_tracing_the_producers_place_is_passed_on_and_nothing_else() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    tenant.event("a", json!(1)).await;
    world.drain().await;
    assert!(!receiver.only().headers.contains_key("traceparent"));
    assert_eq!(world.value::<i64>("SELECT count(*) FROM tidings.events WHERE trace IS NOT NULL").await, 0);

    for (sent, expected) in [(traceparent("00"), true), (traceparent("01"), true), (traceparent("zz"), false)] {
        report(&world, &tenant.key, &sent).await;
        world.drain().await;
        let received = receiver.received();
        let told = received.last().expect("a request").headers.get("traceparent");
        assert_eq!(told.map(|value| value.to_str().expect("ASCII")), expected.then_some(sent.as_str()));
    }
}

#[tokio::test]
async fn what_the_producer_does_not_trace_is_not_traced_and_the_rest_by_the_ratio() {
    let collector = Collector::start().await;
    let world = World::watched(&telemetry::Config { sampling_ratio: 0.0, ..collector.config.clone() }).await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    tenant.event("a", json!(1)).await;
    report(&world, &tenant.key, &traceparent("00")).await;
    report(&world, &tenant.key, &traceparent("01")).await;
    world.drain().await;
    collector.trace(TRACE, "attempt", 1).await;
    let attempts = collector.spans().into_iter().filter(|span| span.name == "attempt").count();
    assert_eq!((attempts, receiver.count()), (1, 3));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_spans_and_no_deliveries() {
    let mut config = Collector::start().await.config;
    config.otlp_endpoint = Some("http://127.0.0.1:9".parse().expect("a URL"));
    let world = World::watched(&config).await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    tenant.events("a", 20).await;
    world.drain().await;
    assert_eq!(receiver.count(), 20);
    let dropped = || world.context.telemetry.meters.render().contains("tidings_spans_dropped_total 0");
    for _ in 0..100 {
        if !dropped() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("no span was counted as dropped");
}

#[tokio::test]
async fn the_version_before_accepts_on_the_new_schema() {
    let world = World::new().await;
    let accepted: i64 = world
        .value(
            "SELECT count(*) FROM tidings.accept(ARRAY[gen_random_uuid()], ARRAY[tidings.new_event_id(now())], ARRAY['a'], \
             ARRAY[NULL]::timestamptz[], ARRAY['1'::bytea], ARRAY[NULL]::text[], now(), NULL::integer, '{}'::uuid[])",
        )
        .await;
    assert_eq!((accepted, world.count("events").await), (0, 1));
}
