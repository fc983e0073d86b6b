//! Dead letters: what could not be delivered is kept, with all that is needed to see why.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

fn header<'a>(headers: &'a Value, name: &str) -> &'a str {
    let find = |header: &&Value| header["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(name));
    headers.as_array().expect("headers").iter().find(find).expect(name)["value"].as_str().expect("a text")
}

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("an id")
}

async fn dead_letter_of(tenant: &Tenant<'_>, event_id: &str) -> Value {
    let delivery = tenant.delivery_of(event_id).await;
    assert_eq!(delivery["state"], "dead");
    tenant.get(&format!("/v1/dead-letters/{}", id(&delivery))).await.expect(200)
}

#[tokio::test]
async fn a_dead_letter_tells_its_reason_and_its_last_attempt() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "beltic").await;
    let receiver = Receiver::start().await;
    let retry = json!({"max_attempts": 2, "initial_seconds": 1, "terminal_statuses": [422]});
    tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "retry": retry})).await;

    receiver.then(Reply::Status(500)).then(Reply::Status(503));
    let exhausted = tenant.event("processed", json!({"n": 1})).await;
    world.drain().await;
    world.after(Duration::from_secs(2)).await;
    receiver.then(Reply::Status(422));
    let terminal = tenant.event("processed", json!({"n": 2})).await;
    let collides = tenant.event("processed", json!({"n": 3, "occurred_at": 1})).await;
    let no_object = tenant.event("processed", json!([1])).await;
    world.drain().await;
    assert_eq!(receiver.count(), 3, "what cannot be rendered is not sent");

    for (event, reason, attempts, status, told) in [
        (&exhausted, "attempts_exhausted", 2, json!(503), "503"),
        (&terminal, "terminal_status", 1, json!(422), "422"),
        (&collides, "unrenderable", 0, Value::Null, "`occurred_at`"),
        (&no_object, "unrenderable", 0, Value::Null, "an array"),
    ] {
        let letter = dead_letter_of(&tenant, event).await;
        assert_eq!((&letter["reason"], &letter["attempts"]), (&json!(reason), &json!(attempts)), "{letter}");
        assert_eq!((&letter["event_id"], &letter["event"]), (&json!(event), &json!("processed")));
        assert_eq!(letter["last_attempt"]["status"], status, "{letter}");
        assert!(letter["detail"].as_str().is_some_and(|detail| detail.contains(told)), "{letter}");
    }
    for (filter, count) in
        [("unrenderable", 2), ("attempts_exhausted", 1), ("terminal_status", 1), ("webhook_disabled", 0)]
    {
        let letters = tenant.get(&format!("/v1/dead-letters?filter[reason]={filter}")).await.expect(200);
        assert_eq!(letters["data"].as_array().map(Vec::len), Some(count), "{filter}");
    }
}

#[tokio::test]
async fn a_resend_that_sends_nothing_is_no_attempt() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "beltic").await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(410));
    let webhook = tenant.webhook(&receiver.url).await;
    let never = tenant.event("processed", json!([1])).await;
    let once = tenant.event("processed", json!({"n": 1})).await;
    world.drain().await;
    tenant.post(&format!("/v1/webhooks/{}/activate", id(&webhook)), json!({})).await.expect(200);
    sqlx::query("DELETE FROM tidings.webhook_secrets WHERE kind = 'token'").execute(&world.pool).await.expect("lost");
    for _ in 0..3 {
        for (event, attempts, status) in [(&never, 0, Value::Null), (&once, 1, json!(410))] {
            let letter = dead_letter_of(&tenant, event).await;
            assert_eq!(
                (&letter["attempts"], &letter["last_attempt"]["status"]),
                (&json!(attempts), &status),
                "{letter}"
            );
            tenant.post(&format!("/v1/dead-letters/{}/resend", id(&letter)), json!({})).await.expect(202);
        }
        world.drain().await;
    }
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn each_attempt_shows_what_was_sent_and_answered_but_no_credentials() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "beltic").await;
    let receiver = Receiver::start().await;
    let headers = json!({"Authorization": "Basic hush", "X-Team": "blue"});
    let body = json!({"url": receiver.url, "events": ["*"], "headers": headers});
    let webhook = tenant.webhook_with(body).await;
    let answered = vec![("x-trace", "t-1".to_owned()), ("set-cookie", "sid=hush".to_owned())];
    receiver.then(Reply::With(500, answered, "it broke".to_owned()));
    receiver.then(Reply::With(200, Vec::new(), "x".repeat(20_000)));
    let event = tenant.event("processed", json!({"n": 1})).await;
    world.drain().await;
    world.after(Duration::from_secs(2)).await;

    let delivery = tenant.delivery_of(&event).await;
    let attempts = tenant.attempts(&delivery).await;
    let [second, first] = &attempts[..] else { panic!("two attempts: {attempts:?}") };
    assert_eq!(
        (&first["number"], &first["outcome"], &first["verdict"]),
        (&json!(1), &json!("http_status"), &json!("retry"))
    );
    assert_eq!(
        (&second["number"], &second["outcome"], &second["verdict"]),
        (&json!(2), &json!("success"), &json!("delivered"))
    );
    for (shown, arrived) in [first, second].into_iter().zip(receiver.received()) {
        let request = &shown["request"];
        assert_eq!((&request["method"], &request["url"]), (&json!("POST"), &json!(receiver.url)));
        assert_eq!(request["body"].as_str().expect("a body").as_bytes(), &arrived.body[..]);
        for name in ["X-Webhook-Signature", "Content-Type", "X-Team"] {
            assert_eq!(header(&request["headers"], name), arrived.header(name));
        }
        assert_eq!(arrived.header("authorization"), "Basic hush");
        assert_eq!(header(&request["headers"], "Authorization"), "[redacted]");
        assert_eq!(header(&request["headers"], "X-Webhook-Token"), "[redacted]");
    }
    assert_eq!((&first["response"]["status"], &first["response"]["body"]), (&json!(500), &json!("it broke")));
    assert_eq!(header(&first["response"]["headers"], "x-trace"), "t-1");
    assert_eq!(second["response"]["body"].as_str().map(str::len), Some(16 * 1_024));
    let shown = serde_json::to_string(&attempts).expect("JSON");
    for secret in
        ["hush", webhook["token"].as_str().expect("a token"), webhook["signing_secret"].as_str().expect("one")]
    {
        assert!(!shown.contains(secret));
    }
}

#[tokio::test]
async fn a_deleted_dead_letter_is_a_cancelled_delivery() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(400));
    tenant.webhook(&receiver.url).await;
    let event = tenant.event("document.uploaded", json!({})).await;
    world.drain().await;
    let path = format!("/v1/dead-letters/{}", id(&dead_letter_of(&tenant, &event).await));
    assert_eq!(world.tenant().await.delete(&path).await.problem(404), "not_found", "another tenant's");
    tenant.delete(&path).await.expect(204);

    let delivery = tenant.delivery_of(&event).await;
    assert_eq!((&delivery["state"], &delivery["reason"]), (&json!("cancelled"), &json!("operator")));
    assert_eq!(tenant.attempts(&delivery).await.len(), 1, "its history stays");
    assert_eq!(tenant.get(&path).await.problem(404), "not_found");
    assert_eq!(tenant.delete(&path).await.problem(404), "not_found");
    assert_eq!(tenant.post(&format!("{path}/resend"), json!({})).await.problem(409), "not_dead");
    world.after(Duration::from_hours(1)).await;
    assert_eq!(receiver.count(), 1);
}
