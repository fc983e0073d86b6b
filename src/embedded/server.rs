//! The server as the rest of Tidings sees it: started or attached to, used, let go.

use std::fmt;
use std::fs::File;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret;

use super::account::Account;
use super::binaries::Binaries;
use super::folder::{Folder, POLL};
use super::launch::{self, Launched};
use super::postmaster::{Holder, Postmaster, holder};
use super::{Config, EmbeddedError, cluster};
use crate::domain::secret::Secret;

/// The owner of everything in the private Postgres.
pub const USER: &str = "tidings";

/// The database that a new data folder comes with.
pub const DATABASE: &str = "tidings";

/// Between two looks whether a server that is used is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait before another launch, where the reason of the failure passes.
const LAUNCH_AGAIN: Duration = Duration::from_millis(100);

/// A running Postgres, ready for connections, and our share in it. Dropping it gives up the share and leaves the
/// server running; [`Server::stop`] is the way to end it.
pub struct Server {
    folder: Folder,
    users: File,
    password: Secret,
    pid: u32,
    port: u16,
    stop_timeout: Duration,
}

impl Server {
    /// Attaches to the server of `config.data_dir`, or starts it; on the way finds or downloads binaries and makes a
    /// new database, where necessary. On return the server accepts connections. Processes that start at once on one
    /// folder take turns.
    pub async fn start(config: &Config) -> Result<Self, EmbeddedError> {
        let begun = Instant::now();
        let folder = Folder::open(&config.data_dir, Account::of_server()?)?;
        let turn = folder.lock_start().await?;
        if cluster::major(&folder)?.is_none() {
            tracing::info!(folder = %folder.root().display(), "making a new database");
            cluster::make(&folder, &Binaries::find(config, &folder, None).await?).await?;
        }
        let password = folder.password()?;
        let (pid, port) = attach_or_launch(config, &folder).await?;
        let users = folder.join_users()?;
        drop(turn);
        let elapsed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(process.pid = pid, server.port = port, duration_ms = elapsed, "embedded Postgres is ready");
        Ok(Self { folder, users, password, pid, port, stop_timeout: config.stop_timeout })
    }

    /// The address of a database on this server, password included: not for logs. [`DATABASE`] is always there.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{database}", self.password.expose_secret(), self.port)
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process to kill where a test wants to see Postgres crash.
    #[must_use]
    pub fn postmaster_pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the server has ended, whoever ended it, and says so.
    pub async fn gone(&self) -> EmbeddedError {
        while holder(self.pid, &self.folder.postgres()) == Holder::Postgres {
            tokio::time::sleep(LOOK).await;
        }
        EmbeddedError::Gone { log: self.folder.log(), tail: launch::log_tail(&self.folder) }
    }

    /// Stops the server (fast shutdown: transactions under way are rolled back) and waits until it is gone, if no
    /// other process uses the folder; else just lets go.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let Self { folder, users, stop_timeout, .. } = self;
        let _turn = folder.lock_start().await?;
        let others = folder.leave_users(users)?;
        let postgres = folder.postgres();
        let Some(postmaster) = Postmaster::live(&postgres)?.filter(|_| !others) else { return Ok(()) };
        let pid = postmaster.pid;
        interrupt(pid).map_err(EmbeddedError::io("stop the Postgres of", &postgres))?;
        let deadline = Instant::now() + stop_timeout;
        while holder(pid, &postgres) == Holder::Postgres {
            if Instant::now() > deadline {
                return Err(EmbeddedError::NotStopped { pid, seconds: stop_timeout.as_secs(), log: folder.log() });
            }
            tokio::time::sleep(POLL).await;
        }
        tracing::info!(process.pid = pid, "embedded Postgres has stopped");
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, pid, port, .. } = self;
        f.debug_struct("Server").field("folder", folder).field("pid", pid).field("port", port).finish_non_exhaustive()
    }
}

/// Looks at the server until it is ready. Launches one where there is none; where one is starting (its launcher was
/// killed) or stopping, waits for that.
async fn attach_or_launch(config: &Config, folder: &Folder) -> Result<(u32, u16), EmbeddedError> {
    let deadline = Instant::now() + config.start_timeout;
    let mut launched: Option<Launched> = None;
    loop {
        match (Postmaster::live(&folder.postgres())?, &launched) {
            (Some(postmaster), _) => {
                if let Some(port) = postmaster.answers().await {
                    return Ok((postmaster.pid, port));
                }
            }
            (None, None) => {
                launch::rotate_log(folder)?;
                launched = Some(launch_fitting(config, folder).await?);
            }
            (None, Some(ended)) if ended.has_ended() => {
                if !ended.may_try_again(folder) {
                    return Err(EmbeddedError::Died { log: folder.log(), tail: ended.log_tail(folder) });
                }
                tokio::time::sleep(LAUNCH_AGAIN).await;
                launched = Some(launch_fitting(config, folder).await?);
            }
            (None, Some(_)) => {}
        }
        if Instant::now() > deadline {
            let seconds = config.start_timeout.as_secs();
            return Err(EmbeddedError::NotReady { seconds, log: folder.log(), tail: launch::log_tail(folder) });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Launches the binaries that fit the data.
async fn launch_fitting(config: &Config, folder: &Folder) -> Result<Launched, EmbeddedError> {
    let binaries = Binaries::find(config, folder, cluster::major(folder)?).await?;
    Launched::launch(config, folder, &binaries)
}

/// SIGINT is Postgres' fast shutdown.
fn interrupt(pid: u32) -> std::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("the process id is out of range"))?;
    match kill_process(pid, Signal::INT) {
        // Ended just now.
        Err(rustix::io::Errno::SRCH) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
