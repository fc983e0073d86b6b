//! A Postgres of the suite's own, which is killed, filled up and brought back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tidings::embedded::{Config, DATABASE, Server};
use tidings::store::{self, Store};
use tokio::time::{Instant, sleep};

/// Ends the server when the suite ends, however it does.
const WATCHER: &str = r#"read -r _; kill -QUIT "$1""#;
/// How long the server may take to come back.
const RETURN: Duration = Duration::from_secs(30);

pub struct Postgres {
    config: Config,
    running: Option<Running>,
    filler: PathBuf,
    /// Straight to the server, past the proxies.
    pub pool: PgPool,
}

struct Running {
    server: Server,
    watcher: Child,
}

impl Postgres {
    /// Makes a database with the current schema in this folder.
    pub async fn start(folder: &Path) -> Self {
        let mut config = Config::new(folder.join("data"));
        let settings = [
            ("max_connections", "150"),
            ("shared_buffers", "32MB"),
            ("max_wal_size", "64MB"),
            ("min_wal_size", "32MB"),
            ("autovacuum_naptime", "30s"),
        ];
        config.settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let running = Running::start(&config).await;
        let url = running.server.url(DATABASE);
        let store = Store::connect(&url, &store::Config::default()).expect("a URL");
        store.migrate().await.expect("the schema");
        store.close().await;
        // Proving a password takes longer than all else that a new connection costs, and here are many.
        let access = folder.join("data/postgres/pg_hba.conf");
        std::fs::write(access, "host all all 127.0.0.1/32 trust\n").expect("written");
        let pool = pool(&url);
        sqlx::query("SELECT pg_reload_conf()").execute(&pool).await.expect("reloaded");
        let filler = folder.join("data/filler");
        Self { config, pool, running: Some(running), filler }
    }

    /// The address of the server itself.
    pub fn url(&self) -> String {
        self.server().url(DATABASE)
    }

    pub fn port(&self) -> u16 {
        url_port(&self.url()).parse().expect("a port")
    }

    /// The same address, at another port of this host.
    pub fn url_at(&self, port: u16) -> String {
        let url = self.url();
        let own = format!("127.0.0.1:{}/", url_port(&url));
        format!("{}?sslmode=disable", url.replace(&own, &format!("127.0.0.1:{port}/")))
    }

    /// Stops the server at once, as a crash does: nothing is flushed, and the next start recovers.
    pub async fn crash(&mut self) {
        let Some(Running { server, mut watcher }) = self.running.take() else { return };
        let pid = Pid::from_raw(server.postmaster_pid().cast_signed()).expect("a process");
        drop(watcher.kill());
        drop(watcher.wait());
        let _gone_already = kill_process(pid, Signal::QUIT);
        let deadline = Instant::now() + RETURN;
        while test_kill_process(pid).is_ok() {
            assert!(Instant::now() < deadline, "Postgres does not end");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it again where it does not run, on another port, and waits until it answers.
    pub async fn bring_back(&mut self) {
        if self.answers().await {
            return;
        }
        self.crash().await;
        let running = Running::start(&self.config).await;
        self.pool = pool(&running.server.url(DATABASE));
        self.running = Some(running);
    }

    async fn answers(&self) -> bool {
        let asked = sqlx::query("SELECT 1").execute(&self.pool);
        self.running.is_some() && matches!(tokio::time::timeout(Duration::from_secs(2), asked).await, Ok(Ok(_)))
    }

    /// Ends one of Tidings' connections, whichever it is.
    pub async fn kill_backend(&self, which: u32) -> bool {
        let statement = "SELECT pg_terminate_backend(pid) FROM (SELECT pid, row_number() OVER (ORDER BY pid) AS n, count(*) OVER () AS all
                         FROM pg_stat_activity WHERE application_name = 'tidings') AS one WHERE n = 1 + $1 % one.all";
        sqlx::query_scalar(statement)
            .bind(i64::from(which))
            .fetch_optional(&self.pool)
            .await
            .ok()
            .flatten()
            .unwrap_or(false)
    }

    /// Leaves no room on the disk.
    pub fn fill_disk(&self) {
        let filler = std::fs::File::create(&self.filler).expect("a file");
        let free = rustix::fs::fstatvfs(&filler).expect("what is free");
        let _full_before =
            rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, free.f_bavail * free.f_frsize);
    }

    pub fn free_disk(&self) {
        drop(std::fs::remove_file(&self.filler));
    }

    fn server(&self) -> &Server {
        &self.running.as_ref().expect("a running server").server
    }
}

impl Running {
    async fn start(config: &Config) -> Self {
        let server = Server::start(config).await.expect("a private Postgres");
        let watcher = Command::new("sh")
            .args(["-c", WATCHER, "watcher", &server.postmaster_pid().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("a watcher");
        Self { server, watcher }
    }
}

fn pool(url: &str) -> PgPool {
    let options = PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(5));
    options.connect_lazy(url).expect("a URL")
}

fn url_port(url: &str) -> &str {
    url.rsplit_once(':').and_then(|(_, rest)| rest.split('/').next()).expect("a port")
}
