//! The built program as a process of its own: what it prints, signals, and how it ends.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::keys::{MASTER_KEY, PLATFORM_KEY};

/// How long a process may take to say or to do what it should.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running process; it is killed when this is dropped.
pub struct Process {
    child: Child,
    printed: Arc<Printed>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Printed {
    lines: Mutex<Vec<String>>,
    grew: Notify,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` after a signal that it did not handle.
    pub code: Option<i32>,
    /// What it printed, to standard output and standard error.
    pub text: String,
}

impl Process {
    /// Starts `tidings` with these arguments and these settings (`section.key`, value) on top of the defaults.
    pub fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::spawn(&mut Self::command(arguments, settings))
    }

    /// What [`Process::start`] starts.
    pub fn command(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        // Another build of the program can be put to the test: of another profile, or one that stays while this one is built again.
        let program = std::env::var_os("TIDINGS_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_tidings").into());
        let mut command = Command::new(program);
        command.args(arguments);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDINGS__")) {
            command.env_remove(name);
        }
        for (name, value) in settings {
            command.env(format!("TIDINGS__{}", name.replace('.', "__").to_uppercase()), value);
        }
        command
    }

    /// Starts any program.
    pub fn spawn(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", command.as_std().get_program().display()));
        let printed = Arc::new(Printed::default());
        let (output, errors) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
        let readers =
            vec![tokio::spawn(read(output, Arc::clone(&printed))), tokio::spawn(read(errors, Arc::clone(&printed)))];
        Self { child, printed, readers }
    }

    /// The number that the system knows it by.
    pub fn id(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// Everything printed so far.
    pub fn text(&self) -> String {
        self.printed.lines.lock().unwrap().join("\n")
    }

    /// The first line with this text in it, as soon as it is printed.
    pub async fn line(&self, with: &str) -> String {
        let found = async {
            loop {
                let grew = self.printed.grew.notified();
                if let Some(line) = self.printed.lines.lock().unwrap().iter().find(|line| line.contains(with)) {
                    return line.clone();
                }
                grew.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("no line with `{with}` in:\n{}", self.text()))
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("a running process");
        kill_process(pid, signal).expect("a signal sent");
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("it does not end:\n{}", self.text())).expect("a status");
        for reader in std::mem::take(&mut self.readers) {
            reader.await.expect("its output read");
        }
        Ended { code: status.code(), text: self.text() }
    }

    /// Sends a signal and waits for its end.
    pub async fn stop(self, signal: Signal) -> Ended {
        self.signal(signal);
        self.ended().await
    }
}

async fn read(pipe: impl AsyncRead + Unpin, printed: Arc<Printed>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        printed.lines.lock().unwrap().push(line);
        printed.grew.notify_waiters();
    }
}

/// Runs `tidings` to its end.
pub async fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    Process::start(arguments, settings).ended().await
}

/// What `serve` needs on a database, on a free port, with loopback allowed as a destination.
pub fn settings(database_url: &str) -> Vec<(&str, &str)> {
    vec![
        ("database.url", database_url),
        ("secrets.master_key", MASTER_KEY),
        ("server.platform_key", PLATFORM_KEY),
        ("server.listen", "127.0.0.1:0"),
        ("egress.allow", "127.0.0.0/8,::1/128"),
    ]
}

/// `tidings serve` with its API.
pub struct Served {
    pub process: Process,
    pub address: SocketAddr,
}

impl Served {
    /// Waits until it is ready.
    pub async fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::of(Process::start(&[&["serve"], arguments].concat(), settings)).await
    }

    /// Waits until a process that was just started is ready.
    pub async fn of(process: Process) -> Self {
        let ready = process.line(" ready ").await;
        let address = ready.split_once("server.address=").and_then(|(_, rest)| rest.split(' ').next());
        let address = address.and_then(|address| address.parse().ok());
        Self { process, address: address.unwrap_or_else(|| panic!("no address in {ready}")) }
    }
}
