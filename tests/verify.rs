//! The challenge, and test deliveries.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::world::{Answer, Tenant};
use crate::support::{Receiver, Reply, World};

async fn limai(tenant: &Tenant<'_>, receiver: &Receiver) -> String {
    let webhook = tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "dialect": "limai"})).await;
    format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))
}

async fn post(tenant: &Tenant<'_>, path: &str, verb: &str) -> Answer {
    tenant.post(&format!("{path}/{verb}"), json!({})).await
}

fn state(webhook: &Value) -> &str {
    webhook["state"].as_str().expect("a state")
}

#[tokio::test]
async fn a_receiver_that_returns_the_value_gets_events_from_then_on() {
    let world = World::new().await;
    world.run();
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let path = limai(&tenant, &receiver).await;
    tenant.event("DOCUMENT_REVIEWED", json!({})).await;
    assert_eq!(world.count("outbox").await, 0, "nothing is owed to one that was never verified");
    assert_eq!(post(&tenant, &path, "test").await.problem(409), "webhook_not_verified");

    receiver.always(Reply::Challenge);
    let verified = post(&tenant, &path, "verify").await.expect(200);
    assert_eq!(state(&verified), "active");
    assert!(verified["verified_at"].is_string());
    let challenge = receiver.only();
    assert_eq!(challenge.json()["eventType"], "VERIFICATION");
    assert!(challenge.header("x-webhook-signature").starts_with("sha256="));
    let event = tenant.event("DOCUMENT_REVIEWED", json!({})).await;
    assert_eq!(receiver.wait_for(2).await[1].json()["eventId"], event.as_str());
}

#[tokio::test]
async fn what_the_receiver_answered_instead_is_told() {
    let world = World::new().await;
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let path = limai(&tenant, &receiver).await;
    for (reply, outcome, status) in [
        (Reply::With(200, vec![], "something else".into()), "success", json!(200)),
        (Reply::Status(500), "http_status", json!(500)),
    ] {
        receiver.then(reply);
        let answer = post(&tenant, &path, "verify").await;
        assert_eq!(answer.problem(422), "challenge_failed");
        let problem = answer.json();
        assert_eq!((&problem["answer"]["outcome"], &problem["answer"]["status"]), (&json!(outcome), &status));
    }
    assert_eq!(state(&tenant.get(&path).await.expect(200)), "pending_verification");
}

#[tokio::test]
async fn another_url_must_be_verified_again_however_often_it_is_paused() {
    let world = World::new().await;
    world.run();
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let path = limai(&tenant, &receiver).await;
    receiver.always(Reply::Challenge);
    post(&tenant, &path, "verify").await.expect(200);
    let moved = tenant.patch(&path, json!({"url": format!("{}/2", receiver.url)})).await.expect(200);
    assert_eq!(state(&moved), "pending_verification");
    tenant.event("DOCUMENT_REVIEWED", json!({})).await;
    assert_eq!(world.count("outbox").await, 1, "its events are held");
    assert_eq!(state(&post(&tenant, &path, "deactivate").await.expect(200)), "inactive");
    assert_eq!(state(&post(&tenant, &path, "activate").await.expect(200)), "pending_verification");
    assert_eq!(receiver.count(), 1);
    assert_eq!(state(&post(&tenant, &path, "verify").await.expect(200)), "active");
    receiver.wait_for(3).await;
}

#[tokio::test]
async fn two_tests_or_verifications_of_a_webhook_are_under_way_at_once() {
    let world = World::new().await;
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let path = limai(&tenant, &receiver).await;
    receiver.always(Reply::Challenge);
    post(&tenant, &path, "verify").await.expect(200);
    let gate = Arc::new(Semaphore::new(0));
    receiver.always(Reply::Gate(Arc::clone(&gate), 200));
    let begun = async {
        receiver.wait_for(3).await;
        for verb in ["test", "verify"] {
            let refused = post(&tenant, &path, verb).await;
            assert_eq!(refused.problem(429), "too_many_tests", "{verb}");
            assert_eq!(refused.headers["retry-after"], "1", "{verb}");
        }
        let other = limai(&tenant, &Receiver::start().await).await;
        assert_ne!(post(&tenant, &other, "verify").await.status, 429, "another webhook");
        let stranger = world.tenant().await;
        assert_eq!(post(&stranger, &path, "test").await.status, 404);
        gate.add_permits(9);
    };
    let (tested, verified, ()) = tokio::join!(post(&tenant, &path, "test"), post(&tenant, &path, "verify"), begun);
    tested.expect(200);
    assert_eq!(verified.problem(422), "challenge_failed");
    assert_eq!(receiver.count(), 3);
    post(&tenant, &path, "test").await.expect(200);
}

#[tokio::test]
async fn a_dialect_without_a_challenge_says_so() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = tenant.webhook("https://a.example/").await;
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    assert_eq!(post(&tenant, &path, "verify").await.problem(409), "no_challenge");
}

#[tokio::test]
async fn a_test_shows_what_was_sent_but_no_credential_and_stores_nothing() {
    let world = World::new().await;
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let body = json!({"url": receiver.url, "events": ["processed"], "dialect": "beltic", "is_active": false,
        "headers": {"Authorization": "Basic abc", "X-Team": "blue"}});
    let webhook = tenant.webhook_with(body).await;
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    receiver.then(Reply::With(418, vec![("x-kind", "teapot".into())], "short and stout".into()));
    let tested = post(&tenant, &path, "test").await.expect(200);

    let sent = receiver.only();
    assert_eq!(sent.header("x-webhook-token"), webhook["token"].as_str().expect("a token"));
    assert_eq!((sent.header("authorization"), sent.header("x-team")), ("Basic abc", "blue"));
    let shown = &tested["request"];
    assert_eq!(shown["body"].as_str().map(str::as_bytes), Some(&*sent.body));
    assert_eq!(shown["headers"]["X-Webhook-Token"], "[redacted]");
    assert_eq!(shown["headers"]["Authorization"], "[redacted]");
    assert_eq!(shown["headers"]["X-Team"], "blue");
    assert_eq!(shown["headers"]["X-Webhook-Signature"], sent.header("x-webhook-signature"));
    assert_eq!((&tested["outcome"], &tested["status"]), (&json!("http_status"), &json!(418)));
    assert_eq!(tested["response_headers"]["x-kind"], "teapot");
    assert_eq!(tested["response_body"], "short and stout");
    assert_eq!((world.count("events").await, world.count("attempts").await), (0, 0));
}
