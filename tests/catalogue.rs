//! The catalogue: event types that a tenant has described, what they ask of events, and how soon everybody knows.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use tidings::actions::catalogue::Catalogues;
use tidings::domain::event::OPERATIONAL_TYPES;
use tidings::domain::ids::TenantId;

use crate::support::world::{Answer, Tenant};
use crate::support::{Receiver, World};

async fn put(tenant: &Tenant<'_>, name: &str, said: Value) -> Answer {
    tenant.call(Method::PUT, &format!("/v1/event-types/{name}"), Some(said)).await
}

async fn post(tenant: &Tenant<'_>, event_type: &str, data: Value) -> Answer {
    tenant.post("/v1/events", json!({"type": event_type, "data": data})).await
}

/// Pointers and codes of what is at fault.
fn faults(answer: &Answer) -> Vec<(String, String)> {
    answer.problem(422);
    let text = |fault: &Value, member: &str| fault[member].as_str().expect(member).to_owned();
    let errors = answer.json()["errors"].as_array().expect("errors").clone();
    errors.iter().map(|fault| (text(fault, "pointer"), text(fault, "code"))).collect()
}

fn order() -> Value {
    json!({
        "description": "An order was paid",
        "schema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
        "example": {"id": 7},
    })
}

#[tokio::test]
async fn a_type_is_described_read_back_described_anew_and_forgotten() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let made = put(&tenant, "order.paid", order()).await.expect(201);
    assert_eq!((&made["name"], &made["deprecated"]), (&json!("order.paid"), &json!(false)));
    for name in ["order.refunded", "order.shipped"] {
        put(&tenant, name, json!({})).await.expect(201);
    }
    let shown = tenant.get("/v1/event-types/order.paid").await;
    shown.expect(200);
    assert!(shown.text.contains(r#""example":{"id":7}"#), "as it was given: {}", shown.text);

    world.clock.advance(Duration::from_mins(1));
    let again = put(&tenant, "order.paid", json!({"deprecated": true})).await.expect(200);
    assert_eq!((&again["description"], &again["schema"]), (&json!(""), &Value::Null), "it takes the place of all");
    assert_eq!(again["created_at"], made["created_at"]);
    let since = again["deprecated_at"].clone();
    world.clock.advance(Duration::from_mins(1));
    let again = put(&tenant, "order.paid", json!({"deprecated": true, "description": "Gone soon"})).await.expect(200);
    assert_eq!(again["deprecated_at"], since, "since it was said first");

    let page = tenant.get("/v1/event-types?page[size]=2").await.expect(200);
    let names = |page: &Value| {
        page["data"].as_array().expect("a list").iter().map(|one| one["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&page), ["order.shipped", "order.refunded"]);
    let next = format!("/v1/event-types?page[size]=2&page[after]={}", page["page"]["next"].as_str().expect("a cursor"));
    assert_eq!(names(&tenant.get(&next).await.expect(200)), ["order.paid"]);

    let other = world.tenant().await;
    assert_eq!(other.get("/v1/event-types/order.paid").await.problem(404), "not_found");
    assert_eq!(other.delete("/v1/event-types/order.paid").await.problem(404), "not_found");
    tenant.delete("/v1/event-types/order.paid").await.expect(204);
    let gone = tenant.delete("/v1/event-types/order.paid").await;
    assert_eq!(gone.problem(404), "not_found");
    assert_eq!(gone.json()["detail"], "there is no event type with this name");
    assert_eq!(tenant.get("/v1/event-types/order.paid").await.problem(404), "not_found");
}

#[tokio::test]
async fn what_cannot_be_a_description_is_refused_with_its_place() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let heavy: Vec<_> = (0..100).map(|n| json!({"pattern": format!("^\\p{{L}}{{1,5}}a{n}$")})).collect();
    for (name, said, pointer, code) in [
        ("a%20b", json!({}), "/name", "invalid_event_type"),
        ("webhook.failing", json!({}), "/name", "reserved_event_type"),
        (
            "a",
            json!({"schema": {"properties": {"x": {"$ref": "https://example.com/x"}}}}),
            "/schema/properties/x/$ref",
            "remote_reference",
        ),
        (
            "a",
            json!({"schema": {"properties": {"x": {"$ref": "#/properties/x"}}}}),
            "/schema/properties/x/$ref",
            "recursive_schema",
        ),
        ("a", json!({"schema": {"type": "strin"}}), "/schema/type", "invalid_schema"),
        ("a", json!({"schema": {"type": "object"}, "example": []}), "/example", "schema_violation"),
        (
            "a",
            json!({"schema": {"properties": {"x": {"type": "null"}}}, "example": {"x": 1}}),
            "/example/x",
            "schema_violation",
        ),
        ("a", json!({"schema": {"allOf": heavy}}), "/schema", "too_complex"),
        ("a", json!({"description": "\u{1}"}), "/description", "invalid_text"),
        ("a", json!({"exmaple": 1}), "/exmaple", "unknown_member"),
        ("a", json!({"deprecated": "yes"}), "/deprecated", "invalid_value"),
    ] {
        let answer = put(&tenant, name, said).await;
        assert_eq!(faults(&answer), [(pointer.to_owned(), code.to_owned())], "{}", answer.text);
    }
    assert_eq!(world.count("event_types").await, 0);
    post(&tenant, "anything", json!({})).await.expect(202);
}

#[tokio::test]
async fn data_that_does_not_fit_is_refused_and_nothing_is_stored() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    put(&tenant, "order.paid", order()).await.expect(201);
    put(&tenant, "free", json!({})).await.expect(201);

    let violation = |pointer: &str| vec![(pointer.to_owned(), "schema_violation".to_owned())];
    for path in ["/v1/events", "/v1/events?dry_run=true"] {
        let reported = |data: Value| tenant.post(path, json!({"type": "order.paid", "data": data}));
        assert_eq!(faults(&reported(json!({"id": "7"})).await), violation("/data/id"));
        assert_eq!(faults(&reported(json!({})).await), violation("/data/id"));
        assert_eq!(faults(&reported(json!([1])).await), violation("/data"));
    }
    let events = json!([
        {"type": "order.paid", "data": {"id": 1}},
        {"type": "order.paid", "data": {"id": null}},
        {"type": "order.piad", "data": 1},
    ]);
    let answer = tenant.post("/v1/events/batch", json!({"events": events})).await;
    let unknown = ("/events/2/type".to_owned(), "unknown_event_type".to_owned());
    assert_eq!(faults(&answer), [vec![unknown], violation("/events/1/data/id")].concat());
    assert!(answer.text.contains("PUT /v1/event-types/order.piad"), "{}", answer.text);
    for body in [
        r#"{"type":"order.paid","data":{"id":1,"id":2}}"#,
        r#"{"type":"order.paid","data":{"id":1,"s":"\ud800"}}"#,
        r#"{"type":"order.paid","data":{"id":1e999}}"#,
    ] {
        let found = faults(&tenant.raw_event(body).await);
        assert!(
            found.len() == 1 && found[0].0.starts_with("/data") && found[0].1 == "ambiguous_data",
            "{body}: {found:?}"
        );
    }
    assert_eq!(world.count("events").await, 0);

    post(&tenant, "order.paid", json!({"id": 1})).await.expect(202);
    tenant.raw_event(r#"{"type":"order.paid","data":{ "id" : 1.0, "big":18446744073709551616}}"#).await.expect(202);
    tenant.raw_event(r#"{"type":"free","data":{"a":1,"a":"\ud800"}}"#).await.expect(202);
    assert_eq!(world.count("events").await, 3);
}

#[tokio::test]
async fn types_outside_the_catalogue_are_refused_in_rest_and_sql_while_there_is_one() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let enqueue = async |id: &str, event_type: &str| {
        let call = "SELECT tidings.enqueue(tenant => $1, type => $2, data => '1'::json)";
        sqlx::query(call).bind(id).bind(event_type).execute(&world.pool).await.map_err(|error| error.to_string())
    };
    post(&tenant, "b", json!(1)).await.expect(202);
    enqueue(&tenant.id, "b").await.expect("no catalogue");

    put(&tenant, "a", json!({"schema": {"type": "null"}})).await.expect(201);
    let refused = post(&tenant, "b", json!(1)).await;
    assert_eq!(faults(&refused), [("/type".to_owned(), "unknown_event_type".to_owned())]);
    let refused = enqueue(&tenant.id, "b").await.expect_err("not in the catalogue");
    assert!(refused.contains("type b is not in the tenant's catalogue: add it with PUT"), "{refused}");
    enqueue(&tenant.id, "a").await.expect("its schema is not checked in SQL");
    post(&other, "b", json!(1)).await.expect(202);
    enqueue(&other.id, "b").await.expect("another tenant's catalogue");

    tenant.delete("/v1/event-types/a").await.expect(204);
    post(&tenant, "b", json!(1)).await.expect(202);
    enqueue(&tenant.id, "b").await.expect("no catalogue any more");

    for event_type in OPERATIONAL_TYPES {
        let refused = post(&tenant, event_type, json!(1)).await;
        assert_eq!(faults(&refused), [("/type".to_owned(), "reserved_event_type".to_owned())]);
        let refused = enqueue(&tenant.id, event_type).await.expect_err("reserved");
        assert!(refused.contains("is reserved"), "{refused}");
    }
    for event_type in ["webhook.created", "delivery", "delivery.dead.letter"] {
        post(&tenant, event_type, json!(1)).await.expect(202);
        enqueue(&tenant.id, event_type).await.expect("not reserved");
    }
}

/// A producer whose answer was lost must learn that its event was accepted.
#[tokio::test]
async fn a_repetition_is_recognised_though_the_catalogue_changed() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let keyed = |key: &str, data: Value| json!({"type": "a", "data": data, "idempotency_key": key});
    let first = tenant.post("/v1/events", keyed("k", json!(1))).await.expect(202);
    put(&tenant, "a", json!({"schema": {"type": "string"}})).await.expect(201);

    let again = tenant.post("/v1/events", keyed("k", json!(1))).await.expect(200);
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    let batch = async |events: Value| tenant.post("/v1/events/batch", json!({"events": events})).await;
    let both = batch(json!([keyed("k", json!(1)), keyed("new", json!("fits"))])).await.expect(202);
    assert_eq!(both["events"][0]["id"], first["id"]);

    let refused = batch(json!([keyed("k", json!(1)), keyed("other", json!(1)), keyed("k", json!(2))])).await;
    let places: Vec<_> = faults(&refused).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(places, ["/events/1/data", "/events/2/data"]);
    tenant.delete("/v1/event-types/a").await.expect(204);
    put(&tenant, "b", json!({})).await.expect(201);
    tenant.post("/v1/events", keyed("k", json!(1))).await.expect(200);
    let enqueue = "SELECT tidings.enqueue(tenant => $1, type => 'a', data => '1'::json, idempotency_key => $2)";
    let again = sqlx::query_scalar::<_, String>(enqueue).bind(&tenant.id).bind("k").fetch_one(&world.pool).await;
    assert_eq!(json!(again.expect("known")), first["id"]);
    sqlx::query(enqueue).bind(&tenant.id).bind("new").execute(&world.pool).await.expect_err("not in the catalogue");
    world.clock.advance(Duration::from_hours(25));
    assert_eq!(tenant.post("/v1/events", keyed("k", json!(1))).await.problem(422), "validation_failed");
}

#[tokio::test]
async fn a_deprecated_type_is_accepted_with_a_hint() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    put(&tenant, "old", json!({"deprecated": true})).await.expect(201);
    put(&tenant, "new", json!({})).await.expect(201);
    let since = format!("@{}", world.clock.now().timestamp());
    world.clock.advance(Duration::from_mins(5));
    let hint =
        |answer: &Answer| answer.headers.get("deprecation").map(|value| value.to_str().expect("ASCII").to_owned());

    let accepted = post(&tenant, "old", json!(1)).await;
    accepted.expect(202);
    assert_eq!(hint(&accepted), Some(since.clone()));
    assert_eq!(hint(&post(&tenant, "new", json!(1)).await), None);
    let batch = json!({"events": [{"type": "new", "data": 1}, {"type": "old", "data": 1}]});
    assert_eq!(hint(&tenant.post("/v1/events/batch", batch).await), Some(since));
    put(&tenant, "old", json!({})).await.expect(200);
    assert_eq!(hint(&post(&tenant, "old", json!(1)).await), None);
}

#[tokio::test]
async fn a_test_delivery_carries_the_example() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook_with(json!({"url": receiver.url, "events": ["order.*"]})).await;
    let request = world
        .request(Method::PUT, "/v1/event-types/order.paid")
        .bearer_auth(&tenant.key)
        .header("content-type", "application/json")
        .body(r#"{"example":{ "id" : 1.50 }}"#);
    world.send(request).await.expect(201);
    put(&tenant, "a.first", json!({"example": 1})).await.expect(201);
    let path = format!("/v1/webhooks/{}/test", webhook["id"].as_str().expect("an id"));
    let sent = tenant.post(&path, json!({})).await.expect(200);
    assert_eq!((&sent["event_type"], &sent["outcome"]), (&json!("order.paid"), &json!("success")));
    assert!(receiver.only().body.ends_with(br#""data":{ "id" : 1.50 }}"#), "{:?}", receiver.only().body);
}

#[tokio::test]
async fn a_test_delivery_carries_the_dialects_example_where_the_catalogue_has_none() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let path = format!("/v1/webhooks/{}/test", webhook["id"].as_str().expect("an id"));
    let sent = tenant.post(&path, json!({})).await.expect(200);
    assert_eq!((&sent["event_type"], &sent["outcome"]), (&json!("document.uploaded"), &json!("success")));
    let data = &receiver.only().json()["data"];
    assert!(data["test"] == true && data["document_id"].is_string() && data["status"] == "queued", "{data}");

    put(&tenant, "document.processing.failed", json!({"example": {"mine": 1}})).await.expect(201);
    let sent = tenant.post(&path, json!({})).await.expect(200);
    assert_eq!(sent["event_type"], "document.processing.failed");
    assert_eq!(receiver.received()[1].json()["data"], json!({"mine": 1}));
}

/// In this process a change is in force when it is answered, in another within a second or so.
#[tokio::test]
async fn a_change_is_seen_by_another_process() {
    let world = World::new().await;
    let beside = world.beside().await;
    let tenant = world.tenant().await;
    let there = Tenant { world: &beside, ..tenant.clone() };
    post(&there, "b", json!(1)).await.expect(202);

    for round in 0..2 {
        put(&tenant, "a", json!({"schema": {"const": round}})).await;
        assert_eq!(post(&tenant, "b", json!(1)).await.status, 422, "here at once");
        assert_eq!(post(&tenant, "a", json!(round)).await.status, 202, "here at once");
        let began = Instant::now();
        while post(&there, "b", json!(1)).await.status != 422 || post(&there, "a", json!(round)).await.status != 202 {
            assert!(began.elapsed() < Duration::from_millis(1_500), "there within a second or so");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tenant.delete("/v1/event-types/a").await.expect(204);
        post(&tenant, "b", json!(1)).await.expect(202);
        let began = Instant::now();
        while post(&there, "b", json!(1)).await.status != 202 {
            assert!(began.elapsed() < Duration::from_millis(1_500), "there within a second or so");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_deleted_tenants_catalogue_is_forgotten_everywhere() {
    let world = World::new().await;
    let (gone, kept) = (world.tenant().await, world.tenant().await);
    for tenant in [&gone, &kept] {
        for name in ["a", "b"] {
            put(tenant, name, order()).await.expect(201);
        }
    }
    let catalogues = Catalogues::new(world.context.store.clone());
    let [gone_id, kept_id] = [&gone, &kept].map(|tenant| tenant.id.parse::<TenantId>().expect("an id"));
    let is_known = async |id| {
        catalogues.refresh().await.expect("a look");
        catalogues.of(id).await.expect("a look").is_some()
    };
    assert!(is_known(gone_id).await && is_known(kept_id).await);
    world.platform(Method::DELETE, &format!("/v1/tenants/{}", gone.id), None).await.expect(204);
    assert_eq!(world.count("event_types").await, 2);
    assert!(!is_known(gone_id).await && is_known(kept_id).await);
}

/// As after a failover to a server that lost some transactions: it gives their numbers to others, so that a change can look as if it had
/// long been seen.
#[tokio::test]
async fn no_catalogue_is_remembered_beyond_the_connections_that_it_was_asked_over() {
    let world = World::new().await;
    let (without, with, other) = (world.tenant().await, world.tenant().await, world.tenant().await);
    put(&with, "a", json!({})).await.expect(201);
    let refuses = async |tenant: &Tenant<'_>| post(tenant, "b", json!(1)).await.status == 422;
    assert_eq!((refuses(&without).await, refuses(&with).await), (false, true));
    let change = "WITH described AS (
            INSERT INTO tidings.catalogues (tenant_id) VALUES (tidings.parse_id('ten_', $1)) RETURNING tenant_id
        ), moved AS (
            UPDATE tidings.event_types SET tenant_id = (SELECT tenant_id FROM described)
        )
        SELECT FROM described";
    sqlx::query(change).bind(&without.id).execute(&world.pool).await.expect("moved");
    sqlx::query("UPDATE tidings.catalogues SET changed = '3'").execute(&world.pool).await.expect("an old number");
    // This process looks when it changes anything.
    put(&other, "x", json!({})).await.expect(201);
    assert_eq!(
        (refuses(&without).await, refuses(&with).await),
        (false, true),
        "from memory, or this test shows nothing"
    );

    let lose = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'tidings' AND pid <> pg_backend_pid()";
    assert!(world.value::<i64>(lose).await > 0);
    let began = Instant::now();
    while put(&other, "x", json!({})).await.status != 200 {
        assert!(began.elapsed() < Duration::from_secs(10), "the connections do not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((refuses(&without).await, refuses(&with).await), (true, false));
    post(&without, "a", json!(1)).await.expect(202);
}

#[tokio::test]
async fn work_that_would_take_too_long_is_refused_not_done() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let wide: Vec<_> = (0..4_000).map(|_| json!({})).collect();
    put(&tenant, "wide", json!({"schema": {"items": {"allOf": wide}}})).await.expect(201);
    let began = Instant::now();
    let data = json!(vec![0; 60_000]);
    assert_eq!(faults(&post(&tenant, "wide", data).await), [("/data".to_owned(), "too_complex".to_owned())]);
    assert!(began.elapsed() < Duration::from_secs(2));
    post(&tenant, "wide", json!(vec![0; 100])).await.expect(202);
}
