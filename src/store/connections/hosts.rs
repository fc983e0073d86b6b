//! Hosts: the servers that a URL names, `postgres://user:password@one:5432,two:5432/database`, and which of them takes writes.
//!
//! They are asked in turn whenever a connection is made, beginning with the one that took writes last. So nothing has to watch for a
//! failover: it ends the connections, or a write on them is refused, which ends them too, and the next one leads to the new primary.

use std::io;
use std::str::FromStr;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use super::ANSWER;
use super::shared::comes_back;

/// How to connect to each.
#[derive(Debug, Clone)]
pub(in crate::store) struct Hosts(Vec<Arc<PgConnectOptions>>);

/// A server that takes writes, and a connection to it.
pub(super) struct Greeted {
    pub(super) connection: PgConnection,
    /// The server's process that it leads to.
    pub(super) backend: i32,
    /// Which of the hosts it is.
    pub(super) host: usize,
    pub(super) server: Arc<PgConnectOptions>,
}

impl Hosts {
    /// Reads a URL.
    pub(in crate::store) fn of(url: &str) -> Result<Self, sqlx::Error> {
        let (before, hosts, after) = around_hosts(url);
        let options = |host| PgConnectOptions::from_str(&format!("{before}{host}{after}")).map(Arc::new);
        hosts.split(',').map(options).collect::<Result<_, _>>().map(Self)
    }

    /// The same hosts, connected to in another way.
    pub(in crate::store) fn with(&self, adapt: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Self {
        Self(self.0.iter().map(|host| Arc::new(adapt(PgConnectOptions::clone(host)))).collect())
    }

    /// How to connect to one of them; to the first, where there are not so many.
    pub(super) fn at(&self, host: usize) -> Arc<PgConnectOptions> {
        self.0.get(host).or(self.0.first()).cloned().unwrap_or_default()
    }

    /// Connects to the first that takes writes, beginning with the `first`.
    ///
    /// # Errors
    /// None does, or can be reached; each says why. The error is one of those that may pass, where one of theirs is.
    pub(super) async fn greet(&self, first: usize) -> Result<Greeted, sqlx::Error> {
        if let [only] = &self.0[..] {
            return greet(0, only).await;
        }
        let (mut told, mut passes) = (Vec::with_capacity(self.0.len()), false);
        for host in (first..self.0.len()).chain(0..first) {
            let server = self.at(host);
            match timeout(ANSWER, greet(host, &server)).await {
                Ok(Ok(greeted)) => return Ok(greeted),
                Ok(Err(error)) => {
                    passes |= comes_back(&error);
                    told.push(match error {
                        sqlx::Error::Io(error) => format!("{}: {error}", name(&server)),
                        error => format!("{}: {error}", name(&server)),
                    });
                }
                Err(_) => {
                    passes = true;
                    told.push(format!("{} does not answer", name(&server)));
                }
            }
        }
        let kind = if passes { io::ErrorKind::ConnectionRefused } else { io::ErrorKind::NotFound };
        let told = format!("none of the hosts takes writes ({})", told.join("; "));
        Err(io::Error::new(kind, told).into())
    }
}

/// Connects, and learns who answers. A server that takes no writes is as good as none.
async fn greet(host: usize, server: &Arc<PgConnectOptions>) -> Result<Greeted, sqlx::Error> {
    let mut connection = server.connect().await?;
    let answer = sqlx::query!(
        r#"SELECT pg_backend_pid() AS "backend!", pg_is_in_recovery() AS "is_standby!",
                  current_setting('transaction_read_only')::boolean AS "is_read_only!""#
    )
    .fetch_one(&mut connection)
    .await?;
    let told = match (answer.is_standby, answer.is_read_only) {
        (true, _) => "the server is a standby, which takes no writes",
        (false, true) => "the server takes no writes (default_transaction_read_only)",
        (false, false) => {
            return Ok(Greeted { connection, backend: answer.backend, host, server: Arc::clone(server) });
        }
    };
    drop(connection.close().await);
    Err(io::Error::new(io::ErrorKind::ConnectionRefused, told).into())
}

/// A host as the log names it.
pub(super) fn name(server: &PgConnectOptions) -> String {
    format!("{}:{}", server.get_host(), server.get_port())
}

/// The parts of a URL that names hosts: what comes before them, the hosts as they are written there, and what comes after.
#[must_use]
pub fn around_hosts(url: &str) -> (&str, &str, &str) {
    let start = url.find("://").map_or(0, |place| place + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |place| start + place);
    let start = url[start..end].rfind('@').map_or(start, |place| start + place + 1);
    (&url[..start], &url[start..end], &url[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: &str) -> Vec<String> {
        Hosts::of(url).expect(url).0.iter().map(|server| name(server)).collect()
    }

    #[test]
    fn a_url_names_one_host_or_several() {
        assert_eq!(names("postgres://u:p@one:5433/db?sslmode=require"), ["one:5433"]);
        assert_eq!(names("postgres://u:p%40@one:1,[::1]:2,three/db"), ["one:1", "[::1]:2", "three:5432"]);
        assert_eq!(names("postgresql://one,two?application_name=a,b"), ["one:5432", "two:5432"]);
        assert!(Hosts::of("postgres://u@one:1,two:x/db").is_err());
        let hosts = Hosts::of("postgres://u@one,two/db").expect("two");
        assert!(hosts.0.iter().all(|one| one.get_username() == "u" && one.get_database() == Some("db")));
    }
}
