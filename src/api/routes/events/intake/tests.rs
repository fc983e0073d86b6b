//! What producers send, and what they are told.

use axum::http::{HeaderName, HeaderValue};

use super::*;

const INTAKE: Intake<fn() -> EventId> =
    Intake { tenant_id: TenantId::from_u128(1), max_event_bytes: 100, new_id: || EventId::from_u128(1 << 30) };

fn submission(body: &str, key: Option<&str>) -> Submission {
    Submission { key_of_header: key.map(str::to_owned), trace: None, body: Bytes::copy_from_slice(body.as_bytes()) }
}

fn one(body: &str) -> Result<NewEvent, Problem> {
    INTAKE.one(&submission(body, None))
}

/// Status, top code, and the first error's pointer and code.
fn told(problem: &Problem) -> (u64, String, String, String) {
    let told = problem.told();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let first = &told["errors"][0];
    (told["status"].as_u64().unwrap_or(0), text(&told["code"]), text(&first["pointer"]), text(&first["code"]))
}

#[test]
fn data_is_a_copy_of_its_part_of_the_body_byte_for_byte() {
    for data in [
        "1.0",
        "null",
        "18446744073709551616",
        r#"{ "b" : 1e2,"a":1, "a":2}"#,
        r#""\u0000 \ud800 \u00e9é""#,
        &format!("{}{}", "[".repeat(64), "]".repeat(64)),
    ] {
        let body = Bytes::from(format!(r#"{{"type":"a.b","data": {data} }}"#));
        let new = INTAKE.one(&Submission { key_of_header: None, trace: None, body: body.clone() }).expect(data);
        assert_eq!(new.event.data, data.as_bytes());
        assert!(body.is_unique(), "what the connection reads into is free for the next request");
        assert_eq!((new.event.event_type.as_str(), new.idempotency_key), ("a.b", None));
    }
}

#[test]
fn what_does_not_fit_is_told_with_its_pointer() {
    let long = "k".repeat(256);
    for (body, pointer, code) in [
        (r#"["a",1,null,null]"#, "", "invalid_value"),
        (r#"{"type":"../","data":1}"#, "/type", "invalid_event_type"),
        (r#"{"type":1,"data":1}"#, "/type", "invalid_value"),
        (r#"{"data":1}"#, "/type", "required"),
        (r#"{"type":"a"}"#, "/data", "required"),
        (r#"{"type":"a","data":1,"data":2}"#, "/data", "duplicate_member"),
        (r#"{"type":"a","data":1,"dat":2}"#, "/dat", "unknown_member"),
        (r#"{"type":"a","data":1,"idempotency_key":""}"#, "/idempotency_key", "invalid_idempotency_key"),
        (r#"{"type":"a","data":1,"idempotency_key":"a b"}"#, "/idempotency_key", "invalid_idempotency_key"),
        (
            &format!(r#"{{"type":"a","data":1,"idempotency_key":"{long}"}}"#),
            "/idempotency_key",
            "invalid_idempotency_key",
        ),
        (r#"{"type":"a","data":1,"occurred_at":"2026-02-30T00:00:00Z"}"#, "/occurred_at", "invalid_time"),
        (r#"{"type":"a","data":1,"occurred_at":"2026-02-03 00:00:00Z"}"#, "/occurred_at", "invalid_time"),
        (r#"{"type":"a","data":1,"occurred_at":"9999-12-31T23:59:59-01:00"}"#, "/occurred_at", "invalid_time"),
        (r#"{"type":"a","data":1,"occurred_at":1}"#, "/occurred_at", "invalid_value"),
    ] {
        let problem = one(body).expect_err(body);
        assert_eq!(told(&problem), (422, "validation_failed".into(), pointer.into(), code.into()), "{body}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let deep = format!(r#"{{"type":"a","data":{}{}}}"#, "[".repeat(65), "]".repeat(65));
    let bomb = format!(r#"{{"type":"a","data":{}"#, "[".repeat(1_000_000));
    for body in [r#"{"type":"a","data":NaN}"#, r#"{"type":"a","data":[1,]}"#, r#"{"type":"a","data":1}}"#, &deep, &bomb]
    {
        let (status, code, ..) = told(&one(body).expect_err("refused"));
        assert_eq!((status, code.as_str()), (400, "invalid_json"));
    }
}

#[test]
fn the_header_serves_as_the_key_unless_they_differ() {
    let with = |key, body: &str| INTAKE.one(&submission(body, Some(key)));
    let body = r#"{"type":"a","data":1,"idempotency_key":"k1"}"#;
    assert_eq!(with("k1", body).expect("the same").idempotency_key.as_deref(), Some("k1"));
    assert_eq!(with("k2", r#"{"type":"a","data":1}"#).expect("one").idempotency_key.as_deref(), Some("k2"));
    assert_eq!(told(&with("k2", body).expect_err("differs")).3, "differs_from_header");
}

#[test]
fn the_header_stands_once_and_is_a_key() {
    let read = |values: &[&'static str]| {
        let values = values.iter().map(|value| (HeaderName::from_static(KEY_HEADER), HeaderValue::from_static(value)));
        key_of_header(&values.collect())
    };
    assert_eq!(read(&[]).expect("none"), None);
    assert_eq!(read(&["k-1"]).expect("one").as_deref(), Some("k-1"));
    for bad in [&[""][..], &["a b"], &["a", "a"]] {
        assert_eq!(told(&read(bad).expect_err("refused")).1, "invalid_header");
    }
}

#[test]
fn a_batch_names_the_item_that_is_wrong() {
    let batch = |body: &str| INTAKE.batch(&submission(body, None));
    let good = r#"{"type":"a","data":1}"#;
    assert_eq!(batch(&format!(r#"{{"events":[{good},{good}]}}"#)).expect("a batch").len(), 2);
    let many = format!(r#"{{"events":[{}]}}"#, vec![good; 1001].join(","));
    let large = format!(r#"{{"events":[{{"type":"a","data":"{}"}}]}}"#, "x".repeat(100));
    for (body, pointer) in [
        (r#"{"events":[]}"#, "/events"),
        (r#"{"events":[["a",1,null,null]]}"#, "/events/0"),
        (&many, "/events"),
        (&large, "/events/0/data"),
        (&format!(r#"{{"events":[{good},{{"type":"/","data":1}}]}}"#), "/events/1/type"),
        (&format!(r#"{{"events":[{good},{{"type":"a"}}]}}"#), "/events/1/data"),
    ] {
        assert_eq!(told(&batch(body).expect_err(pointer)).2, pointer);
    }
}
