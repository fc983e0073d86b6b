//! Verifying: the challenge of `limai`, which a receiver must pass before it gets events, and again at another URL.

use serde_json::{Value, json};

use crate::support::{Receiver, Reply, World};

fn at(webhook: &Value, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", webhook["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_webhook_gets_events_from_when_its_receiver_passed_the_challenge() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant_with("sandbox", "limai").await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    tenant.event("DOCUMENT_EXTRACTED", json!({"n": 1})).await;
    assert_eq!(world.count("outbox").await, 0, "never verified, so nothing is owed");
    assert_eq!(tenant.post(&at(&webhook, "/test"), json!({})).await.problem(409), "webhook_not_verified");
    let early = tenant.post(&at(&webhook, "/activate"), json!({})).await.expect(200);
    assert_eq!(early["state"], "pending_verification", "nobody can skip the challenge");

    receiver.always(Reply::Challenge);
    let verified = tenant.post(&at(&webhook, "/verify"), json!({})).await.expect(200);
    assert_eq!((&verified["state"], &verified["is_active"]), (&json!("active"), &json!(true)));
    let asked = receiver.only();
    let secret = webhook["signing_secret"].as_str().expect("a secret");
    let signature = format!("sha256={}", super::overlap::hmac_hex(secret.as_bytes(), &asked.body));
    assert_eq!(asked.header("x-webhook-signature"), signature);
    assert_eq!(asked.json()["eventType"], "VERIFICATION");
    assert!(asked.json()["challenge"].as_str().is_some_and(|value| value.len() >= 32));

    tenant.event("DOCUMENT_EXTRACTED", json!({"n": 2})).await;
    world.drain().await;
    assert_eq!((receiver.count(), &receiver.received()[1].json()["n"]), (2, &json!(2)));
}

#[tokio::test]
async fn the_value_may_come_back_bare_and_nothing_else_will_do() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant_with("sandbox", "limai").await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let wrong = |status, body: &str| Reply::With(status, Vec::new(), body.to_owned());
    for (reply, outcome) in [
        (Reply::Status(204), "success"),
        (wrong(200, r#"{"challenge":"another"}"#), "success"),
        (wrong(200, "ok"), "success"),
        (Reply::Status(500), "http_status"),
        (wrong(302, ""), "http_status"),
    ] {
        receiver.then(reply);
        let answer = tenant.post(&at(&webhook, "/verify"), json!({})).await;
        assert_eq!(answer.problem(422), "challenge_failed");
        let told = &answer.json()["answer"];
        assert_eq!(told["outcome"], outcome, "{told}");
        assert!(!told["status"].is_null() && told["response_body"].is_string(), "what the receiver answered: {told}");
    }
    assert_eq!(tenant.get(&at(&webhook, "")).await.expect(200)["state"], "pending_verification");

    receiver.then(Reply::ChallengeBare);
    assert_eq!(tenant.post(&at(&webhook, "/verify"), json!({})).await.expect(200)["state"], "active");
    let other = tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "dialect": "standard"})).await;
    assert_eq!(tenant.post(&at(&other, "/verify"), json!({})).await.problem(409), "no_challenge");
}

#[tokio::test]
async fn another_url_is_verified_anew_and_events_wait_for_it() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant_with("sandbox", "limai").await;
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    let webhook = tenant.webhook(&old.url).await;
    old.then(Reply::Challenge);
    tenant.post(&at(&webhook, "/verify"), json!({})).await.expect(200);

    let moved = tenant.patch(&at(&webhook, ""), json!({"url": new.url})).await.expect(200);
    assert_eq!((&moved["state"], &moved["is_active"]), (&json!("pending_verification"), &json!(false)));
    tenant.event("DOCUMENT_REVIEWED", json!({"n": 1})).await;
    world.drain().await;
    assert_eq!((old.count(), new.count(), world.count("outbox").await), (1, 0, 1), "held");

    new.then(Reply::Status(404));
    tenant.post(&at(&webhook, "/verify"), json!({})).await.expect(422);
    world.drain().await;
    assert_eq!(new.count(), 1, "held still");
    new.then(Reply::Challenge);
    tenant.post(&at(&webhook, "/verify"), json!({})).await.expect(200);
    new.wait_for(3).await;
    world.drain().await;
    assert_eq!((old.count(), &new.received()[2].json()["n"], world.count("outbox").await), (1, &json!(1), 0));
}
