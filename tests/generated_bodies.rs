//! Whatever the body, the answer is of the right class: never a 5xx, always a problem that says what is wrong, and what was
//! refused has left nothing behind.
//!
//! `TIDINGS_SEED` makes a run again, `TIDINGS_BODIES` says how many.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::World;
use crate::support::described::DOCUMENT;
use crate::support::mangle::{Dice, Mangled, mangle};
use crate::support::world::PLATFORM_KEY;

/// Requests under way at once, each of a sequence of its own.
const CALLERS: usize = 16;

/// A route that takes a body, and a body that it takes.
struct Target {
    method: &'static str,
    template: &'static str,
    path: String,
    key: String,
    valid: Value,
}

/// What was answered, by route and status.
type Tally = BTreeMap<(usize, u16), usize>;

/// Every route with a body. Events go to a tenant of their own: the webhooks that come into being would get each of them.
async fn targets(world: &World) -> Vec<Target> {
    let (producer, owner) = (world.tenant().await, world.tenant().await);
    let webhook = owner.webhook("https://example.com/").await;
    let webhook = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let event = json!({"type": "a.b", "data": {"n": [1, "x", null]}, "occurred_at": "2026-02-28T01:02:03.5Z"});
    let registration = json!({
        "url": "https://example.com/hook", "events": ["a.b", "c.*"], "description": "x", "headers": {"X-Team": "a"},
        "retry": {"max_attempts": 3, "initial_seconds": 1, "factor": 2.5, "max_seconds": 60, "jitter": 0.5, "terminal_statuses": [404]},
        "timeout_seconds": 5, "rate_limit": 10, "max_in_flight": 3, "metadata": {"a": {"b": [1]}}, "is_active": true,
    });
    let mut creation = registration.clone();
    creation["dialect"] = json!("standard");
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "^x$"}}, "required": ["a"]});
    let described = json!({"description": "x", "schema": schema, "example": {"a": "x"}});
    let (platform, own, other) = (PLATFORM_KEY.to_owned(), owner.key.clone(), producer.key.clone());
    let key = json!({"tenant_id": owner.id, "roles": ["viewer"], "description": "x", "requests_per_second": 5});
    let tenant = format!("/v1/tenants/{}", owner.id);
    let target = |method, template, path: &str, key: &String, valid| {
        let (path, key) = (path.to_owned(), key.clone());
        Target { method, template, path, key, valid }
    };
    let replay = json!({
        "source": "dead_letters", "filter": {"event": "a.b", "from": "2026-02-28T00:00:00Z"}, "rate_per_second": 5, "dry_run": true,
    });
    vec![
        target("POST", "/v1/events", "/v1/events", &other, event.clone()),
        target(
            "POST",
            "/v1/events/batch",
            "/v1/events/batch",
            &other,
            json!({"events": [event, {"type": "c", "data": 1}]}),
        ),
        target("POST", "/v1/webhooks", "/v1/webhooks", &own, creation),
        target("PATCH", "/v1/webhooks/{id}", &webhook, &own, registration),
        target("POST", "/v1/webhooks/{id}/rotate", &format!("{webhook}/rotate"), &own, json!({"overlap_seconds": 0})),
        target("PUT", "/v1/event-types/{name}", "/v1/event-types/a.b", &own, described),
        target("POST", "/v1/replays", "/v1/replays", &own, replay),
        target(
            "POST",
            "/v1/tenants",
            "/v1/tenants",
            &platform,
            json!({"name": "x", "environment": "sandbox", "default_dialect": "limai"}),
        ),
        target("PATCH", "/v1/tenants/{id}", &tenant, &platform, json!({"name": "y", "default_dialect": "standard"})),
        target("POST", "/v1/api-keys", "/v1/api-keys", &platform, key),
    ]
}

/// What every refused request must leave as it was, and each accepted one changes by one.
async fn holdings(world: &World) -> [i64; 5] {
    let mut counts = [0; 5];
    for (count, table) in counts.iter_mut().zip(["events", "webhooks", "tenants", "api_keys", "webhook_revisions"]) {
        *count = world.count(table).await;
    }
    counts
}

/// What is wrong with an answer, if anything is.
fn fault(status: u16, content_type: &str, text: &str) -> Option<&'static str> {
    if status >= 500 {
        return Some("a defect");
    }
    if (200..300).contains(&status) {
        return None;
    }
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let is_whole = problem["status"] == status && problem["code"].is_string() && problem["request_id"].is_string();
    match status {
        400 | 409 | 412 | 413 | 415 | 422 if content_type == "application/problem+json" && is_whole => {
            (status == 422 && problem["errors"] == Value::Null).then_some("no member is named")
        }
        400 | 409 | 412 | 413 | 415 | 422 => Some("not a whole problem"),
        _ => Some("another class than a wrong body has"),
    }
}

async fn call(router: &Router, target: &Target, mangled: &Mangled) -> (u16, String, String) {
    let mut request = Request::builder().method(target.method).uri(&target.path);
    request = request.header("authorization", format!("Bearer {}", target.key));
    for (name, value) in &mangled.headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(mangled.body.clone())).expect("a request");
    let response = router.clone().oneshot(request).await.expect("an answer");
    let content_type = response.headers().get("content-type").map_or("", |value| value.to_str().expect("visible"));
    let (status, content_type) = (response.status().as_u16(), content_type.to_owned());
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, content_type, String::from_utf8_lossy(&body).into_owned())
}

/// Sends so many; the events that came of it, the tally, and what went wrong.
async fn caller(router: Router, targets: Arc<Vec<Target>>, seed: u64, count: usize) -> (i64, Tally, String) {
    let (mut dice, mut events, mut tally, mut wrong) = (Dice(seed), 0, Tally::new(), String::new());
    for number in 0..count {
        let chosen = dice.below(targets.len());
        let target = &targets[chosen];
        let mangled = mangle(&target.valid, &mut dice);
        let (status, content_type, text) = call(&router, target, &mangled).await;
        *tally.entry((chosen, status)).or_default() += 1;
        if let Some(fault) = fault(status, &content_type, &text) {
            let shown: String = String::from_utf8_lossy(&mangled.body).chars().take(600).collect();
            let (method, path, headers) = (target.method, &target.path, &mangled.headers);
            writeln!(wrong, "{fault}: {seed}/{number} {method} {path} {headers:?}\n  {shown}\n  {status} {text}")
                .expect("a text");
        }
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let receipts = answer["events"].as_array().cloned().unwrap_or_else(|| vec![answer]);
        if status == 202 && target.template.starts_with("/v1/events") {
            let fresh = receipts.iter().filter(|receipt| receipt["duplicate"] == false).count();
            events += i64::try_from(fresh).expect("a count");
        }
    }
    (events, tally, wrong)
}

async fn run(count: usize) {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let seed = number("TIDINGS_SEED", 1);
    let count = usize::try_from(number("TIDINGS_BODIES", u64::try_from(count).expect("a number"))).expect("a number");
    let world = World::new().await;
    world.run();
    let targets = Arc::new(targets(&world).await);
    let before = holdings(&world).await;
    let begun = std::time::Instant::now();
    let callers: Vec<_> = (0..CALLERS)
        .map(|index| {
            let seed = seed * 1_000 + u64::try_from(index).expect("a small number");
            tokio::spawn(caller(world.router.clone(), Arc::clone(&targets), seed, count.div_ceil(CALLERS)))
        })
        .collect();
    let (mut events, mut tally, mut wrong) = (0, Tally::new(), String::new());
    for caller in callers {
        let (own_events, own, faults) = caller.await.expect("no panic");
        events += own_events;
        wrong += &faults;
        for (what, times) in own {
            *tally.entry(what).or_default() += times;
        }
    }
    println!("{count} bodies from seed {seed} in {:?}", begun.elapsed());
    assert!(
        wrong.is_empty(),
        "{} answers are wrong:\n{}",
        wrong.matches("\n  ").count() / 2,
        wrong
            .lines()
            .filter(|line| !line.is_empty())
            .take(60)
            .map(|line| line.chars().take(500).collect::<String>() + "\n")
            .collect::<String>()
    );

    let accepted = |template: &str, method: &str| {
        let own = tally.iter().filter(|((chosen, status), _)| {
            (targets[*chosen].template, targets[*chosen].method) == (template, method) && *status < 300
        });
        i64::try_from(own.map(|(_, times)| times).sum::<usize>()).expect("a count")
    };
    let after = holdings(&world).await;
    let grown: Vec<_> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    let created = accepted("/v1/webhooks", "POST");
    assert_eq!(grown[..4], [events, created, accepted("/v1/tenants", "POST"), accepted("/v1/api-keys", "POST")]);
    assert!(grown[4] <= created + accepted("/v1/webhooks/{id}", "PATCH"), "revisions come of changes alone");
    // The changes are neither all harmless nor all deadly: each route took something, and refused something in both ways.
    for (index, target) in targets.iter().enumerate() {
        let statuses: BTreeSet<_> =
            tally.keys().filter(|(chosen, _)| *chosen == index).map(|(_, status)| *status).collect();
        let is_there = |wanted: &[u16]| wanted.iter().any(|status| statuses.contains(status));
        let name = format!("{} {}: {statuses:?}", target.method, target.template);
        assert!(is_there(&[200, 201, 202]) && is_there(&[400]) && is_there(&[422]) && is_there(&[415]), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_thousand_bodies_give_no_5xx() {
    run(4_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute or more; the CI script runs it"]
async fn a_hundred_thousand_bodies_give_no_5xx() {
    run(100_000).await;
}

#[tokio::test]
async fn every_route_with_a_body_is_among_them() {
    let world = World::new().await;
    let targets = targets(&world).await;
    let mine: BTreeSet<_> = targets.iter().map(|target| format!("{} {}", target.method, target.template)).collect();
    let mut described = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if operation["requestBody"].is_object() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert_eq!(mine, described);
    for target in &targets {
        let right = Mangled {
            body: target.valid.to_string().into_bytes(),
            headers: vec![("content-type", "application/json")],
        };
        let (status, _, text) = call(&world.router, target, &right).await;
        assert!(status < 300, "{} {}: {status} {text}", target.method, target.path);
    }
}
