//! What the canaries are planted in: settings, a database with a user of its own, receivers for each class of outcome.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::canary::canary;
use crate::support::collector::Collector;
use crate::support::secure::Secure;
use crate::support::witness::Witness;
use crate::support::{Receiver, Reply, database};

/// What `serve` is given, each secret a canary.
pub struct Given {
    pub settings: Vec<(&'static str, String)>,
    pub platform_key: String,
    pub old_url: String,
}

impl Given {
    pub async fn new(witness_for: &mut Vec<(String, String)>, secure: &Secure, collector: &Collector) -> Self {
        let old_url = database::fresh().await;
        let (password, user) = (canary("password"), canary("user").replace('-', "_"));
        let url = with_password(&old_url, &user, &password).await;
        let (master, further) = (rand::random::<[u8; 32]>(), rand::random::<[u8; 32]>());
        let (master, further) = (BASE64_STANDARD.encode(master), BASE64_STANDARD.encode(further));
        let (platform_key, otlp, query) = (canary("tk_platform_"), canary("otlp"), canary("query"));
        for (name, secret) in [
            ("the database's password", &password),
            ("the master key", &master),
            ("the further master key", &further),
            ("the platform key of the configuration", &platform_key),
            ("the header for the collector", &otlp),
            ("the query of the collector's address", &query),
        ] {
            witness_for.push((name.to_owned(), secret.clone()));
        }
        let endpoint = collector.config.otlp_endpoint.as_ref().expect("an address");
        let settings = vec![
            ("database.url", url),
            ("secrets.master_key", master),
            ("secrets.further_master_keys", further),
            ("server.platform_key", platform_key.clone()),
            ("server.listen", "127.0.0.1:0".to_owned()),
            ("egress.allow", "127.0.0.0/8,::1/128".to_owned()),
            ("egress.extra_ca_file", secure.certificate.path().display().to_string()),
            ("telemetry.otlp_endpoint", format!("{endpoint}?key={query}")),
            ("telemetry.otlp_headers", format!("x-api-key={otlp}")),
            ("log.level", "trace".to_owned()),
        ];
        Self { settings, platform_key, old_url }
    }

    pub fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// The URL with a user of its own, and every statement of that user in the server's log.
async fn with_password(url: &str, user: &str, password: &str) -> String {
    let mut connection = PgConnection::connect(url).await.expect("the database");
    let made = format!("CREATE ROLE \"{user}\" SUPERUSER LOGIN PASSWORD '{password}'");
    let logged = format!("ALTER ROLE \"{user}\" SET log_statement = 'all'");
    for statement in [made, logged] {
        connection.execute(sqlx::AssertSqlSafe(statement)).await.expect("a user");
    }
    let mut url: url::Url = url.parse().expect("a URL");
    url.set_username(user).expect("a name");
    url.set_password(Some(password)).expect("a password");
    url.to_string()
}

/// Where a webhook is registered that leads to a forbidden address by the time that something is sent there.
const LATER_FORBIDDEN: &str = "http://127.0.0.1:10";

/// Nobody could register it so.
pub async fn forbid(url: &str) {
    let mut connection = PgConnection::connect(url).await.expect("the database");
    let moved = "UPDATE tidings.webhooks SET url = replace(url, $1, 'http://10.1.2.3'), changed = pg_current_xact_id()
        WHERE starts_with(url, $1)";
    let moved = sqlx::query(moved).bind(LATER_FORBIDDEN).execute(&mut connection).await.expect("another address");
    assert_eq!(moved.rows_affected(), 1);
}

pub struct Receivers {
    pub well: Receiver,
    unwell: Receiver,
    hanging: Receiver,
    challenged: Receiver,
    babbling: String,
}

impl Receivers {
    pub async fn start(witness: &mut Witness) -> Self {
        let (well, unwell, hanging, challenged) =
            (Receiver::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await);
        let (header, body) = (witness.private("answer-header"), witness.private("answer-body"));
        unwell.always(Reply::With(500, vec![("x-answer", header)], body));
        hanging.always(Reply::Hang);
        challenged.always(Reply::Challenge);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let babbling = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4_096];
                drop(stream.read(&mut request).await);
                drop(stream.write_all(b"no HTTP\r\n\r\n").await);
            }
        });
        Self { well, unwell, hanging, challenged, babbling }
    }

    /// Where each class of outcome comes from.
    pub fn urls(&self, secure: &Secure) -> [(&'static str, String); 10] {
        let plain = self.well.url.trim_start_matches("http://127.0.0.1").to_owned();
        [
            ("standard", self.well.url.clone()),
            ("numora", secure.url.clone()),
            ("number7ai", self.unwell.url.clone()),
            ("beltic", self.hanging.url.clone()),
            ("limai", self.challenged.url.clone()),
            ("docintell", self.babbling.clone()),
            ("standard", "http://127.0.0.1:9/".to_owned()),
            ("standard", format!("https://localhost{plain}")),
            ("standard", "http://nobody.invalid/".to_owned()),
            ("standard", format!("{LATER_FORBIDDEN}/")),
        ]
    }
}

/// Every table of the database, and what the server knows and logged of those who use it.
pub async fn dump(url: &str) -> Vec<(String, String)> {
    let mut connection = PgConnection::connect(url).await.expect("the database");
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let mut tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("the tables");
    assert!(tables.len() > 15, "{tables:?}");
    tables.extend(["pg_stat_activity", "pg_settings", "pg_authid", "pg_proc"].map(str::to_owned));
    let mut dump = Vec::new();
    for table in tables {
        let rows = sqlx::AssertSqlSafe(format!("SELECT string_agg(t::text, E'\\n') FROM {table} AS t"));
        let rows: Option<String> = sqlx::query_scalar(rows).fetch_one(&mut connection).await.expect("rows");
        dump.push((table, rows.unwrap_or_default()));
    }
    let folder = "SELECT current_setting('data_directory')";
    let folder: String = sqlx::query_scalar(folder).fetch_one(&mut connection).await.expect("a folder");
    let log = std::fs::read(format!("{folder}.log")).expect("the server's log");
    dump.push(("the log of Postgres".to_owned(), String::from_utf8_lossy(&log).into_owned()));
    dump
}
