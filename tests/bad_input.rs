//! Bad input: each kind gets its class of answer, a problem that names what is wrong, and stores nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::World;
use crate::support::world::{Answer, Tenant};

/// The answer is this problem; where a pointer is given, the first error has it.
#[track_caller]
pub fn is(answer: &Answer, expected: &str, what: &str) {
    let mut words = expected.split(' ');
    let status = words.next().and_then(|word| word.parse().ok()).expect("a status");
    assert_eq!(answer.problem(status), words.next().expect("a code"), "{what}: {}", answer.text);
    let problem = answer.json();
    assert_eq!((&problem["status"], problem["request_id"].is_string()), (&json!(status), true), "{what}");
    if let Some(pointer) = words.next() {
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{what}: {}", answer.text);
    }
}

pub async fn nothing_is_stored(world: &World, what: &str) {
    for table in ["webhooks", "events", "outbox", "idempotency_keys"] {
        assert_eq!(world.count(table).await, 0, "{what} left something in {table}");
    }
}

async fn post_text(tenant: &Tenant<'_>, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let request = tenant.world.request(Method::POST, path).bearer_auth(&tenant.key).body(body);
    tenant.world.send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn http_that_is_not_understood_is_refused() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let event = br#"{"type":"a.b","data":1}"#.to_vec();
    for headers in [
        &[][..],
        &[("content-type", "")],
        &[("content-type", "text/plain")],
        &[("content-type", "application/xml")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "application/json; charset=utf-16")],
        &[JSON, JSON],
        &[JSON, ("content-encoding", "gzip")],
        &[JSON, ("content-encoding", "deflate, br")],
    ] {
        for path in ["/v1/events", "/v1/events/batch", "/v1/webhooks"] {
            let answer = post_text(&tenant, path, headers, event.clone()).await;
            is(&answer, "415 unsupported_media_type", &format!("{path} {headers:?}"));
        }
    }
    for (path, bytes) in [("/v1/events", 257 * 1024), ("/v1/webhooks", 257 * 1024), ("/v1/events/batch", 17 << 20)] {
        is(&post_text(&tenant, path, &[JSON], vec![b' '; bytes]).await, "413 body_too_large", path);
    }
    for (method, path, allowed) in [
        (Method::PUT, "/v1/events", "GET,HEAD,POST"),
        (Method::DELETE, "/v1/webhooks", "POST,GET,HEAD"),
        (Method::GET, "/v1/events/batch", "POST"),
        (Method::POST, "/v1/webhooks/wh_1", "GET,HEAD,PATCH,DELETE"),
        (Method::from_bytes(b"BREW").expect("a method"), "/healthz", "GET,HEAD"),
    ] {
        let answer = tenant.call(method, path, None).await;
        is(&answer, "405 method_not_allowed", path);
        let mut found: Vec<_> = answer.headers["allow"].to_str().expect("visible").split(',').collect();
        let mut allowed: Vec<_> = allowed.split(',').collect();
        found.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(found, allowed, "{path}");
    }
    for path in
        ["/", "/v1", "/v2/events", "/v1/events/", "/v1//events", "/v1/webhooks/x/y", "/v1/events/../events/x/y", "/%00"]
    {
        is(&tenant.get(path).await, "404 unknown_path", path);
    }
    for path in [
        "/v1/webhooks/1",
        "/v1/webhooks/evt_01jq000000aaaaaaaaaaaaaaaa",
        "/v1/events/evt_",
        "/v1/deliveries/%ff",
        "/v1/dead-letters/'%20OR%201=1",
        "/v1/dialects/%ff",
    ] {
        is(&tenant.get(path).await, "400 invalid_id", path);
    }
    nothing_is_stored(&world, "HTTP").await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_comes() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
    for (what, framing, body) in [
        ("in chunks", "transfer-encoding: chunked", format!("{}0\r\n\r\n", chunk.repeat(5))),
        // A body that is waited for is given up after half a minute, with another answer.
        ("announced, and none of it sent", "content-length: 2000000", String::new()),
    ] {
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: t\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\n{framing}\r\n\r\n",
            tenant.key
        );
        let mut stream = TcpStream::connect(world.address).await.expect("a connection");
        stream.write_all((head + &body).as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        // The server may cut off what it does not want to read; its answer has arrived by then.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{what}: {answer}");
        let told = "the body is over the limit of 262144 bytes of this path: send less in one request";
        assert!(answer.contains(told), "{what}: {answer}");
    }
    nothing_is_stored(&world, "a body over the limit").await;
}

#[tokio::test]
#[ignore = "half a minute; the CI script runs it"]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{\"type\":",
        tenant.key
    );
    let mut stream = TcpStream::connect(world.address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let answered = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(45), answered).await.expect("in time").expect("an answer, then the end");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("request_timeout"), "{answer}");
    nothing_is_stored(&world, "a slow body").await;
}

/// A batch that says nothing of its size and does not go on after so many bytes.
async fn begun_batch(world: &World, key: &str, bytes: usize) -> TcpStream {
    let head = format!(
        "POST /v1/events/batch HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{}\r\n",
        " ".repeat(bytes)
    );
    let mut stream = TcpStream::connect(world.address).await.expect("a connection");
    stream.write_all(head.as_bytes()).await.expect("written");
    stream
}

fn large_event() -> Value {
    json!({"type": "a.b", "data": "x".repeat(70_000)})
}

#[tokio::test]
async fn bodies_that_do_not_go_on_keep_no_room_that_others_need() {
    let world = World::new().await;
    let (idle, other) = (world.tenant().await, world.tenant().await);
    let mut begun = Vec::new();
    for _ in 0..16 {
        begun.push(begun_batch(&world, "tk_live_wrong", 100_000).await);
        begun.push(begun_batch(&world, &idle.key, 1).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let soon = async |tenant: &Tenant<'_>| {
        let reported = tenant.post("/v1/events", large_event());
        tokio::time::timeout(Duration::from_secs(5), reported).await.expect("at once").expect(202)
    };
    soon(&idle).await;
    for _ in 0..16 {
        begun.push(begun_batch(&world, &idle.key, 100_000).await);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    soon(&other).await;
}

#[tokio::test]
#[ignore = "ten seconds; the CI script runs it"]
async fn who_has_filled_its_room_is_told_so() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let _begun = [begun_batch(&world, &tenant.key, 100_000).await, begun_batch(&world, &tenant.key, 100_000).await];
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = tenant.post("/v1/events", large_event()).await;
    is(&answer, "503 busy", "a third large body");
    assert_eq!(answer.headers["retry-after"], "1");
    nothing_is_stored(&world, "a body without room").await;
}

#[tokio::test]
async fn what_is_not_json_is_told_with_its_place() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let nested =
        |depth: usize| format!(r#"{{"type":"a","data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)).into_bytes();
    for (what, body, place) in [
        ("empty", Vec::new(), "is empty"),
        ("truncated", br#"{"type":"a","data":{"#.to_vec(), "line 1"),
        ("a trailing comma", br#"{"type":"a","data":1,}"#.to_vec(), "column 22"),
        ("NaN", br#"{"type":"a","data":NaN}"#.to_vec(), "column 20"),
        ("a byte order mark", "\u{feff}{}".into(), "byte order mark"),
        ("invalid UTF-8", b"{\"type\":\"a\",\"data\":\"\xff\"}".to_vec(), "byte 21"),
        ("UTF-16", b"{\0}\0".to_vec(), "column 2"),
        ("trailing garbage", br#"{"type":"a","data":1} x"#.to_vec(), "column 23"),
        ("two texts", br#"{"type":"a","data":1}{}"#.to_vec(), "column 22"),
        ("a comment", br#"{"type":"a","data":1/**/}"#.to_vec(), "column 21"),
        ("a control character", b"{\"type\":\"a\",\"data\":\"\x01\"}".to_vec(), "column"),
        ("depth 65", nested(65), "levels deep"),
        ("depth 100,000", nested(100_000), "levels deep"),
    ] {
        let answer = post_text(&tenant, "/v1/events", &[JSON], body).await;
        is(&answer, "400 invalid_json", what);
        assert!(
            answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(place)),
            "{what}: {}",
            answer.text
        );
    }
    for (path, body, expected) in [
        ("/v1/events", r"[]", "422 validation_failed "),
        ("/v1/events", r"null", "422 validation_failed "),
        ("/v1/events", r#"{"type":"a"}"#, "422 validation_failed /data"),
        ("/v1/events", r#"{"data":1}"#, "422 validation_failed /type"),
        ("/v1/events", r#"{"type":1,"data":1}"#, "422 validation_failed /type"),
        ("/v1/events", r#"{"type":"a","type":"b","data":1}"#, "422 validation_failed /type"),
        ("/v1/events", r#"{"type":"a","data":1,"Data":1}"#, "422 validation_failed /Data"),
        (
            "/v1/events/batch",
            r#"{"events":[{"type":"a","data":1},{"type":"a","data":1,"x":1}]}"#,
            "422 validation_failed /events/1/x",
        ),
        (
            "/v1/webhooks",
            r#"{"url":"https://a.example","url":"https://b.example","events":["*"]}"#,
            "422 validation_failed /url",
        ),
        (
            "/v1/webhooks",
            r#"{"url":"https://a.example","events":["*"],"metadata":{"a":1,"a":2}}"#,
            "422 validation_failed /metadata",
        ),
        (
            "/v1/webhooks",
            r#"{"url":"https://a.example","events":["*"],"retry":{"max_attempts":1,"initial_seconds":1,"x":1}}"#,
            "422 validation_failed /retry/x",
        ),
        ("/v1/events/batch", r#"{"events":[["a",1]]}"#, "422 validation_failed /events/0"),
        ("/v1/replays", r#"{"source":"deliveries","filter":[null,"a"]}"#, "422 validation_failed /filter"),
    ] {
        is(&post_text(&tenant, path, &[JSON], body.into()).await, expected, body);
    }
    // A bomb is measured before anything follows it: in every route with a body, as deep as its limit lets in.
    let bomb = format!(r#"{{"events":[{{"type":"a","data":{}{}}}]}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    is(&post_text(&tenant, "/v1/events/batch", &[JSON], bomb.into()).await, "400 invalid_json", "a million levels");
    for path in ["/v1/webhooks", "/v1/replays", "/v1/events/batch", "/v1/events?dry_run=true"] {
        let open = "{\"a\":".repeat(40_000).into_bytes();
        is(&post_text(&tenant, path, &[JSON], open).await, "400 invalid_json", path);
    }
    nothing_is_stored(&world, "JSON").await;
}

/// What was meant by it would not be done.
#[tokio::test]
async fn an_action_that_takes_no_body_says_so() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let webhook = tenant.webhook("https://example.com/hook").await;
    let path = |verb: &str| format!("/v1/webhooks/{}/{verb}", webhook["id"].as_str().expect("an id"));
    tenant.post(&path("deactivate"), json!({})).await.expect(200);
    tenant.post(&path("deactivate"), Value::Null).await.expect(200);
    let refused = tenant.post(&path("activate"), json!({"skip_backlog": true})).await;
    is(&refused, "400 unwanted_body", "what was meant for the query");
    let shown = tenant.get(&format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(shown["state"], "inactive", "{shown}");
}

/// A client that writes all it has before it reads must come to read why that was refused, and not meet a reset.
#[tokio::test]
async fn who_is_refused_early_reads_the_answer_however_much_is_still_to_be_sent() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let body = vec![b' '; 6 * 1024 * 1024];
    for (path, key, status) in [
        ("/v1/events/batch", "tk_live_wrong", "401"),
        ("/v1/events", tenant.key.as_str(), "413"),
        ("/v1/nowhere", tenant.key.as_str(), "404"),
    ] {
        let mut socket = TcpStream::connect(world.address).await.expect("connected");
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.expect(path);
        // As over a network: the answer is under way before the body is.
        for part in body.chunks(256 * 1024) {
            socket.write_all(part).await.expect(path);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.expect(path);
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{path}");
    }
}
