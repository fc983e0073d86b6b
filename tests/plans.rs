//! How Postgres goes about the statements that deliveries need.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{Receiver, World};

/// In each statement of the hot path that reads more than one table.
const MARKS: [&str; 11] = [
    "WITH RECURSIVE lane",
    "attempts = o.attempts + 1",
    "AS \\\"kinds?\\\"",
    "tidings.routes($1, $2)",
    "SELECT is_stale AS \\\"is_stale!\\\" FROM stale",
    "fresh AS (",
    "AS is_same",
    "settled AS (",
    "SELECT delivery_id AS \\\"delivery_id!: DeliveryId\\\" FROM finished",
    "AS free ON true",
    "SELECT e.index",
];
/// Never more than a few.
const EXEMPT: [&str; 1] = ["dialects"];

const AS_ON_THE_HOT_PATH: &str = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET jit = off";

/// A connection keeps the plan that it made when it first asked. One that reads a table whole is quick then, and later takes longer
/// with every webhook.
#[tokio::test]
async fn all_is_looked_up_by_its_key_however_little_there_was_when_it_was_planned() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    for _ in 0..3 {
        tenant.webhook(&receiver.url).await;
    }
    for n in 0..3 {
        tenant.post("/v1/events", json!({"type": "a", "data": n})).await.expect(202);
    }
    world.drain().await;
    world.pool.execute("ANALYZE").await.expect("analysed");

    let mut connection = PgConnection::connect_with(&world.pool.connect_options()).await.expect("connected");
    connection.execute(sqlx::raw_sql(AS_ON_THE_HOT_PATH)).await.expect("set");
    for (number, mark) in MARKS.iter().enumerate() {
        let (statement, parameters) = described(mark);
        let prepare = format!("PREPARE statement_{number} AS {statement}");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.expect(mark);
        let explain =
            format!("EXPLAIN (FORMAT JSON) EXECUTE statement_{number}({})", vec!["NULL"; parameters].join(", "));
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut connection).await.expect(mark);
        let mut scans = 0;
        check(&plan[0]["Plan"], &mut scans);
        assert!(scans > 0, "{mark}: {plan:#}");
    }
}

/// The same of what a function does: of 2,000 keys, an event with a key needs one.
#[tokio::test]
async fn an_event_with_a_key_does_not_read_the_others() {
    let world = World::new().await;
    world.tenant().await;
    let keys = "INSERT INTO tidings.idempotency_keys (tenant_id, key, event_id, digest, created_at)
                SELECT t.id, 'key-' || n, gen_random_uuid(), '', now() FROM tidings.tenants AS t, generate_series(1, 2000) AS n";
    world.pool.execute(keys).await.expect("stored");
    world.pool.execute("ANALYZE").await.expect("analysed");
    let mut transaction = world.pool.begin().await.expect("begun");
    transaction.execute(sqlx::raw_sql(AS_ON_THE_HOT_PATH)).await.expect("set");
    let accept = "SELECT count(*) FROM tidings.tenants AS t, tidings.accept_batch(
                      ARRAY[t.id], ARRAY[tidings.new_event_id(now())], ARRAY['a'], '{}', ARRAY['1'::bytea], ARRAY['key-1000'],
                      now(), NULL, '{}', NULL)
                  WHERE existing IS NOT NULL";
    let known: i64 = sqlx::query_scalar(accept).fetch_one(&mut *transaction).await.expect("accepted");
    let read = "SELECT coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0) FROM pg_stat_xact_user_tables
                WHERE schemaname = 'tidings' AND relname = 'idempotency_keys'";
    let read: i64 = sqlx::query_scalar(read).fetch_one(&mut *transaction).await.expect("a number");
    assert_eq!(known, 1);
    assert!((1..10).contains(&read), "{read} keys were read");
}

/// However little the planner knows of them: a page of a replay would read all that the webhook has for each page, and all deletions of the
/// tenant for each dead letter.
#[tokio::test]
async fn dead_letters_are_revived_without_reading_others() {
    let world = World::new().await;
    let mut connection = PgConnection::connect_with(&world.pool.connect_options()).await.expect("connected");
    connection.execute(sqlx::raw_sql(AS_ON_THE_HOT_PATH)).await.expect("set");
    let (statement, parameters) = described("revived AS (");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("PREPARE revive AS {statement}")))).await.expect("prepared");
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE revive({})", vec!["NULL"; parameters].join(", "));
    let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut connection).await.expect("a plan");
    for table in ["dead_letters", "erasures", "events_rest"] {
        let mut conditions = Vec::new();
        conditions_on(table, &plan[0]["Plan"], &mut conditions);
        let by_whole_key = |condition: &&str| {
            condition.contains("tenant_id = ") && condition.contains("id = ANY")
                || condition.matches("id = ").count() == 2
        };
        assert!(!conditions.is_empty() && conditions.iter().all(by_whole_key), "{table}: {conditions:?} {plan:#}");
    }
}

/// What rows are looked up by, wherever a plan reads a table.
fn conditions_on<'a>(table: &str, node: &'a Value, found: &mut Vec<&'a str>) {
    if node["Relation Name"] == table && node["Operation"].is_null() {
        let condition = ["Index Cond", "Recheck Cond"].iter().find_map(|member| node[member].as_str());
        found.push(condition.unwrap_or_default());
    }
    for part in node["Plans"].as_array().into_iter().flatten() {
        conditions_on(table, part, found);
    }
}

/// The one described query with a mark in its text, and how many parameters it has.
fn described(mark: &str) -> (String, usize) {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).expect("the described queries");
    let texts = folder.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("its text"));
    let mut found = texts.filter(|text| text.contains(mark));
    let text = found.next().unwrap_or_else(|| panic!("no query has {mark}"));
    assert!(found.next().is_none(), "several queries have {mark}");
    let query: Value = serde_json::from_str(&text).expect("JSON");
    let parameters = query["describe"]["parameters"]["Left"].as_array().expect("parameters");
    (query["query"].as_str().expect("a text").to_owned(), parameters.len())
}

fn check(node: &Value, scans: &mut usize) {
    if let Some(table) = node["Relation Name"].as_str().filter(|table| !EXEMPT.contains(table))
        && node["Operation"].is_null()
    {
        *scans += 1;
        let is_by_key = ["Index Cond", "TID Cond"].iter().any(|member| node[member].is_string());
        // The first step from lane to lane.
        let is_first_lane = node["Index Name"] == "outbox_lanes";
        let is_by_pattern = table != "subscriptions" || node["Index Name"] == "subscriptions_pkey";
        assert!((is_by_key || is_first_lane) && is_by_pattern, "{table} is read whole: {node:#}");
    }
    for part in node["Plans"].as_array().into_iter().flatten() {
        check(part, scans);
    }
}

/// Autovacuum analyses what grows again and again. With an event's data in the sample, that was a fifth of Postgres' work. To vacuum
/// where nothing was deleted was a twentieth.
#[tokio::test]
async fn what_is_appended_is_analysed_sparingly_and_without_its_data_and_not_vacuumed() {
    let world = World::new().await;
    let targets = "SELECT c.relname || '.' || a.attname || ' ' || coalesce(a.attstattarget, -1)
                   FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
                   WHERE c.relnamespace = 'tidings'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(events|attempts)_'
                     AND a.attnum > 0 AND a.attstattarget IS DISTINCT FROM CASE
                         WHEN a.attname IN ('data', 'trace', 'response_headers', 'response_body') THEN 0 ELSE 10 END";
    let query = || sqlx::query_scalar::<_, String>(targets).fetch_all(&world.pool);
    assert_eq!(query().await.expect("columns"), Vec::<String>::new());
    let later = "SELECT tidings.make_partitions((now() + interval '30 days')::date, 1)";
    world.pool.execute(later).await.expect("made");
    assert_eq!(query().await.expect("columns"), Vec::<String>::new(), "of a partition that is made later");
    let count = "SELECT count(*) FROM pg_class WHERE relnamespace = 'tidings'::regnamespace AND relkind = 'r'
                 AND relname ~ '^(events|attempts)_'
                 AND reloptions @> '{autovacuum_analyze_scale_factor=0.3, autovacuum_vacuum_insert_threshold=-1}'";
    assert!(world.value::<i64>(count).await >= 20, "eight days, the rest and one later day of each");
}

/// Postgres reads and plans a table's CHECKs anew in each statement that inserts, whether it stores one row or hundreds.
#[tokio::test]
async fn nothing_that_every_delivery_writes_to_has_a_check() {
    let world = World::new().await;
    let checked = "SELECT c.relname || ': ' || pg_get_constraintdef(k.oid)
                   FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
                   WHERE c.relnamespace = 'tidings'::regnamespace AND k.contype = 'c'
                     AND c.relname ~ '^(outbox|(events|attempts)(_.*)?)$'";
    let checked: Vec<String> = sqlx::query_scalar(checked).fetch_all(&world.pool).await.expect("constraints");
    assert_eq!(checked, Vec::<String>::new());
}

/// Who waits for everybody to be out of a table has everybody wait behind it.
#[tokio::test]
async fn making_partitions_gives_up_before_the_hot_path_does() {
    let world = World::new().await;
    let patience = "SELECT option FROM pg_proc, unnest(proconfig) AS option
                    WHERE proname = 'make_partitions' AND pronamespace = 'tidings'::regnamespace AND option LIKE 'lock_timeout=%'";
    assert_eq!(world.value::<String>(patience).await, "lock_timeout=200ms");
}
