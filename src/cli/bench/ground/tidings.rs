//! Tidings processes: those that are there, or `tidings serve` as a child.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use url::Url;

use super::caller::Caller;
use super::child::{self, Held};
use crate::cli::Failure;
use crate::cli::bench::options::Options;
use crate::config::{Config, Process};
use crate::domain::secret::Secret;

/// How long a start may take; the first one migrates.
const PATIENCE: Duration = Duration::from_mins(1);
/// Lines of a process's log that are shown when it ends too early.
const SHOWN: usize = 12;

/// What our own processes are started with.
#[derive(Debug)]
pub(super) struct Settings {
    variables: Vec<(&'static str, Secret)>,
    config_file: Option<PathBuf>,
    key: Secret,
    process: Process,
}

impl Settings {
    /// The configuration as it is, on this database, with what a bench needs.
    pub(super) fn new(url: &Secret, config: &Config, config_file: Option<PathBuf>, options: &Options) -> Self {
        let key = Secret::from(format!("tk_platform_{}", hex::encode(rand::random::<[u8; 24]>())));
        let further: Vec<_> = config.secrets.further_master_keys.iter().map(ExposeSecret::expose_secret).collect();
        let networks = config.egress.allow.iter().map(ToString::to_string);
        let allowed: Vec<_> = networks.chain([options.receiver_host.to_string()]).collect();
        let variables = vec![
            ("TIDINGS__DATABASE__URL", url.clone()),
            ("TIDINGS__SERVER__LISTEN", "127.0.0.1:0".into()),
            ("TIDINGS__SERVER__PLATFORM_KEY", key.clone()),
            ("TIDINGS__SECRETS__MASTER_KEY", config.secrets.master_key.clone().unwrap_or_else(|| master_key(url))),
            ("TIDINGS__SECRETS__FURTHER_MASTER_KEYS", further.join(",").into()),
            ("TIDINGS__EGRESS__ALLOW", allowed.join(",").into()),
            // A line for each attempt would be read by nobody; the line that says where it listens is read here.
            ("TIDINGS__LOG__LEVEL", format!("{},tidings::cli::serve=info", config.log.level).into()),
            ("TIDINGS__LOG__FORMAT", "json".into()),
        ];
        Self { variables, config_file, key, process: config.process.clone() }
    }
}

/// Processes that take requests.
#[derive(Debug)]
pub(in crate::cli) struct Tidings {
    /// Where they listen.
    pub(in crate::cli) addresses: Vec<SocketAddr>,
    /// Their process ids, where they are known.
    pub(in crate::cli) pids: Vec<u32>,
    /// From the start of the last one to its first good answer to `/readyz`; `None` where it was there already.
    pub(in crate::cli) ready_after: Option<Duration>,
    authority: String,
    key: Secret,
    held: Vec<Held>,
}

impl Tidings {
    /// One that somebody else runs.
    pub(super) fn there(address: SocketAddr, authority: String, key: Secret, pids: Vec<u32>) -> Self {
        Self { addresses: vec![address], pids, ready_after: None, authority, key, held: Vec::new() }
    }

    /// The same one.
    pub(super) fn again(&self) -> Self {
        let Self { addresses, pids, authority, key, .. } = self;
        let (addresses, pids) = (addresses.clone(), pids.clone());
        Self { addresses, pids, ready_after: None, authority: authority.clone(), key: key.clone(), held: Vec::new() }
    }

    /// Starts processes and waits until each is ready.
    pub(super) async fn start(settings: &Settings, processes: usize, children: &TaskTracker) -> Result<Self, Failure> {
        let authority = "localhost".to_owned();
        let key = settings.key.clone();
        let mut all = Self { addresses: vec![], pids: vec![], ready_after: None, authority, key, held: vec![] };
        for _ in 0..processes {
            let begun = Instant::now();
            let (held, address) = serve(settings, settings.process.threads_each(processes), children).await?;
            all.addresses.push(address);
            all.pids.push(held.pid);
            all.held.push(held);
            Caller::new(address, &all.authority, &all.key).get("/readyz").await?;
            all.ready_after = Some(begun.elapsed());
        }
        Ok(all)
    }

    /// Somebody who may do everything, at the first of them.
    pub(in crate::cli) fn caller(&self) -> Caller {
        Caller::new(self.addresses[0], &self.authority, &self.key)
    }

    /// Host and port, as requests name them.
    pub(in crate::cli) fn authority(&self) -> &str {
        &self.authority
    }

    /// Ends those that were started here, and waits until they have ended.
    pub(in crate::cli) async fn stop(self) {
        for held in self.held {
            held.stop().await;
        }
    }
}

/// The same key for the same database, so that what a bench that was interrupted left there is no obstacle to the next one. The port
/// counts for nothing: a Postgres of the bench's own has another one each time.
fn master_key(url: &Secret) -> Secret {
    let mut place = url.expose_secret().to_owned();
    if let Ok(mut parsed) = Url::parse(&place)
        && parsed.set_port(None).is_ok()
    {
        place = parsed.into();
    }
    BASE64_STANDARD.encode(Sha256::digest(place)).into()
}

/// Starts one process; returns it as soon as it listens.
async fn serve(settings: &Settings, threads: usize, children: &TaskTracker) -> Result<(Held, SocketAddr), Failure> {
    let mut command = child::command(&["serve", "--migrate", "--until-stdin-closes"])?;
    if let Some(file) = &settings.config_file {
        command.arg("--config").arg(file);
    }
    command.envs(settings.variables.iter().map(|(name, value)| (name, value.expose_secret())));
    command.env("TIDINGS__PROCESS__THREADS", threads.to_string());
    let (held, output, errors) = child::start(command, child::GRACE, children)?;
    drop(output);
    let (listens, listening) = oneshot::channel();
    children.spawn(read_log(errors, listens));
    match tokio::time::timeout(PATIENCE, listening).await {
        Ok(Ok(Ok(address))) => Ok((held, address)),
        Ok(Ok(Err(log))) => {
            Err(Failure::told(format!("`tidings serve` ended instead of getting ready. It said:\n{log}")))
        }
        _ => Err(Failure::told(format!("`tidings serve` was not ready after {} s", PATIENCE.as_secs()))),
    }
}

/// Reads a process's log to its end, and says where it listens, or else what it said last.
async fn read_log(errors: impl AsyncRead + Unpin, listens: oneshot::Sender<Result<SocketAddr, String>>) {
    let (mut lines, mut last, mut listens) = (BufReader::new(errors).lines(), Vec::new(), Some(listens));
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = listening_at(&line) {
            // Nobody waits any more only when the bench ends.
            let _ = listens.take().map(|listens| listens.send(Ok(address)));
        } else if listens.is_some() {
            last.push(line);
        } else if !line.contains(r#""level":"INFO""#) {
            tracing::warn!(target: "tidings::cli::bench", "tidings serve: {line}");
        }
    }
    let log = last[last.len().saturating_sub(SHOWN)..].join("\n");
    let _ = listens.map(|listens| listens.send(Err(log)));
}

/// The address in the line of a process that is ready.
fn listening_at(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_ready = line.get("message")?.as_str()? == "ready";
    is_ready.then(|| line.get("server.address")?.as_str()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_has_one_master_key_whatever_its_port() {
        let key = |url: &str| master_key(&url.into()).expose_secret().to_owned();
        assert_eq!(key("postgres://u:p@127.0.0.1:1/t"), key("postgres://u:p@127.0.0.1:2/t"));
        assert_ne!(key("postgres://u:p@127.0.0.1:1/t"), key("postgres://u:q@127.0.0.1:1/t"));
        assert_eq!(BASE64_STANDARD.decode(key("not a URL")).map(|key| key.len()), Ok(32));
    }

    #[tokio::test]
    async fn a_process_that_listens_says_where_and_one_that_ends_says_why() {
        let ready = r#"{"level":"INFO","message":"ready","server.address":"127.0.0.1:4711"}"#;
        for (log, told) in [
            (format!("{{\"message\":\"x\"}}\n{ready}\nmore\n"), Ok("127.0.0.1:4711".parse().expect("an address"))),
            ("error: no\n  because\n".to_owned(), Err("error: no\n  because".to_owned())),
        ] {
            let (listens, listening) = oneshot::channel();
            read_log(log.as_bytes(), listens).await;
            assert_eq!(listening.await.expect("an answer"), told);
        }
    }
}
