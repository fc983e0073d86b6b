//! Launches the server process, and knows what it said when it ended too early.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

use super::binaries::Binaries;
use super::folder::Folder;
use super::postmaster::{Holder, PID_FILE, Postmaster, holder};
use super::{Config, EmbeddedError};

/// Before [`Config::settings`], which may say otherwise.
const SETTINGS: [(&str, &str); 13] = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("password_encryption", "scram-sha-256"),
    ("max_connections", "100"),
    ("shared_buffers", "128MB"),
    // Few and small checkpoints: each makes the next change of every page a full-page image in the log.
    ("max_wal_size", "2GB"),
    ("checkpoint_timeout", "15min"),
    ("wal_compression", "on"),
    // What backends write is on its way to the disk soon. The kernel would leave it for half a minute, and the log would wait behind it then.
    ("backend_flush_after", "512kB"),
    // Statements are short: compiling them costs more than it gains.
    ("jit", "off"),
    // The outbox turns over its rows quickly.
    ("autovacuum_naptime", "5s"),
    ("logging_collector", "off"),
    ("log_timezone", "UTC"),
];

/// Where it listens: after [`Config::settings`], for nothing may say otherwise.
const PRIVATE: [(&str, &str); 2] = [("listen_addresses", "127.0.0.1"), ("unix_socket_directories", "")];

/// A launched server, which may have ended again.
pub(super) struct Launched {
    ended: Receiver<()>,
    log_start: u64,
}

impl Launched {
    /// Launches the server on a free port. Whether it comes up is seen in `postmaster.pid`.
    pub(super) fn launch(config: &Config, folder: &Folder, binaries: &Binaries) -> Result<Self, EmbeddedError> {
        remove_foreign_pid_file(folder)?;
        let log = folder.open_file(&folder.log())?;
        let same = log.metadata().and_then(|meta| Ok((log.try_clone()?, meta.len())));
        let (errors, log_start) = same.map_err(EmbeddedError::io("open", &folder.log()))?;
        let port = free_port().map_err(EmbeddedError::io("find a free port for", &folder.postgres()))?;

        let mut command = folder.account().command(binaries.postgres());
        command.arg("-D").arg(folder.postgres()).args(["-p", &port.to_string()]);
        let settings = config.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in SETTINGS.into_iter().chain(settings).chain(PRIVATE) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        // A process group of its own: Ctrl-C in the terminal is meant for us.
        command.current_dir(folder.root()).process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(EmbeddedError::io("run", &binaries.postgres()))?;
        tracing::debug!(process.pid = child.id(), server.port = port, "launched Postgres");
        Ok(Self { ended: reap(child).map_err(EmbeddedError::io("watch", &binaries.postgres()))?, log_start })
    }

    /// Whether the process is gone.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.try_recv() != Err(TryRecvError::Empty)
    }

    /// Whether it ended for a reason that passes: someone else took the port, or what a killed server left behind
    /// is still ending.
    pub(super) fn may_try_again(&self, folder: &Folder) -> bool {
        let log = read_log(folder, self.log_start);
        ["could not create any TCP/IP sockets", "is still in use"].iter().any(|reason| log.contains(reason))
    }

    /// The last lines it logged.
    pub(super) fn log_tail(&self, folder: &Folder) -> String {
        tail(&read_log(folder, self.log_start))
    }
}

/// The last lines of the log, whoever launched the server.
pub(super) fn log_tail(folder: &Folder) -> String {
    tail(&read_log(folder, 0))
}

/// Keeps the log of the server before, in which a crash may be explained.
pub(super) fn rotate_log(folder: &Folder) -> Result<(), EmbeddedError> {
    let log = folder.log();
    match fs::rename(&log, log.with_extension("log.old")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::io("rename", &log)(error)),
        _ => Ok(()),
    }
}

/// Postgres does not start while another process *of its user* has the id in a stale `postmaster.pid`, as happens in
/// containers, where ids begin anew. We know better, if we know that the other one is not Postgres.
fn remove_foreign_pid_file(folder: &Folder) -> Result<(), EmbeddedError> {
    let postgres = folder.postgres();
    let named = Postmaster::read(&postgres)?;
    match named.map(|postmaster| holder(postmaster.pid, &postgres)) {
        Some(Holder::Another) => {
            let path = postgres.join(PID_FILE);
            fs::remove_file(&path).map_err(EmbeddedError::io("remove", &path))
        }
        _ => Ok(()),
    }
}

/// Waits for the process in a thread of its own, whatever becomes of the caller's runtime: an ended child that
/// nobody waits for keeps its id, and Postgres would not start while it is there.
fn reap(mut child: Child) -> io::Result<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let wait = move || {
        match child.wait() {
            Ok(status) if status.success() => tracing::debug!(process.pid = child.id(), "Postgres ended"),
            Ok(status) => tracing::warn!(process.pid = child.id(), %status, "Postgres ended by itself or was killed"),
            Err(error) => tracing::warn!(process.pid = child.id(), %error, "Postgres cannot be waited for"),
        }
        // Nobody listens any more once the server was up.
        let _ = sender.send(());
    };
    thread::Builder::new().name("postgres-reaper".into()).spawn(wait)?;
    Ok(receiver)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The log from a position on, 64 KiB of it at most.
fn read_log(folder: &Folder, from: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(folder.log())?;
        let from = from.max(file.metadata()?.len().saturating_sub(64 * 1024));
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // Part of a message about something worse.
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
