//! Connections: one pool for requests and chores, one for the hot path, and a connection for the watch.

use std::error::Error;
use std::fmt;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::StoreError;
use super::connections::{Era, Hosts, Pool, Trust};
use super::outbox::routes::Routes;
use crate::domain::ids::TenantId;
use crate::turns::{Turn, Turns};

/// Section `database` of the configuration.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A `postgres://` URL, which may name several hosts, or `embedded` for a private server.
    pub url: String,
    /// Where the embedded server keeps its data; empty leaves it to [`data_dir`](crate::embedded::Config::default_data_dir).
    pub data_dir: String,
    /// Connections for requests and chores.
    pub connections: u32,
    /// Connections for accept, claim and settle.
    pub hot_connections: u32,
    /// Seconds to wait for a free connection before a request is answered 503.
    pub acquire_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "embedded".to_owned(),
            data_dir: String::new(),
            connections: 10,
            hot_connections: 8,
            acquire_seconds: 3,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        let Self { url: _, data_dir, connections, hot_connections, acquire_seconds } = self;
        f.debug_struct("Config")
            .field("data_dir", data_dir)
            .field("connections", connections)
            .field("hot_connections", hot_connections)
            .field("acquire_seconds", acquire_seconds)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Checks what the types cannot say; the error names the key, and nothing of the URL, which may hold a password.
    pub fn validate(&self) -> Result<(), String> {
        let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| self.url.starts_with(scheme));
        if self.url != "embedded" {
            let shape = "must be `embedded` or like `postgres://user:password@host:5432/database`, several hosts separated by commas";
            if !is_postgres {
                return Err(format!("`database.url` {shape}"));
            }
            Hosts::of(&self.url)
                .map_err(|error| format!("`database.url` cannot be read: {}; it {shape}", without_quoted(&error)))?;
        }
        let checks = [
            ("connections", u64::from(self.connections), 1..=1_000),
            ("hot_connections", u64::from(self.hot_connections), 1..=1_000),
            ("acquire_seconds", self.acquire_seconds, 1..=60),
        ];
        for (key, value, allowed) in checks {
            if !allowed.contains(&value) {
                let (least, most) = allowed.into_inner();
                return Err(format!("`database.{key}` is {value}; it must be from {least} to {most}"));
            }
        }
        Ok(())
    }
}

/// The cause of an error, without what it quotes of a URL, which may be part of a password.
fn without_quoted(error: &dyn Error) -> String {
    let cause = iter::successors(Some(error), |&error| error.source()).last().unwrap_or(error).to_string();
    match cause.split_once('"').zip(cause.rsplit_once('"')) {
        Some(((before, _), (_, after))) => format!("{}{after}", before.trim_end()),
        None => cause,
    }
}

/// The database. Clones share the pools.
#[derive(Debug, Clone)]
pub struct Store {
    /// For requests and chores.
    pub(super) pool: Pool,
    /// For accept, claim and settle, whose plans must not depend on yesterday's statistics.
    pub(super) hot: Pool,
    /// For a dispatcher's lease and its view of the webhooks, one connection: without these nothing is sent, and on the hot path they
    /// could wait behind statements that wait for a lock.
    pub(super) watch: Pool,
    /// Who is owed what, as far as it was asked.
    pub(super) routes: Arc<Routes>,
    /// Turns of reading much, and how long one is waited for.
    searches: (Turns, Duration),
    /// Counted by all three pools.
    era: Era,
}

/// Lists by the type of an event may read all that a tenant has: so many at once, each of another tenant, so that they leave
/// connections to everybody else.
const SEARCHES: usize = 2;

/// How long a statement waits for a row that another transaction holds: whoever holds one for hours must not take connection after
/// connection away. Who comes second waits for its turn and then for the row, and so for twice as long at most.
const LOCK_TIMEOUT: &str = "5s";
/// The same on the hot path: a producer's open transaction must not hold up what has nothing to do with it.
const HOT_LOCK_TIMEOUT: &str = "500ms";

/// That something was not there to be dropped is no news.
const QUIET: [(&str, &str); 1] = [("client_min_messages", "warning")];

/// What the server does about a connection that this process has lost without its noticing: the locks of a transaction that nobody
/// goes on with would be held for hours, and every repetition of what it stored wait for them. None here waits between two
/// statements for anything but the server. Locks of the session itself go when the host no longer answers.
const ABANDONED: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "3s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "2"),
    ("tcp_keepalives_count", "3"),
];

/// An idle connection may have been closed by the server since, as at a restart, or forgotten by a firewall.
const TRUST: Trust = Trust(Duration::from_millis(500));
const HOT_TRUST: Trust = Trust(Duration::from_secs(10));

impl Store {
    /// Connects lazily to the server at `url`, which takes the place of the configured one where that is `embedded`. Connections live as
    /// long as the runtime that this is called in.
    ///
    /// # Errors
    /// The URL is not a `postgres://` URL.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn connect(url: &str, config: &Config) -> Result<Self, StoreError> {
        let ours = |options: PgConnectOptions| {
            let options = options.application_name("tidings").disable_statement_logging();
            // Only sqlx's own table of migrations has no schema in its name. A role called `tidings` would look for it in
            // the schema of that name, which is not there before the first migration, and so apply everything a second time.
            options
                .options([("search_path", "public"), ("jit", "off"), ("lock_timeout", LOCK_TIMEOUT)])
                .options(QUIET)
                .options(ABANDONED)
        };
        let hosts = Hosts::of(url)?.with(ours);
        // The outbox can grow from nothing to a million rows faster than statistics follow; a plan chosen for an empty
        // table would then read it whole. Nor does the length of a batch change the plan: to plan each anew costs more
        // than most statements.
        let hot =
            [("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan"), ("lock_timeout", HOT_LOCK_TIMEOUT)];
        let hot = hosts.with(|options| options.options(hot));
        let wait = Duration::from_secs(config.acquire_seconds);
        let era = Era::default();
        Ok(Self {
            pool: Pool::new(hosts, config.connections, wait, TRUST, &era),
            watch: Pool::new(hot.clone(), 1, wait, HOT_TRUST, &era),
            // Asking each connection whether it is well costs as much as a small statement; one that is not fails its next
            // statement, which the callers of this pool take for "not available" and repeat.
            hot: Pool::new(hot, config.hot_connections, wait, HOT_TRUST, &era),
            routes: Arc::new(Routes::new(&era)),
            searches: (Turns::new(SEARCHES), wait),
            era,
        })
    }

    /// The era of connections: in the next one, what was seen in this one may be something else.
    pub(crate) fn era(&self) -> u64 {
        self.era.now()
    }

    /// A tenant's turn of reading much; until it is dropped, it has no other, and fewer others have one.
    pub(super) async fn search(&self, tenant_id: TenantId) -> Result<Turn, StoreError> {
        let (turns, wait) = &self.searches;
        timeout(*wait, turns.take(tenant_id)).await.ok().flatten().ok_or_else(|| sqlx::Error::PoolTimedOut.into())
    }

    /// Connects once, past the pool, which would try until its time is over and then not say what hindered it.
    pub async fn reach(&self) -> Result<(), StoreError> {
        Ok(self.pool.reach().await?.close().await?)
    }

    /// Answers when the database does.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query!("SELECT 1 AS one").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Closes all connections, waiting for statements under way.
    pub async fn close(&self) {
        self.watch.close().await;
        self.hot.close().await;
        self.pool.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_read_is_told_by_the_part_and_without_a_password() {
        let told = |url: &str| Config { url: url.to_owned(), ..Config::default() }.validate();
        for good in ["embedded", "postgres://u:hunter2@h,i:5432/d?sslmode=require"] {
            assert_eq!(told(good), Ok(()));
        }
        for (url, part) in [
            ("mysql://u:hunter2@h/d", "`database.url` must be"),
            ("postgres://u:hunter2@h:99999/d", "invalid port number;"),
            ("postgres://u:hunter2@h:1,i:x/d", "invalid port number;"),
            ("postgres://u:1?sslmode=hunter2@h/d", "unknown value for `ssl_mode`;"),
            ("postgres://u:p@h/d?sslmode=a%22hunter2", "unknown value for `ssl_mode`;"),
        ] {
            let error = told(url).expect_err(url);
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }
}
