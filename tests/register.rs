//! Registering webhooks: what is accepted, what is shown once, what is refused and how that is told.

use std::collections::BTreeSet;

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::World;

const URL: &str = "https://receiver.example/hook";

/// Status, and `pointer code` of each error.
fn faults(problem: &Value) -> BTreeSet<String> {
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    errors.iter().map(|error| format!("{} {}", text(error, "pointer"), text(error, "code"))).collect()
}

#[tokio::test]
async fn a_webhook_is_shown_with_its_secret_once() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let registered = tenant
        .webhook_with(json!({
            "url": "HTTPS://Receiver.Example:443/hook", "events": ["document.*", "a", "document.*"],
            "headers": {"X-Team": "blue", "Authorization": "Basic abc"}, "metadata": {"owner": "me"},
            "retry": {"max_attempts": 3, "initial_seconds": 1}, "timeout_seconds": 5, "rate_limit": 9, "max_in_flight": 2,
        }))
        .await;
    assert!(registered["signing_secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    let mut shown = registered.clone();
    shown.as_object_mut().expect("an object").remove("signing_secret");
    let id = shown["id"].as_str().expect("an id").to_owned();
    assert_eq!(tenant.get(&format!("/v1/webhooks/{id}")).await.expect(200), shown);
    assert_eq!(shown["url"], URL);
    assert_eq!(shown["events"], json!(["document.*", "a"]));
    assert_eq!(shown["headers"], json!({"X-Team": "blue", "Authorization": "[redacted]"}));
    assert_eq!((&shown["state"], &shown["is_active"]), (&json!("active"), &json!(true)));
    assert_eq!(shown["verified_at"], shown["created_at"]);
}

#[tokio::test]
async fn each_dialect_gives_what_its_vendor_gives() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let register =
        async |dialect: &str| tenant.webhook_with(json!({"url": URL, "events": ["*"], "dialect": dialect})).await;
    assert!(register("beltic").await["token"].is_string());
    assert_eq!(register("standard").await.get("token"), None);
    let docintell = register("docintell").await;
    assert_eq!(docintell["webhook_config_id"], docintell["id"]);
    let limai = register("limai").await;
    assert_eq!((&limai["state"], &limai["verified_at"]), (&json!("pending_verification"), &Value::Null));
    let paused =
        tenant.webhook_with(json!({"url": URL, "events": ["processed"], "dialect": "beltic", "is_active": false}));
    assert_eq!(paused.await["state"], "inactive");
}

#[tokio::test]
async fn secrets_are_nowhere_in_the_database() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let body = json!({"url": URL, "events": ["*"], "dialect": "beltic", "headers": {"X-Api-Key": "custom-credential"}});
    let registered = tenant.webhook_with(body).await;
    for table in ["webhooks", "webhook_secrets", "webhook_revisions", "api_keys"] {
        let statement = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM tidings.{table} AS t");
        let dump: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&world.pool).await.expect("a dump");
        for secret in
            [&registered["signing_secret"], &registered["token"], &json!("custom-credential"), &json!(tenant.key)]
        {
            let text = secret.as_str().expect("a text");
            assert!(!dump.contains(text) && !dump.contains(&hex::encode(text)), "{table}");
        }
    }
}

#[rstest]
#[case::nothing(json!({}), &["/url required", "/events required"])]
#[case::nulls(json!({"url": null, "events": null}), &["/url null", "/events null"])]
#[case::another_scheme(json!({"url": "ftp://a.example/"}), &["/url invalid_url"])]
#[case::an_address_inside(json!({"url": "https://10.0.0.1/"}), &["/url blocked_address"])]
#[case::no_events(json!({"events": []}), &["/events invalid_events"])]
#[case::no_pattern(json!({"events": ["a", "a b"]}), &["/events/1 invalid_event"])]
#[case::not_the_dialects(json!({"events": ["a", "job.*", "*"], "dialect": "number7ai"}), &["/events/0 unknown_event"])]
#[case::unknown_dialect(json!({"dialect": "nope"}), &["/dialect unknown_dialect"])]
#[case::own_header(json!({"headers": {"Webhook-Id": "x"}}), &["/headers/Webhook-Id invalid_header"])]
#[case::framing(json!({"headers": {"Host": "x"}}), &["/headers/Host invalid_header"])]
#[case::injection(json!({"headers": {"X-A": "a\r\nX-B: b"}}), &["/headers/X-A invalid_header"])]
#[case::twice(json!({"headers": {"X-A": "1", "x-a": "2"}}), &["/headers/x-a invalid_header"])]
#[case::numbers(json!({"timeout_seconds": 31, "rate_limit": 0, "max_in_flight": 257}),
    &["/timeout_seconds out_of_range", "/rate_limit out_of_range", "/max_in_flight out_of_range"])]
#[case::retry(json!({"retry": {"max_attempts": 0, "initial_seconds": 0, "factor": 0.5, "jitter": 2, "max_seconds": 1e9}}),
    &["/retry/max_attempts out_of_range", "/retry/initial_seconds out_of_range", "/retry/factor out_of_range",
      "/retry/jitter out_of_range", "/retry/max_seconds out_of_range"])]
#[case::half_a_retry(json!({"retry": {"max_attempts": 3}}), &["/retry/initial_seconds required"])]
#[case::metadata(json!({"metadata": {"a": "x".repeat(20_000)}}), &["/metadata too_large"])]
#[case::nul(json!({"metadata": {"a": "\u{0}"}}), &["/metadata/a invalid_value"])]
#[case::description(json!({"description": "\u{0}"}), &["/description invalid_text"])]
#[case::types(json!({"is_active": "yes"}), &["/is_active invalid_value"])]
#[case::unknown(json!({"urll": URL}), &["/urll unknown_member"])]
#[tokio::test]
async fn what_does_not_fit_is_refused_with_every_fault(#[case] input: Value, #[case] expected: &[&str]) {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut body = json!({"url": URL, "events": ["*"]});
    if input == json!({}) {
        body = input;
    } else {
        body.as_object_mut().expect("an object").extend(input.as_object().expect("an object").clone());
    }
    let answer = tenant.post("/v1/webhooks", body).await;
    assert_eq!(answer.problem(422), "validation_failed");
    assert_eq!(faults(&answer.json()), expected.iter().map(|&fault| fault.to_owned()).collect());
    assert_eq!(world.count("webhooks").await, 0, "nothing is stored");
}

#[tokio::test]
async fn plain_http_is_for_the_sandbox() {
    let world = World::new().await;
    let live = world.tenant_with("live", "standard").await;
    let body = json!({"url": "http://receiver.example/", "events": ["*"]});
    assert_eq!(live.post("/v1/webhooks", body.clone()).await.problem(422), "validation_failed");
    world.tenant().await.post("/v1/webhooks", body).await.expect(201);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let send = async |content_type: &str, body: String| {
        let request = world.request(Method::POST, "/v1/webhooks").bearer_auth(&tenant.key);
        world.send(request.header("content-type", content_type).body(body)).await
    };
    assert_eq!(send("text/plain", "{}".into()).await.problem(415), "unsupported_media_type");
    assert_eq!(send("application/json; charset=utf-16", "{}".into()).await.problem(415), "unsupported_media_type");
    for body in ["", "{", "{\"url\":\"x\",}", "\u{feff}{}", &"[".repeat(200_000)] {
        assert_eq!(send("application/json", body.into()).await.problem(400), "invalid_json");
    }
    let doubled = send("application/json", format!(r#"{{"url":"{URL}","url":"{URL}"}}"#)).await;
    assert_eq!(faults(&doubled.expect(422)), ["/url duplicate_member".to_owned()].into());
    let inside = send("application/json", r#"{"metadata":{"a":1,"a":2}}"#.into()).await;
    assert_eq!(inside.problem(422), "validation_failed");
    assert_eq!(send("application/json", "[".repeat(300_000)).await.problem(413), "body_too_large");
}
