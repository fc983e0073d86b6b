//! Enqueuing in SQL: what `POST /v1/events` does, in the producer's own transaction.

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

use crate::support::world::Tenant;
use crate::support::{Receiver, World};

const ODD: &str = r#"{"b" : 1.0,"a":1e2,"big":18446744073709551616,"a":2,"s":"\u0000 \ud800 é"}"#;

/// A producer: a connection as the role for producers.
async fn producer(world: &World) -> PgConnection {
    let mut connection = world.pool.acquire().await.expect("a connection").detach();
    connection.execute("SET ROLE tidings_producer").await.expect("the role");
    connection
}

async fn enqueue(
    connection: &mut PgConnection,
    tenant: &str,
    kind: Option<&str>,
    data: Option<&str>,
    key: Option<&str>,
) -> Result<String, sqlx::Error> {
    let call = "SELECT tidings.enqueue(tenant => $1, type => $2, data => $3::text::json, idempotency_key => $4)";
    sqlx::query_scalar(call).bind(tenant).bind(kind).bind(data).bind(key).fetch_one(connection).await
}

async fn listening(tenant: &Tenant<'_>) -> Receiver {
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    receiver
}

#[tokio::test]
async fn an_event_counts_if_and_only_if_the_transaction_commits() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = listening(&tenant).await;
    let mut producer = producer(&world).await;

    producer.execute("BEGIN").await.expect("begun");
    enqueue(&mut producer, &tenant.id, Some("a"), Some("1"), Some("k")).await.expect("an id");
    world.drain().await;
    assert_eq!(receiver.count(), 0, "not before the commit");
    producer.execute("ROLLBACK").await.expect("rolled back");
    world.after(std::time::Duration::from_mins(1)).await;
    assert_eq!((receiver.count(), world.count("events").await), (0, 0));

    producer.execute("BEGIN").await.expect("begun");
    let id = enqueue(&mut producer, &tenant.id, Some("a"), Some("2"), Some("k")).await.expect("the key is free");
    producer.execute("COMMIT").await.expect("committed");
    world.drain().await;
    let received = receiver.only();
    assert_eq!((received.header("webhook-id"), &received.json()["data"]), (id.as_str(), &json!(2)));
    assert_eq!(tenant.delivery_of(&id).await["state"], "delivered");
}

#[tokio::test]
async fn an_enqueued_event_arrives_as_one_that_was_posted() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = listening(&tenant).await;
    let mut producer = producer(&world).await;
    world.clock.advance(std::time::Duration::from_mins(1));

    let call = "SELECT tidings.enqueue($1, 'a.b', $2::text::json, occurred_at => '2026-03-21T14:24:11Z')";
    sqlx::query(call).bind(&tenant.id).bind(format!("\n {ODD} ")).execute(&mut producer).await.expect("accepted");
    world.drain().await;
    let body = format!(r#"{{"type":"a.b","data":{ODD},"occurred_at":"2026-03-21T14:24:11Z"}}"#);
    tenant.raw_event(&body).await.expect(202);
    world.drain().await;
    let received = receiver.received();
    assert_eq!(received[0].body, received[1].body);
    assert!(received[0].body.ends_with(format!("{ODD}}}").as_bytes()), "{:?}", received[0].body);
}

#[tokio::test]
async fn a_time_of_many_digits_is_the_same_in_sql_and_rest() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let call = "SELECT tidings.enqueue($1, 'a', '1', idempotency_key => $2, occurred_at => $2::text::timestamptz)";
    for fraction in
        ["5", "1234567", "0000005", "0000015", "0000025", "1234565", "123456499999999999", "99999951", "000000500001"]
    {
        let time = format!("2026-03-21T14:24:11.{fraction}Z");
        sqlx::query(call).bind(&tenant.id).bind(&time).execute(&world.pool).await.expect("accepted");
        let event = json!({"type": "a", "data": 1, "idempotency_key": time, "occurred_at": time});
        assert_eq!(tenant.post("/v1/events", event).await.status, 200, "{time} is another time");
    }
}

#[tokio::test]
async fn a_key_is_the_same_in_sql_and_rest() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    listening(&tenant).await;
    let mut producer = producer(&world).await;

    let id = enqueue(&mut producer, &tenant.id, Some("a"), Some(" 1.0 "), Some("k")).await.expect("an id");
    let body = |data: &str| format!(r#"{{"type":"a","data":{data},"idempotency_key":"k"}}"#);
    let again = tenant.raw_event(&body("1.0")).await.expect(200);
    assert_eq!((&again["id"], &again["deliveries"]), (&json!(id), &json!(1)));
    assert_eq!(tenant.raw_event(&body("1.00")).await.problem(409), "idempotency_key_reused");

    let posted = tenant.raw_event(&body("7").replace("\"k\"", "\"other\"")).await.expect(202);
    let same = enqueue(&mut producer, &tenant.id, Some("a"), Some("7"), Some("other")).await.expect("the first");
    assert_eq!(json!(same), posted["id"]);
    let error = enqueue(&mut producer, &tenant.id, Some("a"), Some("8"), Some("other")).await.expect_err("a conflict");
    let error = error.into_database_error().expect("of the database");
    assert!(error.is_unique_violation() && error.message().contains(&same), "{error}");
    assert_eq!(world.count("events").await, 2);
}

#[tokio::test]
async fn what_is_wrong_is_said_clearly() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut producer = producer(&world).await;
    let unknown = "ten_01h455vb4pex5vsknk084sn02q";
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let id = tenant.id.as_str();
    for (tenant, kind, data, key, told) in [
        ("acme", Some("a"), Some("1"), None, "'acme' is not an id: expected ten_"),
        (unknown, Some("a"), Some("1"), None, "there is no tenant ten_01h455vb4pex5vsknk084sn02q"),
        (id, Some("../"), Some("1"), None, "type '../' is not an event type"),
        (id, Some("a\n"), Some("1"), None, "is not an event type"),
        (id, None, Some("1"), None, "type NULL is not an event type"),
        (id, Some("a"), None, None, "data must be a JSON value"),
        (id, Some("a"), Some("{"), None, "invalid input syntax for type json"),
        (id, Some("a"), Some(&deep), None, "nests arrays and objects more than 64 levels deep"),
        (id, Some("a"), Some("1"), Some(""), "idempotency_key must be 1 to 255 visible ASCII characters"),
        (id, Some("a"), Some("1"), Some("a b"), "idempotency_key must be"),
    ] {
        let error = enqueue(&mut producer, tenant, kind, data, key).await.expect_err(told);
        let error = error.into_database_error().expect("of the database");
        assert!(error.message().contains(told), "{error}");
    }
    assert_eq!(world.count("events").await, 0);
    let wide = format!(r#"{}"\"[[[[",{}1{}"#, "[".repeat(3), "[{},\"{\"],".repeat(100), "]".repeat(3));
    enqueue(&mut producer, id, Some("a"), Some(&wide), None).await.expect("many brackets, few levels");
}

#[tokio::test]
async fn a_time_that_nobody_can_read_is_refused_and_one_that_is_stored_ends_nobody() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = listening(&tenant).await;
    let mut producer = producer(&world).await;
    for time in ["infinity", "-infinity", "290000-01-01", "20000-01-01", "4713-01-01 BC", "0001-06-01 BC"] {
        let call = "SELECT tidings.enqueue($1, 'a', '1', occurred_at => $2::text::timestamptz)";
        let refused = sqlx::query(call).bind(&tenant.id).bind(time).execute(&mut producer).await.expect_err(time);
        assert!(refused.to_string().contains("is not a time of the years 1 to 9999"), "{refused}");
    }
    let call = "SELECT tidings.enqueue($1, 'first', '1', occurred_at => '0001-06-01 00:00:00+00')";
    sqlx::query(call).bind(&tenant.id).execute(&mut producer).await.expect("the first year that there is");
    world.after(std::time::Duration::from_mins(1)).await;
    let body = receiver.only().json();
    assert!(body.to_string().contains("0001-06-01T00:00:00"), "{body}");
    let stored = "SELECT count(*) FROM tidings.tenants AS t, tidings.accept_batch(
                      ARRAY[t.id], ARRAY[tidings.new_event_id(now())], ARRAY['a'], ARRAY['infinity'::timestamptz], ARRAY['1'::bytea],
                      ARRAY[NULL::text], now(), NULL, '{}', ARRAY[NULL::bytea])";
    assert_eq!(world.value::<i64>(stored).await, 1);
    world.after(std::time::Duration::from_mins(1)).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn the_role_for_producers_can_enqueue_and_nothing_else() {
    let world = World::new().await;
    let mut producer = producer(&world).await;
    let relations = "SELECT format('tidings.%I', c.relname) AS name FROM pg_class AS c
                     WHERE c.relnamespace = 'tidings'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')";
    let rows = sqlx::query(relations).fetch_all(&world.pool).await.expect("relations");
    assert!(rows.len() > 15);
    for name in rows.iter().map(|row| row.get::<String, _>("name")) {
        let read = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {name}"))).execute(&mut producer).await;
        let refused = read.expect_err(&name).into_database_error().expect("of the database");
        assert_eq!(refused.code().as_deref(), Some("42501"), "{name}: {refused}");
    }
    let allowed = "SELECT string_agg(p.proname, ' ') FROM pg_proc AS p WHERE p.pronamespace = 'tidings'::regnamespace
                   AND has_function_privilege('tidings_producer', p.oid, 'EXECUTE')";
    assert_eq!(world.value::<Option<String>>(allowed).await.as_deref(), Some("enqueue"));
    let more = "SELECT has_schema_privilege('tidings_producer', 'tidings', 'CREATE')
                OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'tidings_producer' AND (rolsuper OR rolcanlogin OR rolcreaterole))";
    assert!(!world.value::<bool>(more).await);
}
