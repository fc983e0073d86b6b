//! Changing, pausing and deleting webhooks.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::support::{Receiver, World};

const SECOND: Duration = Duration::from_secs(1);

fn path(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn what_is_absent_stays_and_null_clears() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let body = json!({"url": "https://a.example/", "events": ["a"], "description": "d", "headers": {"X-Key": "k"},
        "timeout_seconds": 5, "metadata": {"a": 1}});
    let webhook = tenant.webhook_with(body).await;
    let path = path(&webhook);
    let changed = tenant.patch(&path, json!({"description": null, "timeout_seconds": null, "events": ["b"]})).await;
    assert_eq!(changed.headers["etag"], "\"2\"");
    let changed = changed.expect(200);
    assert_eq!((&changed["description"], &changed["timeout_seconds"]), (&json!(""), &Value::Null));
    assert_eq!((&changed["events"], &changed["metadata"]), (&json!(["b"]), &json!({"a": 1})));
    assert_eq!(changed["headers"], webhook["headers"], "the sealed headers went along");

    for (body, code) in [
        (json!({"url": null}), "null"),
        (json!({"dialect": "numora"}), "unchangeable"),
        (json!({"headers": changed["headers"]}), "redacted_value"),
        (json!({"events": []}), "invalid_events"),
    ] {
        let problem = tenant.patch(&path, body).await.expect(422);
        assert_eq!(problem["errors"][0]["code"], code, "{problem}");
    }
}

#[tokio::test]
async fn a_change_can_be_bound_to_what_was_seen() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let path = path(&tenant.webhook("https://a.example/").await);
    let change = async |etag: &str| {
        let request = world.request(Method::PATCH, &path).bearer_auth(&tenant.key).header("if-match", etag);
        world.send(request.json(&json!({"description": "x"}))).await
    };
    change("\"1\"").await.expect(200);
    assert_eq!(change("\"1\"").await.problem(412), "precondition_failed");
    assert_eq!(change("1").await.problem(400), "invalid_header");
}

#[tokio::test]
async fn changes_at_the_same_time_all_happen() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let path = path(&tenant.webhook("https://a.example/").await);
    let changes = (1..=8).map(|number| tenant.patch(&path, json!({"rate_limit": number})));
    for answer in futures_util::future::join_all(changes).await {
        answer.expect(200);
    }
    assert_eq!(tenant.get(&path).await.headers["etag"], "\"9\"");
}

#[tokio::test]
async fn a_paused_webhook_has_its_events_held() {
    let world = World::new().await;
    world.run();
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let path = path(&tenant.webhook(&receiver.url).await);
    let paused = tenant.post(&format!("{path}/deactivate"), json!({})).await.expect(200);
    assert_eq!((&paused["state"], &paused["is_active"]), (&json!("inactive"), &json!(false)));
    tenant.event("a", json!(1)).await;
    world.drain().await;
    assert_eq!(receiver.count(), 0);
    let resumed = tenant.post(&format!("{path}/activate"), json!({})).await.expect(200);
    assert_eq!(resumed["state"], "active");
    receiver.wait_for(1).await;
}

#[tokio::test]
async fn a_backlog_can_be_skipped() {
    let world = World::new().await;
    world.run();
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let path = path(&tenant.webhook(&receiver.url).await);
    tenant.patch(&path, json!({"is_active": false})).await.expect(200);
    for number in 0..3 {
        tenant.event("a", json!(number)).await;
    }
    let resumed = tenant.post(&format!("{path}/activate?skip_backlog=true"), json!({})).await.expect(200);
    assert_eq!((&resumed["state"], &resumed["skipped_deliveries"]), (&json!("active"), &json!(3)));
    tenant.event("a", json!("fresh")).await;
    assert_eq!(receiver.wait_for(1).await[0].json()["data"], "fresh");
    world.drain().await;
    assert_eq!((world.count("outbox").await, world.count("cancellations").await), (0, 3));
    assert_eq!(tenant.post(&format!("{path}/activate?skip=1"), json!({})).await.problem(400), "invalid_query");
}

#[tokio::test]
async fn a_deleted_webhook_is_gone_with_its_secrets_and_what_it_was_owed() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let body = json!({"url": "https://a.example/", "events": ["*"], "is_active": false, "headers": {"X-A": "b"}});
    let webhook = tenant.webhook_with(body).await;
    let path = path(&webhook);
    tenant.event("a", json!(1)).await;
    tenant.delete(&path).await.expect(204);
    for table in ["outbox", "webhook_secrets", "subscriptions"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    assert_eq!(world.count("cancellations").await, 1);
    assert_eq!(world.count("webhook_revisions WHERE headers_sealed IS NOT NULL").await, 0);
    for (method, end) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::POST, "/activate"),
        (Method::POST, "/deactivate"),
        (Method::POST, "/rotate"),
        (Method::POST, "/verify"),
        (Method::POST, "/test"),
    ] {
        assert_eq!(tenant.call(method, &format!("{path}{end}"), None).await.problem(404), "not_found");
    }
    assert_eq!(tenant.patch(&path, json!({})).await.problem(404), "not_found");
}

#[tokio::test]
async fn a_pause_is_answered_when_it_holds_everywhere() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let path = path(&tenant.webhook("https://a.example/").await);
    // This dispatcher looks at nothing unless it is told to.
    let began = Instant::now();
    tenant.patch(&path, json!({"is_active": false})).await.expect(200);
    assert!(began.elapsed().as_millis() >= 1_000, "a dispatcher that is silent is waited for until its view runs out");
    world.run();
    let began = Instant::now();
    tenant.patch(&path, json!({"is_active": true})).await.expect(200);
    assert!(began.elapsed().as_millis() < 1_000, "one that confirms is not");
}

/// The database is well; whoever holds the lock may hold it for hours, and connections are few.
#[tokio::test]
async fn a_change_that_waits_for_somebodys_lock_is_told_so_after_five_seconds() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    // Who comes second to one row waits for who came first as well.
    let mut paths = Vec::new();
    for _ in 0..3 {
        paths.push(path(&tenant.webhook("https://a.example/").await));
    }
    let mut somebody = world.pool.begin().await.expect("begun");
    sqlx::query("SELECT FROM tidings.webhooks FOR UPDATE").execute(&mut *somebody).await.expect("locked");
    let began = Instant::now();
    let refused = async |method: Method, path: String, body: Option<Value>| {
        let answer = timeout(9 * SECOND, tenant.call(method, &path, body)).await.expect("an answer");
        assert_eq!(answer.problem(503), "contended", "{path}");
        assert!(answer.headers.contains_key("retry-after"), "{path}");
        assert!(began.elapsed() >= Duration::from_millis(4_900), "{path}: it waited for {:?}", began.elapsed());
    };
    tokio::join!(
        refused(Method::PATCH, paths[0].clone(), Some(json!({"description": "x"}))),
        refused(Method::POST, format!("{}/rotate", paths[1]), Some(json!({}))),
        refused(Method::DELETE, paths[2].clone(), None),
    );
    somebody.rollback().await.expect("over");
    assert_eq!(world.count("webhook_secrets").await, 3);
    for path in paths {
        let shown = tenant.get(&path).await;
        assert_eq!(shown.headers["etag"], "\"1\"", "nothing was changed");
        tenant.patch(&path, json!({"description": "x"})).await.expect(200);
    }
}

#[tokio::test]
async fn who_knows_a_webhook_is_told_only_whether_it_changed() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = tenant.webhook("https://example.com/hook").await;
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let with = async |method: Method, name: &str, tag: &str| {
        world.send(world.request(method, &path).bearer_auth(&tenant.key).header(name, tag)).await
    };
    for known in ["\"1\"", "W/\"1\"", "\"7\", \"1\"", "*"] {
        let answer = with(Method::GET, "if-none-match", known).await;
        assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
        assert_eq!(answer.headers["etag"], "\"1\"");
    }
    tenant.patch(&path, json!({"description": "changed"})).await.expect(200);
    with(Method::GET, "if-none-match", "\"1\"").await.expect(200);

    assert_eq!(with(Method::DELETE, "if-match", "\"1\"").await.problem(412), "precondition_failed");
    for wrong in ["1", "\"+2\"", "\"\"", "\"1\", \"2\""] {
        assert_eq!(with(Method::DELETE, "if-match", wrong).await.problem(400), "invalid_header", "{wrong}");
    }
    let twice = world.request(Method::DELETE, &path).bearer_auth(&tenant.key).header("if-match", "\"2\"");
    assert_eq!(world.send(twice.header("if-match", "\"3\"")).await.problem(400), "invalid_header");
    tenant.get(&path).await.expect(200);
    with(Method::DELETE, "if-match", "\"2\"").await.expect(204);
    assert_eq!(with(Method::DELETE, "if-match", "\"2\"").await.problem(404), "not_found");
}

/// A revision is what a webhook is sent under, and what its representation shows: a secret is not part of either.
#[tokio::test]
async fn a_rotation_is_no_change_to_who_knows_the_webhook() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let webhook = tenant.webhook("https://example.com/hook").await;
    let path = path(&webhook);
    tenant.patch(&path, json!({"description": "mine"})).await.expect(200);
    let shown = tenant.get(&path).await;
    assert_eq!(shown.headers["etag"], "\"2\"");

    world.clock.advance(SECOND);
    let rotated = tenant.post(&format!("{path}/rotate"), json!({})).await;
    assert_ne!(rotated.expect(200)["signing_secret"], webhook["signing_secret"]);
    assert_eq!(rotated.headers["etag"], "\"2\"");
    let with = |method: Method, name: &str| {
        world
            .request(method, &path)
            .bearer_auth(&tenant.key)
            .header(name, "\"2\"")
            .json(&json!({"description": "more"}))
    };
    assert_eq!(world.send(with(Method::GET, "if-none-match")).await.status, 304);
    assert_eq!(tenant.get(&path).await.text, shown.text);
    let changed = world.send(with(Method::PATCH, "if-match")).await;
    changed.expect(200);
    assert_eq!(changed.headers["etag"], "\"3\"");
}
