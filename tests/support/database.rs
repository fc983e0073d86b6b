//! A database for each test, on a private server for each test process.
//!
//! The server lies in a slot below the system's temporary folder, so that a second run starts warm. A small shell process
//! holds the slot: it stops the server when this process ends, however it ends, and only then lets the slot go.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor, PgConnection};
use tidings::embedded::{Config, Server};
use tidings::store::{self, Store};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "template_tidings";

/// Waits for the end of its standard input, stops the server and waits until it is gone.
const WATCHER: &str = r#"read -r _; kill -INT "$1"; while kill -0 "$1" 2>/dev/null; do sleep 0.05; done"#;

struct Shared {
    server: Server,
    /// Ends when this process does.
    _watcher: Child,
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The URL of a new database with the current schema.
pub async fn fresh() -> String {
    let shared = SHARED.get_or_init(start).await;
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    admin(&shared.server, &format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await;
    shared.server.url(&name)
}

/// The URL of a new database without any schema.
pub async fn empty() -> String {
    let shared = SHARED.get_or_init(start).await;
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    admin(&shared.server, &format!("CREATE DATABASE {name}")).await;
    shared.server.url(&name)
}

async fn start() -> Shared {
    let (folder, lock) = free_slot();
    let mut config = Config::new(folder.join("data"));
    // What is tested here is Tidings; that Postgres keeps what it synced is taken for granted.
    config.settings = [("fsync", "off"), ("synchronous_commit", "off"), ("max_connections", "500")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let server = Server::start(&config).await.expect("a private Postgres");
    let watcher = Command::new("sh")
        .args(["-c", WATCHER, "watcher", &server.postmaster_pid().to_string()])
        .stdin(Stdio::piped())
        .stdout(lock)
        .spawn()
        .expect("a watcher");
    prepare(&server).await;
    Shared { server, _watcher: watcher }
}

/// The first slot that no other test process uses, with the lock on it.
fn free_slot() -> (PathBuf, File) {
    let base = std::env::temp_dir().join("tidings-tests");
    for number in 0..64 {
        let folder = base.join(number.to_string());
        std::fs::create_dir_all(&folder).expect("a folder for the test server");
        let mut lock = File::create(folder.join("lock")).expect("a lock file");
        if lock.try_lock().is_ok() {
            let _ = writeln!(lock, "{}", std::process::id());
            return (folder, lock);
        }
    }
    panic!("64 test processes are using {}", base.display());
}

async fn prepare(server: &Server) {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.expect("the test server");
    let old: Vec<String> =
        sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname ~ '^(test_|template_tidings)'")
            .fetch_all(&mut connection)
            .await
            .expect("a list of databases");
    for name in old {
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        connection.execute(sqlx::AssertSqlSafe(drop)).await.expect("an old database dropped");
    }
    admin(server, &format!("CREATE DATABASE {TEMPLATE}")).await;
    let store = Store::connect(&server.url(TEMPLATE), &store::Config::default()).expect("a URL");
    store.migrate().await.expect("the schema");
    store.close().await;
}

async fn admin(server: &Server, statement: &str) {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.expect("the test server");
    connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.expect(statement);
    connection.close().await.expect("closed");
}
