//! Odd events: what is wrong with one is told and nothing stored; what is only unusual arrives byte for byte.

use serde_json::{Value, json};

use crate::support::{Receiver, World};

#[tokio::test]
async fn events_that_do_not_fit_are_refused() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    tenant.webhook("https://example.com/").await;
    let with = |name: &str, value: Value| {
        let mut event = json!({"type": "a.b", "data": {}});
        event[name] = value;
        event
    };
    let rows = [
        ("/type", with("type", json!("../"))),
        ("/type", with("type", json!(""))),
        ("/type", with("type", json!("a b"))),
        ("/type", with("type", json!("é"))),
        ("/type", with("type", json!("*"))),
        ("/type", with("type", json!("t".repeat(129)))),
        ("/type", with("type", Value::Null)),
        ("/occurred_at", with("occurred_at", json!("2026-02-30T00:00:00Z"))),
        ("/occurred_at", with("occurred_at", json!("2026-02-28"))),
        ("/occurred_at", with("occurred_at", json!("2026-02-28T00:00:00"))),
        ("/occurred_at", with("occurred_at", json!("+12026-02-28T00:00:00Z"))),
        ("/occurred_at", with("occurred_at", json!(1_700_000_000))),
        ("/idempotency_key", with("idempotency_key", json!(""))),
        ("/idempotency_key", with("idempotency_key", json!("k".repeat(256)))),
        ("/idempotency_key", with("idempotency_key", json!("a b"))),
        ("/idempotency_key", with("idempotency_key", json!("ключ"))),
        ("/tenant_id", with("tenant_id", json!("ten_1"))),
    ];
    let good = json!({"type": "a.b", "data": 1, "idempotency_key": "good"});
    for (pointer, event) in rows {
        let alone = tenant.post("/v1/events", event.clone()).await;
        assert_eq!(alone.problem(422), "validation_failed", "{event}");
        assert_eq!(alone.json()["errors"][0]["pointer"], pointer, "{event}");
        let batch = tenant.post("/v1/events/batch", json!({"events": [good, event]})).await;
        assert_eq!(batch.problem(422), "validation_failed", "{event}");
        assert_eq!(batch.json()["errors"][0]["pointer"], format!("/events/1{pointer}"), "{event}");
    }
    for batch in [json!([]), vec![good.clone(); 1_001].into(), Value::Null, good.clone()] {
        let answer = tenant.post("/v1/events/batch", json!({"events": batch})).await;
        assert_eq!(answer.problem(422), "validation_failed");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/events");
    }
    for table in ["events", "outbox", "idempotency_keys"] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn data_that_is_only_unusual_arrives_byte_for_byte() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let rows = [
        "1.0",
        "1e2",
        "18446744073709551616",
        "-0",
        "null",
        r#"{"b":1,"a":2,"a":3}"#,
        "{ \"a\" :\n\t[ 1 ,2 ] }",
        r#""\u0000""#,
        r#""\ud800""#,
        r#""\u00e9 é \/ /""#,
        "\"\u{2028}\u{10ffff}\"",
        &deep,
    ];
    for (number, data) in rows.iter().enumerate() {
        let accepted = tenant.raw_event(&format!(r#"{{"type":"a.b","data":{data}}}"#)).await;
        assert_eq!(accepted.status, 202, "{data}: {}", accepted.text);
        world.drain().await;
        let received = receiver.received();
        assert_eq!(received.len(), number + 1, "{data}");
        let body = String::from_utf8(received[number].body.to_vec()).expect("UTF-8");
        assert!(body.ends_with(&format!(r#""data":{data}}}"#)), "{data}: {body}");
    }
}
