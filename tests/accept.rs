//! Accepting: what is answered 202 is stored once, as it was sent, and owed to every webhook that wants it.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::support::receiver::Received;
use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

/// Each dialect with a type that it knows.
const DIALECTS: [(&str, &str); 6] = [
    ("standard", "any.type"),
    ("numora", "document.reviewed"),
    ("number7ai", "job.completed"),
    ("beltic", "processed"),
    ("limai", "DOCUMENT_EXTRACTED"),
    ("docintell", "document.uploaded"),
];

/// Members that most JSON libraries would write otherwise than they stand here.
const ODD_MEMBERS: &str = "\"price\":1.0, \"rate\" :1e2,\"big\":18446744073709551616,\"small\":-0.0E-7,\n\t\"twice\":1,\"twice\":2,\
     \"nul\":\"\\u0000\",\"lone\":\"\\ud800 \\uDFFF\",\"e\":\"\\u00e9é\\/\" , \"list\":[ ]";

/// An active webhook in a dialect.
async fn webhook(tenant: &Tenant<'_>, receiver: &Receiver, dialect: &str) -> String {
    let webhook = tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "dialect": dialect})).await;
    let id = webhook["id"].as_str().expect("an id").to_owned();
    if webhook["state"] == "pending_verification" {
        receiver.then(Reply::Challenge);
        tenant.post(&format!("/v1/webhooks/{id}/verify"), json!({})).await.expect(200);
    }
    id
}

#[tokio::test]
async fn data_arrives_byte_for_byte_in_every_dialect() {
    let world = World::new().await;
    for (dialect, event_type) in DIALECTS {
        let tenant = world.tenant().await;
        let receiver = Receiver::start().await;
        webhook(&tenant, &receiver, dialect).await;
        let body = format!("{{\"type\":\"{event_type}\",\"data\": {{ {ODD_MEMBERS} }} }}");
        tenant.raw_event(&body).await.expect(202);
        world.drain().await;
        let received = receiver.received();
        let sent = std::str::from_utf8(&received.last().expect("a request").body).expect("UTF-8");
        assert!(sent.contains(ODD_MEMBERS), "{dialect}: {sent}");
    }
}

#[tokio::test]
async fn data_can_be_any_json_value() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, "standard").await;
    for (place, data) in ["null", "1.0", "\"\\ud800\"", "[1, 1]", "[[],{}]", "true", "{}"].into_iter().enumerate() {
        tenant.raw_event(&format!("{{\"type\":\"a\",\"data\":{data}}}")).await.expect(202);
        world.drain().await;
        let body = receiver.received().swap_remove(place).body;
        let end = format!("\"data\":{data}}}");
        assert!(body.ends_with(end.as_bytes()), "{data}: {body:?}");
    }
}

#[tokio::test]
async fn sixty_four_parallel_posts_with_one_key_make_one_event() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, "standard").await;
    let body = json!({"type": "a", "data": {"n": 1}, "idempotency_key": "order-1"});
    let answers = join_all((0..64).map(|_| tenant.post("/v1/events", body.clone()))).await;

    let new = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(new, 1, "one of them was the first");
    let told = answers.iter().map(|answer| (answer.json()["id"].to_string(), answer.json()["deliveries"].to_string()));
    assert_eq!(told.collect::<HashSet<_>>().len(), 1, "all are told the same");
    assert!(answers.iter().all(|answer| answer.json()["duplicate"] == json!(answer.status == 200)));
    world.drain().await;
    assert_eq!((world.count("events").await, receiver.count()), (1, 1));
}

#[tokio::test]
async fn a_key_means_one_content_for_24_hours() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let event = |n: u32| json!({"type": "a", "data": {"n": n}, "idempotency_key": "k"});
    let first = tenant.post("/v1/events", event(1)).await.expect(202);
    assert_eq!(tenant.post("/v1/events", event(2)).await.problem(409), "idempotency_key_reused");
    world.clock.advance(Duration::from_secs(24 * 3_600 - 1));
    let again = tenant.post("/v1/events", event(1)).await.expect(200);
    assert_eq!((&again["id"], &again["duplicate"]), (&first["id"], &json!(true)));
    assert_eq!(tenant.post("/v1/events", event(2)).await.problem(409), "idempotency_key_reused");

    world.clock.advance(Duration::from_secs(1));
    let second = tenant.post("/v1/events", event(2)).await.expect(202);
    assert_ne!(second["id"], first["id"]);
    assert_eq!(tenant.post("/v1/events", event(1)).await.problem(409), "idempotency_key_reused");
    assert_eq!(world.count("events").await, 2);
}

#[tokio::test]
async fn a_key_that_a_batch_uses_twice_is_told_with_its_first_place() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let event = |n: u32, key: &str| json!({"type": "a", "data": n, "idempotency_key": key});
    let stored = tenant.post("/v1/events", event(1, "old")).await.expect(202);
    let batch = json!({"events": [event(2, "x"), event(3, "k"), event(4, "k"), event(5, "old")]});
    let refused = tenant.post("/v1/events/batch", batch).await;
    assert_eq!(refused.problem(409), "idempotency_key_reused");
    let told: Vec<_> =
        refused.json()["errors"].as_array().expect("errors").iter().map(|one| one["detail"].clone()).collect();
    let by = format!("was used within 24 hours for other content, by {}", stored["id"].as_str().expect("an id"));
    assert_eq!(told, [json!("is used in this batch for other content, by `events/1`"), json!(by)]);
    assert_eq!(world.count("events").await, 1);
}

/// Where little is to do, one that waits in the database keeps nobody else waiting.
#[tokio::test]
async fn an_event_does_not_wait_for_another_whose_key_is_being_used() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let enqueue = "SELECT tidings.enqueue(tenant => $1, type => 'a', data => '1'::json, idempotency_key => 'k')";
    sqlx::query(enqueue).bind(&tenant.id).execute(&mut *elsewhere).await.expect("enqueued");
    let waits = async {
        let keyed = json!({"type": "a", "data": 1, "idempotency_key": "k"});
        tenant.post("/v1/events", keyed).await.expect(200)
    };
    let passes = async {
        let blocked =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while world.value::<i64>(blocked).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let other = tenant.post("/v1/events", json!({"type": "a", "data": 2}));
        let accepted = tokio::time::timeout(Duration::from_secs(10), other).await;
        elsewhere.commit().await.expect("committed");
        accepted.expect("accepted while the other one waits").expect(202)
    };
    let (known, _) = tokio::join!(waits, passes);
    assert_eq!((&known["duplicate"], world.count("events").await), (&json!(true), 2));
}

/// Who reports much waits for a slow transaction of their own; who reports little beside them is done long before.
#[tokio::test]
async fn a_key_that_a_transaction_holds_keeps_no_other_tenant_waiting() {
    let world = World::new().await;
    let (slow, other) = (world.tenant().await, world.tenant().await);
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let enqueue = "SELECT tidings.enqueue(tenant => $1, type => 'a', data => '1'::json, idempotency_key => 'k' || n)
                   FROM generate_series(0, 15) AS n";
    sqlx::query(enqueue).bind(&slow.id).execute(&mut *elsewhere).await.expect("enqueued");
    let event = |key: Option<&str>| json!({"type": "a", "data": 1, "idempotency_key": key});
    let batch = |key: Option<&str>| json!({"events": [event(key), event(None)]});
    for (path, body) in [("/v1/events", &event as &dyn Fn(Option<&str>) -> Value), ("/v1/events/batch", &batch)] {
        let waiting = join_all((0..16).map(|n| slow.post(path, body(Some(&format!("k{n}"))))));
        let passing = async {
            for number in 0..10 {
                let key = format!("{path} {number}").replace(' ', "-");
                other.post(path, body(None)).await.expect(202);
                other.post(path, body(Some(&key))).await.expect(202);
            }
        };
        tokio::select! {
            biased;
            () = passing => {}
            _ = waiting => panic!("{path}: they were not done before those that wait"),
        }
    }
    elsewhere.commit().await.expect("committed");
    assert_eq!(slow.post("/v1/events", event(Some("k7"))).await.expect(200)["duplicate"], true);
}

/// The database is well, so nobody is to be woken for it.
#[tokio::test]
async fn who_waits_for_a_key_in_vain_is_told_what_is_in_the_way() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let enqueue = "SELECT tidings.enqueue(tenant => $1, type => 'a', data => '1'::json, idempotency_key => 'k')";
    sqlx::query(enqueue).bind(&tenant.id).execute(&mut *elsewhere).await.expect("enqueued");
    let keyed = json!({"type": "a", "data": 1, "idempotency_key": "k"});
    for (path, body) in [("/v1/events", keyed.clone()), ("/v1/events/batch", json!({"events": [keyed]}))] {
        let answer = tenant.post(path, body).await;
        assert_eq!(answer.problem(503), "contended", "{path}");
        assert!(answer.headers.contains_key("retry-after") && answer.text.contains("idempotency key"), "{path}");
    }
    elsewhere.rollback().await.expect("rolled back");
}

#[tokio::test]
async fn a_key_is_its_tenants_own_and_may_come_as_a_header() {
    let world = World::new().await;
    let (one, other) = (world.tenant().await, world.tenant().await);
    let body = json!({"type": "a", "data": 1, "idempotency_key": "k"});
    let first = one.post("/v1/events", body.clone()).await.expect(202);
    other.post("/v1/events", body).await.expect(202);
    let request = world.request(reqwest::Method::POST, "/v1/events").bearer_auth(&one.key);
    let request = request.header("Idempotency-Key", "k").json(&json!({"type": "a", "data": 1}));
    assert_eq!(world.send(request).await.expect(200)["id"], first["id"]);
}

#[tokio::test]
async fn a_batch_is_stored_as_a_whole_or_not_at_all() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, "standard").await;
    tenant.post("/v1/events", json!({"type": "a", "data": 1, "idempotency_key": "used"})).await.expect(202);
    world.drain().await;

    for (wrong, status, pointer) in [
        (json!({"type": "../", "data": 1}), 422, "/events/2/type"),
        (json!({"type": "a", "data": 2, "idempotency_key": "used"}), 409, "/events/2/idempotency_key"),
        (json!({"type": "a", "data": 2, "idempotency_key": "new"}), 409, "/events/2/idempotency_key"),
        (json!({"type": "a"}), 422, "/events/2/data"),
    ] {
        let good = |n: u32| json!({"type": "a", "data": n, "idempotency_key": if n == 0 { "new" } else { "newer" }});
        let events = json!({"events": [good(0), good(1), wrong]});
        let problem = tenant.post("/v1/events/batch", events).await.expect(status);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        world.drain().await;
        assert_eq!((world.count("events").await, receiver.count()), (1, 1), "nothing stored or sent");
        assert_eq!(world.count("idempotency_keys").await, 1, "its keys are free");
    }
    let again = json!({"type": "a", "data": 1, "idempotency_key": "used"});
    let twice = json!({"type": "a", "data": 3, "idempotency_key": "twice"});
    let events = json!({"events": [again, twice.clone(), twice]});
    let receipts = tenant.post("/v1/events/batch", events).await.expect(202);
    let duplicates: Vec<_> = (0..3).map(|place| receipts["events"][place]["duplicate"].clone()).collect();
    assert_eq!(duplicates, [json!(true), json!(false), json!(true)]);
    assert_eq!(receipts["events"][1]["id"], receipts["events"][2]["id"]);
    world.drain().await;
    assert_eq!((world.count("events").await, receiver.count()), (2, 2));
}

/// One statement for them would stand in everybody's way.
#[tokio::test]
async fn a_batch_that_would_owe_too_many_deliveries_is_refused() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, "standard").await;
    let more = "WITH more AS (
                    INSERT INTO tidings.webhooks
                    SELECT (jsonb_populate_record(w, jsonb_build_object('id', gen_random_uuid()))).*
                    FROM tidings.webhooks AS w, generate_series(1, 100) RETURNING tenant_id, id
                )
                INSERT INTO tidings.subscriptions SELECT tenant_id, '*', id FROM more";
    world.pool.execute(more).await.expect("a hundred more");
    let batch = |events: u32, is_keyed: bool| {
        let key = |n: u32| if is_keyed { json!(format!("key-{n}")) } else { Value::Null };
        let event = |n: u32| json!({"type": "a", "data": n, "idempotency_key": key(n)});
        json!({"events": (0..events).map(event).collect::<Vec<_>>()})
    };
    for is_keyed in [false, true] {
        let problem = tenant.post("/v1/events/batch", batch(991, is_keyed)).await.expect(422);
        let error = &problem["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!("/events"), &json!("too_many_deliveries")));
        assert!(error["detail"].as_str().is_some_and(|told| told.contains(" 100091 deliveries")), "{error}");
    }
    assert_eq!((world.count("events").await, world.count("outbox").await), (0, 0), "nothing is stored");
    let receipts = tenant.post("/v1/events/batch", batch(2, false)).await.expect(202);
    assert_eq!(receipts["events"][1]["deliveries"], 101);

    // What is remembered of webhooks is not enough to refuse it.
    let fewer = "WITH gone AS (
                     DELETE FROM tidings.subscriptions
                     WHERE webhook_id <> (SELECT id FROM tidings.webhooks LIMIT 1) RETURNING webhook_id
                 )
                 UPDATE tidings.webhooks SET changed = pg_current_xact_id() WHERE id IN (SELECT webhook_id FROM gone)";
    world.pool.execute(fewer).await.expect("one is left");
    let receipts = tenant.post("/v1/events/batch", batch(991, false)).await.expect(202);
    assert_eq!(receipts["events"][990]["deliveries"], 1);
}

/// Posts so many batches without keys while the table cannot be written to, so that all of them wait at the same time.
async fn batches_at_once(world: &World, tenant: &Tenant<'_>, batches: Vec<Value>, status: &[u16]) -> Vec<Value> {
    let mut blocking = world.pool.begin().await.expect("begun");
    let lock = "LOCK TABLE tidings.events IN SHARE MODE";
    sqlx::query(lock).execute(&mut *blocking).await.expect("locked");
    let posted = batches.into_iter().zip(status).map(|(batch, status)| async move {
        tenant.post("/v1/events/batch", json!({"events": batch})).await.expect(*status)
    });
    let unblock = async {
        // The statements give up after half a second.
        tokio::time::sleep(Duration::from_millis(250)).await;
        blocking.rollback().await.expect("unlocked");
    };
    tokio::join!(join_all(posted), unblock).0
}

#[tokio::test]
async fn batches_that_wait_at_the_same_time_share_a_statement() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, "standard").await;
    let batch = |size: u32| (0..size).map(|n| json!({"type": "a", "data": {"size": size, "n": n}})).collect();
    let batches: Vec<Value> = (1..=20).map(batch).collect();
    let receipts = batches_at_once(&world, &tenant, batches, &[202; 20]).await;
    for (receipt, size) in receipts.iter().zip(1..) {
        let events = receipt["events"].as_array().expect("receipts");
        assert_eq!(events.len(), size, "{receipt}");
        for (n, event) in events.iter().enumerate() {
            let id = event["id"].as_str().expect("an id");
            let event = tenant.get(&format!("/v1/events/{id}")).await.expect(200);
            assert_eq!(event["data"], json!({"size": size, "n": n}), "each gets its own receipts, in its order");
        }
    }
    let transactions = "SELECT count(DISTINCT xmin::text) FROM tidings.events";
    let transactions = world.value::<i64>(transactions).await;
    assert!((1..12).contains(&transactions), "two that were blocked, and the others together: {transactions}");
    world.drain().await;
    assert_eq!(receiver.count(), (1..=20).sum::<usize>());
}

#[tokio::test]
async fn a_batch_that_cannot_be_stored_does_not_fail_those_that_wait_beside_it() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                  CREATE TRIGGER refuse BEFORE INSERT ON tidings.events FOR EACH ROW WHEN (NEW.type = 'poison') EXECUTE FUNCTION refuse()";
    world.pool.execute(sqlx::raw_sql(refuse)).await.expect("made");
    let good = || json!([{"type": "a", "data": 1}, {"type": "a", "data": 2}]);
    let poison = json!([{"type": "a", "data": 1}, {"type": "poison", "data": 2}]);
    let batches = vec![good(), good(), good(), poison, good(), good()];
    let answers = batches_at_once(&world, &tenant, batches, &[202, 202, 202, 500, 202, 202]).await;
    assert_eq!(answers[3]["code"], "internal", "{}", answers[3]);
    assert_eq!(world.count("events").await, 10, "nothing of the poisoned one");
}

#[tokio::test]
async fn a_body_tells_when_it_happened_or_else_when_it_was_accepted() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    webhook(&tenant, &receiver, "docintell").await;
    let event = json!({"type": "document.uploaded", "data": 1, "occurred_at": "2026-03-21T16:24:11+02:00"});
    tenant.post("/v1/events", event).await.expect(202);
    tenant.event("document.uploaded", json!(2)).await;
    let accepted = world.clock.now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    world.after(Duration::from_secs(20)).await;
    let mut told: Vec<_> = receiver
        .received()
        .iter()
        .map(Received::json)
        .map(|body| (body["data"].to_string(), body["timestamp"].clone()))
        .collect();
    told.sort_by_key(|(data, _)| data.clone());
    let expected: [(String, Value); 2] = [("1".into(), json!("2026-03-21T14:24:11Z")), ("2".into(), json!(accepted))];
    assert_eq!(told, expected);
    let stamp = receiver.received().iter().map(|one| one.header("X-DocIntell-Timestamp").to_owned()).min();
    assert_eq!(stamp.as_deref(), Some("1774103051"));
}

#[tokio::test]
async fn an_event_is_owed_to_each_webhook_that_wants_its_type_once() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    for (patterns, wants) in [
        (json!(["*"]), true),
        (json!(["a.*", "a.b.c", "a.b.*", "*"]), true),
        (json!(["a.b.c"]), true),
        (json!(["a.b"]), false),
        (json!(["b.*"]), false),
        (json!(["a.b.c.*"]), false),
    ] {
        let receiver = Receiver::start().await;
        let body = json!({"url": receiver.url, "events": patterns});
        let webhook = tenant.webhook_with(body).await;
        tenant.event("a.b.c", json!({})).await;
        world.drain().await;
        assert_eq!(receiver.count(), usize::from(wants), "{patterns}");
        tenant.delete(&format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"))).await.expect(204);
    }
}

/// What an event costs must not grow with the webhooks of its tenant: it once was made for each of them.
#[tokio::test]
async fn the_patterns_of_a_type_are_made_once_however_many_webhooks_there_are() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    for _ in 0..20 {
        tenant.webhook(&receiver.url).await;
    }
    let accept = "WITH e AS (
            SELECT (SELECT id FROM tidings.tenants) AS tenant, tidings.new_event_id(now()) AS id, type
            FROM unnest(ARRAY['a.b', 'c', 'a.b', 'c']) AS type
        )
        SELECT count(*) FROM (
            SELECT array_agg(tenant) AS tenants, array_agg(id) AS ids, array_agg(type) AS types, array_agg('1'::bytea) AS datas FROM e
        ) AS batch, tidings.accept_batch(tenants, ids, types, '{}', datas, '{}', now(), NULL, '{}', NULL)";
    let calls = "SELECT calls FROM pg_stat_xact_user_functions WHERE schemaname = 'tidings' AND funcname = 'patterns'";
    let mut transaction = world.pool.begin().await.expect("begun");
    transaction.execute("SET LOCAL track_functions = 'pl'").await.expect("calls are counted");
    let owed: i64 = sqlx::query_scalar(accept).fetch_one(&mut *transaction).await.expect("accepted");
    let calls: i64 = sqlx::query_scalar(calls).fetch_one(&mut *transaction).await.expect("a count");
    assert_eq!((owed, calls), (4 * 20, 2));
}
