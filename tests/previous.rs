//! The version before this one keeps working: its statements mean the same on this version's schema, and while the schema is
//! brought there. `tests/previous/statements.json` is what the compiler knew of them at its release.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};
use tidings::store::{self, Store};
use uuid::Uuid;

use crate::support::database;
use crate::support::process::{Served, run, settings};

/// The statements of the previous version, or, with this variable set, those of this one, which then become the record.
const RECORD: &str = "RECORD_PREVIOUS";

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Previous {
    /// The last migration that it knew.
    migration: i64,
    statements: Vec<Value>,
}

/// Reads the record; makes it first, where that is asked for.
fn previous() -> Previous {
    let file = folder().join("tests/previous/statements.json");
    if std::env::var_os(RECORD).is_some() {
        std::fs::write(&file, record()).expect("written");
    }
    let read: Value = serde_json::from_str(&std::fs::read_to_string(&file).expect("the record")).expect("JSON");
    let statements = read["statements"].as_array().expect("statements").clone();
    assert!(statements.len() > 50, "a whole program's");
    Previous { migration: read["migration"].as_i64().expect("a number"), statements }
}

/// The record of this version: a line for each statement.
fn record() -> String {
    let read = |folder: &Path| std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let numbers = read(&folder().join("migrations"))
        .filter_map(|path| path.file_name()?.to_str()?.split('_').next()?.parse::<i64>().ok());
    let described = read(&folder().join(".sqlx")).map(|path| {
        let text = std::fs::read_to_string(path).expect("a description");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        meaning(read["query"].as_str().expect("a query"), &read["describe"])
    });
    let mut lines: Vec<_> = described.map(|statement| statement.to_string()).collect();
    lines.sort();
    let migration = numbers.max().expect("migrations");
    format!("{{\"migration\": {migration}, \"statements\": [\n{}\n]}}\n", lines.join(",\n"))
}

/// A statement with the types it takes and gives, as its program relies on them.
fn meaning(query: &str, describe: &Value) -> Value {
    // A type of the schema's own goes by its name: labels may be added to it.
    let name = |info: &Value| match &info["Custom"]["name"] {
        Value::Null => info.clone(),
        name => name.clone(),
    };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let columns = list(&describe["columns"]);
    let columns: Vec<_> = columns.iter().map(|column| json!([column["name"], name(&column["type_info"])])).collect();
    let parameters: Vec<_> = list(&describe["parameters"]["Left"]).iter().map(name).collect();
    json!({"query": query, "parameters": parameters, "columns": columns})
}

fn query_of(statement: &Value) -> String {
    statement["query"].as_str().expect("a query").to_owned()
}

#[tokio::test]
async fn every_statement_of_the_previous_version_means_the_same() {
    let mut connection = PgConnection::connect(&database::fresh().await).await.expect("the database");
    for statement in previous().statements {
        let query = query_of(&statement);
        let described = connection.describe(AssertSqlSafe(query.clone()).into_sql_str()).await;
        let described =
            described.unwrap_or_else(|error| panic!("{error} in a statement of the previous version: {query}"));
        let now = meaning(&query, &serde_json::to_value(&described).expect("JSON"));
        assert_eq!(now, statement, "the previous version's `serve` does not expect this");
    }
}

/// A database with the schema of the previous version.
async fn schema_of(previous: &Previous) -> (String, Store) {
    let url = database::empty().await;
    let mut connection = PgConnection::connect(&url).await.expect("the database");
    let migrator = Migrator::new(folder().join("migrations")).await.expect("migrations");
    migrator.run_to(previous.migration, &mut connection).await.expect("its schema");
    let store = Store::connect(&url, &store::Config::default()).expect("a URL");
    (url, store)
}

/// Each column of the schema with its type, and whether it may be NULL.
async fn columns(url: &str) -> BTreeMap<(String, String), (String, bool)> {
    let columns = "SELECT table_name::text, column_name::text, udt_name::text, is_nullable = 'YES'
                   FROM information_schema.columns WHERE table_schema = 'tidings'";
    let mut connection = PgConnection::connect(url).await.expect("the database");
    let rows: Vec<(String, String, String, bool)> =
        sqlx::query_as(columns).fetch_all(&mut connection).await.expect("columns");
    rows.into_iter().map(|(table, column, kind, null)| ((table, column), (kind, null))).collect()
}

#[tokio::test]
async fn no_column_is_taken_away_or_means_something_else() {
    let (url, _) = schema_of(&previous()).await;
    let now = columns(&database::fresh().await).await;
    for (column, (kind, null)) in columns(&url).await {
        let (new_kind, new_null) = now.get(&column).unwrap_or_else(|| panic!("{column:?} is gone"));
        assert_eq!(new_kind, &kind, "{column:?}");
        assert!(null || !new_null, "{column:?} may be NULL now, which the previous version does not expect");
    }
}

/// A connection as a running program of the previous version has it on its hot path.
async fn hot(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.expect("the database");
    connection.execute("SET enable_seqscan = off").await.expect("a setting");
    connection.execute("SET lock_timeout = '500ms'").await.expect("a setting");
    connection
}

#[tokio::test]
async fn what_a_running_program_has_prepared_outlives_the_migrations() {
    let previous = previous();
    let (url, store) = schema_of(&previous).await;
    let mut connection = hot(&url).await;
    for (number, statement) in previous.statements.iter().enumerate() {
        let prepare = format!("PREPARE s{number} AS {}", query_of(statement));
        connection.execute(AssertSqlSafe(prepare)).await.expect("it fits its own schema");
    }
    store.migrate().await.expect("migrated");
    for (number, statement) in previous.statements.iter().enumerate() {
        let count = statement["parameters"].as_array().map_or(0, Vec::len);
        let arguments = if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
        let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE s{number}{arguments}"));
        connection.execute(explain).await.unwrap_or_else(|error| panic!("{error}: {}", query_of(statement)));
    }
}

/// The road of events in the previous version's own statements.
struct Road {
    accept: String,
    claim: String,
    settle: String,
    tenant: Uuid,
    webhook: Uuid,
}

impl Road {
    async fn of(previous: &Previous, connection: &mut PgConnection) -> Self {
        let find = |mark: &str| {
            let mut found = previous.statements.iter().map(query_of).filter(|query| query.contains(mark));
            found.next().unwrap_or_else(|| panic!("no statement with `{mark}`"))
        };
        let (tenant, webhook) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let furnish = "
            INSERT INTO tidings.dialect_revisions (name, digest, source) VALUES ('standard', sha256(''), '');
            INSERT INTO tidings.dialects (name, revision) SELECT name, id FROM tidings.dialect_revisions;
            INSERT INTO tidings.tenants VALUES ('00000000-0000-0000-0000-000000000001', 'Acme', 'sandbox', 'standard', now(), now());
            INSERT INTO tidings.webhooks (tenant_id, id, url, events, dialect, state, verified_at, created_at, updated_at)
            SELECT id, '00000000-0000-0000-0000-000000000002', 'http://127.0.0.1/', '{*}', 'standard', 'active', now(), now(), now()
            FROM tidings.tenants;
            INSERT INTO tidings.subscriptions SELECT tenant_id, '*', id FROM tidings.webhooks;
            INSERT INTO tidings.dispatchers (lease_until) VALUES (now() + interval '1 hour')";
        connection.execute(furnish).await.expect("a tenant with a webhook");
        let (accept, claim) = (find("FROM tidings.accept("), find("WITH claimed AS ("));
        Self { accept, claim, settle: find("WITH result AS ("), tenant, webhook }
    }

    /// Accepts an event, claims its delivery and settles it as delivered.
    async fn travel(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let now =
            sqlx::query_scalar::<_, chrono::DateTime<chrono::Utc>>("SELECT now()").fetch_one(&mut *connection).await?;
        let id: Uuid = sqlx::query_scalar("SELECT tidings.new_event_id(now())").fetch_one(&mut *connection).await?;
        let accept = sqlx::query(AssertSqlSafe(self.accept.clone())).bind([self.tenant]).bind([id]).bind(["a"]);
        let accept = accept.bind([None::<chrono::DateTime<chrono::Utc>>]).bind([b"{}"]).bind([Some(id.to_string())]);
        accept.bind(now).bind(None::<i32>).bind(Vec::<Uuid>::new()).execute(&mut *connection).await?;
        let claim = sqlx::query(AssertSqlSafe(self.claim.clone())).bind([self.tenant]).bind([self.webhook]).bind([10]);
        let claimed = claim.bind(1).bind(now).fetch_all(&mut *connection).await?;
        for row in claimed {
            let delivery: Uuid = sqlx::Row::try_get(&row, 1)?;
            let settle =
                sqlx::query(AssertSqlSafe(self.settle.clone())).bind([self.tenant]).bind([delivery]).bind([1_i16]);
            let settle = settle.bind([1]).bind(["delivered"]).bind([None::<chrono::DateTime<chrono::Utc>>]);
            let settle = settle.bind([None::<&str>]).bind([None::<&str>]).bind([Some(now)]).bind([5]).bind([1]);
            let settle =
                settle.bind([Some("success")]).bind([Some(200_i16)]).bind([Some("a: b")]).bind([Some(&b"ok"[..])]);
            assert_eq!(settle.bind(now).fetch_all(&mut *connection).await?.len(), 1, "settled");
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_previous_version_accepts_claims_and_settles_while_the_schema_is_migrated() {
    let previous = previous();
    let (url, store) = schema_of(&previous).await;
    let mut connection = hot(&url).await;
    let road = Road::of(&previous, &mut connection).await;
    road.travel(&mut connection).await.expect("on its own schema");
    let migrated = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let migrated = Arc::clone(&migrated);
        async move {
            let (mut events, mut after) = (1, 0);
            while after < 20 {
                after += usize::from(migrated.load(Ordering::Relaxed));
                road.travel(&mut connection).await.expect("nothing stands in its way");
                events += 1;
            }
            events
        }
    });
    // A reader who takes his time keeps the migrations waiting, but not those who come after them.
    let mut reader = PgConnection::connect(&url).await.expect("the database");
    reader
        .execute("BEGIN; SELECT count(*) FROM tidings.events; SELECT count(*) FROM tidings.attempts")
        .await
        .expect("read");
    let migrate = tokio::spawn(async move { store.migrate().await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    reader.execute("COMMIT").await.expect("read");
    migrate.await.expect("no panic").expect("migrated");
    migrated.store(true, Ordering::Relaxed);
    let events: i64 = traffic.await.expect("traffic");
    let delivered = "SELECT count(*) FROM tidings.attempts WHERE verdict = 'delivered'";
    assert_eq!(sqlx::query_scalar::<_, i64>(delivered).fetch_one(&mut reader).await.expect("a count"), events);
    assert_eq!(
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tidings.outbox").fetch_one(&mut reader).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_schema_that_a_later_version_expanded_is_no_hindrance_and_one_it_contracted_is_told() {
    let url = database::fresh().await;
    let mut connection = PgConnection::connect(&url).await.expect("the database");
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9000, 'of a later version', true, '', 0)";
    connection.execute(later).await.expect("a later migration");
    let settings = settings(&url);
    for arguments in [&[][..], &["--migrate"]] {
        let served = Served::start(arguments, &settings).await;
        assert_eq!(served.process.stop(rustix::process::Signal::TERM).await.code, Some(0));
    }
    connection.execute("UPDATE tidings.schema_floor SET version = 9000").await.expect("contracted");
    for arguments in [&["serve"][..], &["serve", "--migrate"], &["migrate"]] {
        let ended = run(arguments, &settings).await;
        assert_eq!(ended.code, Some(1), "{}", ended.text);
        assert!(ended.text.contains("migration 9000") && ended.text.contains("later version"), "{}", ended.text);
    }
}
