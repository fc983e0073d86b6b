//! Registering: what a webhook is, its secrets shown once, changed with the same care, and gone when deleted.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::{Answer, Tenant};
use crate::support::{Receiver, Reply, World};

fn at(webhook: &Value, rest: &str) -> String {
    format!("/v1/webhooks/{}{rest}", webhook["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn secrets_are_shown_once_and_never_again() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let credential = "Bearer of-the-receiver";
    let mut secrets = vec![credential.to_owned()];
    let mut webhooks = Vec::new();
    for dialect in ["standard", "beltic", "docintell"] {
        let made =
            json!({"url": receiver.url, "events": ["*"], "dialect": dialect, "headers": {"Authorization": credential}});
        let made = tenant.webhook_with(made).await;
        let rotated = tenant.post(&at(&made, "/rotate"), json!({"overlap_seconds": 60})).await.expect(200);
        for (webhook, name) in [(&made, "signing_secret"), (&made, "token"), (&rotated, "signing_secret")] {
            secrets.extend(webhook[name].as_str().map(str::to_owned));
        }
        assert!(rotated["token"].is_null(), "the token stays, so it is not shown again");
        webhooks.push(made);
    }
    assert_eq!(secrets.len(), 1 + 3 + 1 + 3);

    let mut answers = vec![tenant.get("/v1/webhooks").await];
    for webhook in &webhooks {
        answers.push(tenant.get(&at(webhook, "")).await);
        answers.push(tenant.patch(&at(webhook, ""), json!({"description": "changed"})).await);
        for action in ["/test", "/deactivate", "/activate"] {
            answers.push(tenant.post(&at(webhook, action), json!({})).await);
        }
    }
    for Answer { status, text, .. } in answers {
        assert_eq!(status, 200, "{text}");
        assert!(!text.contains("signing_secret"), "{text}");
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{text}");
    }
}

#[tokio::test]
async fn a_registration_has_what_its_dialect_promises() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (dialect, secret_start, has_token, state) in [
        ("standard", "whsec_", false, "active"),
        ("numora", "", false, "active"),
        ("number7ai", "", false, "active"),
        ("beltic", "", true, "active"),
        ("limai", "", false, "pending_verification"),
        ("docintell", "whsec_", false, "active"),
    ] {
        let registration = json!({"url": "https://example.com/hook", "events": ["*"], "dialect": dialect});
        let answer = tenant.post("/v1/webhooks", registration).await;
        let made = answer.expect(201);
        let secret = text(&made["signing_secret"]);
        assert!(secret.starts_with(secret_start) && secret.len() >= 32, "{dialect}: {secret}");
        assert_eq!(text(&made["token"]).len() >= 32, has_token, "{dialect}");
        assert_ne!(made["token"], made["signing_secret"], "{dialect}");
        let alias = if dialect == "docintell" { &made["id"] } else { &Value::Null };
        assert_eq!(&made["webhook_config_id"], alias, "{dialect}");
        assert_eq!((&made["state"], &made["is_active"]), (&json!(state), &json!(state == "active")), "{dialect}");
        assert_eq!(answer.headers["location"].to_str().expect("visible"), at(&made, ""));
    }
}

#[tokio::test]
async fn what_was_registered_is_read_back_and_changed_member_by_member() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let full = json!({
        "url": "https://EXAMPLE.com:443/hook?a=b", "events": ["document.*", "push.failed", "push.failed"],
        "dialect": "standard", "description": "for the ledger", "headers": {"X-Team": "ledger"},
        "retry": {"max_attempts": 3, "initial_seconds": 0.5, "factor": 3.0, "max_seconds": 60.0, "jitter": 0.0},
        "timeout_seconds": 5, "rate_limit": 10, "max_in_flight": 4, "metadata": {"b": [1, {"a": null}], "a": "x"},
    });
    let made = tenant.webhook_with(full.clone()).await;
    let mut expected = full;
    expected["url"] = "https://example.com/hook?a=b".into();
    expected["events"] = json!(["document.*", "push.failed"]);
    for (name, value) in expected.as_object().expect("members") {
        assert_eq!(&made[name], value, "{name}");
    }
    let mut shown = tenant.get(&at(&made, "")).await.expect(200);
    for (change, name, value) in [
        (json!({"description": null}), "description", json!("")),
        (json!({"headers": {"X-Other": "y"}}), "headers", json!({"X-Other": "y"})),
        (json!({"headers": null}), "headers", json!({})),
        (json!({"retry": null}), "retry", Value::Null),
        (json!({"timeout_seconds": null}), "timeout_seconds", Value::Null),
        (json!({"rate_limit": 7}), "rate_limit", json!(7)),
        (json!({"max_in_flight": null}), "max_in_flight", Value::Null),
        (json!({"metadata": {"c": 1}}), "metadata", json!({"c": 1})),
        (json!({"events": ["*"]}), "events", json!(["*"])),
        (json!({"url": "http://example.com/"}), "url", json!("http://example.com/")),
        (json!({"dialect": "standard"}), "dialect", json!("standard")),
    ] {
        world.clock.advance(Duration::from_secs(1));
        let changed = tenant.patch(&at(&made, ""), change.clone()).await.expect(200);
        shown[name] = value;
        shown["updated_at"] = changed["updated_at"].clone();
        if name == "url" {
            shown["verified_at"] = changed["verified_at"].clone();
        }
        assert_eq!(changed, shown, "{change}");
    }
    assert_eq!(tenant.get(&at(&made, "")).await.expect(200), shown);
}

#[tokio::test]
async fn a_change_may_insist_on_the_revision_it_was_made_for() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let answer = tenant.post("/v1/webhooks", json!({"url": "https://example.com/", "events": ["*"]})).await;
    let (path, first) = (at(&answer.expect(201), ""), answer.headers["etag"].clone());
    let change = async |tag: &str, description: &str| {
        let request = world.request(Method::PATCH, &path).bearer_auth(&tenant.key).header("if-match", tag);
        world.send(request.json(&json!({"description": description}))).await
    };
    assert_eq!(tenant.get(&path).await.headers["etag"], first);
    let first = first.to_str().expect("visible").to_owned();
    let second = change(&first, "mine").await;
    second.expect(200);
    assert_ne!(second.headers["etag"], first.as_str());
    assert_eq!(change(&first, "theirs").await.problem(412), "precondition_failed");
    for wrong in ["", "1", "\"x\"", "\"", "W/\"1\"", "\"1\", \"2\""] {
        assert_eq!(change(wrong, "theirs").await.problem(400), "invalid_header", "{wrong:?}");
    }
    let shown = tenant.get(&path).await;
    assert_eq!(shown.expect(200)["description"], "mine");
    assert_eq!(shown.headers["etag"], second.headers["etag"]);
    assert_eq!(change("*", "anybody's").await.expect(200)["description"], "anybody's");
}

#[tokio::test]
async fn a_change_is_checked_as_a_registration_is() {
    let world = World::new().await;
    let (live, sandbox) = (world.tenant_with("live", "numora").await, world.tenant_with("sandbox", "numora").await);
    let good = json!({"url": "https://example.com/", "events": ["push.failed"]});
    assert_eq!(sandbox.webhook("http://example.com/").await["state"], "active", "plain HTTP is for the sandbox");
    let webhook = live.webhook_with(good.clone()).await;
    for (pointer, code, member) in [
        ("/url", "invalid_url", json!({"url": "http://example.com/"})),
        ("/url", "blocked_address", json!({"url": "https://10.0.0.1/"})),
        ("/url", "blocked_address", json!({"url": "https://169.254.169.254/latest"})),
        ("/url", "blocked_address", json!({"url": "https://[::ffff:192.168.0.1]/"})),
        ("/url", "null", json!({"url": null})),
        ("/events", "invalid_events", json!({"events": []})),
        ("/events", "null", json!({"events": null})),
        ("/events/1", "unknown_event", json!({"events": ["*", "invoice.paid"]})),
        ("/headers/X-Numora-Webhook-Id", "invalid_header", json!({"headers": {"X-Numora-Webhook-Id": "x"}})),
        ("/headers/Authorization", "redacted_value", json!({"headers": {"Authorization": "[redacted]"}})),
        ("/timeout_seconds", "out_of_range", json!({"timeout_seconds": 31})),
        ("/retry/max_attempts", "out_of_range", json!({"retry": {"max_attempts": 0, "initial_seconds": 1}})),
        ("/is_active", "null", json!({"is_active": null})),
        ("/colour", "unknown_member", json!({"colour": "red"})),
    ] {
        let mut registration = good.clone();
        registration.as_object_mut().expect("members").extend(member.as_object().expect("members").clone());
        let refused =
            [live.post("/v1/webhooks", registration).await, live.patch(&at(&webhook, ""), member.clone()).await];
        for answer in refused {
            assert_eq!(answer.problem(422), "validation_failed", "{member}");
            let error = &answer.json()["errors"][0];
            assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{member}");
        }
    }
    let dialect = live.patch(&at(&webhook, ""), json!({"dialect": "standard"})).await;
    assert_eq!(
        (dialect.problem(422), &dialect.json()["errors"][0]["code"]),
        ("validation_failed".into(), &json!("unchangeable"))
    );
    let several = live.post("/v1/webhooks", json!({"url": "x", "events": [], "rate_limit": 0})).await;
    assert_eq!(several.expect(422)["errors"].as_array().map(Vec::len), Some(3), "every fault is told at once");
    assert_eq!(world.count("webhooks").await, 2);
    assert_eq!(live.get(&at(&webhook, "")).await.headers["etag"], "\"1\"", "nothing was changed");
}

#[tokio::test]
async fn a_test_tells_what_the_receiver_answered_and_leaves_no_trace() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let answered = vec![("x-mood", "short and stout".into()), ("set-cookie", "sid=hush".into())];
    receiver.then(Reply::With(418, answered, "a teapot".into()));
    let told = tenant.post(&at(&webhook, "/test"), json!({})).await.expect(200);
    assert_eq!((&told["outcome"], &told["status"]), (&json!("http_status"), &json!(418)));
    assert_eq!(
        (&told["response_body"], &told["response_headers"]["x-mood"]),
        (&json!("a teapot"), &json!("short and stout"))
    );
    assert_eq!(told["response_headers"]["set-cookie"], "[redacted]");
    let received = receiver.only();
    assert_eq!((&told["request"]["method"], &told["request"]["url"]), (&json!("POST"), &json!(receiver.url)));
    assert_eq!(told["request"]["body"].as_str().map(str::as_bytes), Some(&received.body[..]));
    let secret = webhook["signing_secret"].as_str().expect("a secret");
    assert_eq!(
        received.header("x-docintell-signature"),
        format!("sha256={}", super::overlap::hmac_hex(secret.as_bytes(), &received.body))
    );
    tenant.post(&at(&webhook, "/deactivate"), json!({})).await.expect(200);
    assert_eq!(tenant.call(Method::POST, &at(&webhook, "/test"), None).await.expect(200)["outcome"], "success");
    assert_eq!((world.count("events").await, world.count("outbox").await, world.count("attempts").await), (0, 0, 0));
}

#[tokio::test]
async fn a_test_shows_an_answer_as_attempts_do() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let answered = vec![("date", "today".into()), ("x-mood", "a".into()), ("set-cookie", "sid=hush".into())];
    receiver.always(Reply::With(200, answered, "x".repeat(20_000)));
    let told = tenant.post(&at(&webhook, "/test"), json!({})).await.expect(200);
    let event = tenant.event("a.b", json!(1)).await;
    world.drain().await;
    let delivery = tenant.delivery_of(&event).await;
    let attempt = tenant.attempts(&delivery).await[0].clone();
    assert_eq!(told["response"], attempt["response"]);
    assert_eq!((&told["response"]["truncated"], &told["response"]["body_encoding"]), (&json!(true), &json!("utf-8")));
    for same in ["outcome", "status", "error"] {
        assert_eq!((&told[same], told.get(same).is_some()), (&attempt[same], true), "{same}");
    }
    let nobody = tenant.webhook("http://127.0.0.1:9/").await;
    let told = tenant.post(&at(&nobody, "/test"), json!({})).await.expect(200);
    assert_eq!((&told["error"], &told["response"]), (&json!("connect"), &Value::Null));
}

async fn deliveries(tenant: &Tenant<'_>, state: &str) -> usize {
    let found = tenant.get(&format!("/v1/deliveries?filter[state]={state}")).await.expect(200);
    found["data"].as_array().expect("data").len()
}

#[tokio::test]
async fn a_deleted_webhook_is_gone_and_gets_nothing_more() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(204)).always(Reply::Status(500));
    let webhook = tenant.webhook(&receiver.url).await;
    let delivered = tenant.event("a.b", json!(1)).await;
    world.drain().await;
    tenant.event("a.b", json!(2)).await;
    world.drain().await;
    assert_eq!(deliveries(&tenant, "pending").await, 1);

    tenant.delete(&at(&webhook, "")).await.expect(204);
    let sent = receiver.count();
    tenant.event("a.b", json!(3)).await;
    world.after(Duration::from_hours(7 * 24)).await;
    assert_eq!(receiver.count(), sent);
    assert_eq!((deliveries(&tenant, "pending").await, deliveries(&tenant, "cancelled").await), (0, 1));
    assert_eq!(
        (world.count("webhook_secrets").await, world.count("outbox").await),
        (0, 0),
        "its secrets are forgotten"
    );
    assert_eq!(tenant.get("/v1/webhooks").await.expect(200)["data"], json!([]));
    for (method, rest) in
        [(Method::GET, ""), (Method::DELETE, ""), (Method::POST, "/activate"), (Method::POST, "/test")]
    {
        assert_eq!(tenant.call(method, &at(&webhook, rest), None).await.problem(404), "not_found", "{rest}");
    }
    let event = tenant.get(&format!("/v1/events/{delivered}")).await.expect(200);
    assert_eq!(event["deliveries"][0]["state"], "delivered", "what was delivered stays readable");
}
