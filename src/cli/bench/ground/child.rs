//! A process of this same program, which lives as long as somebody here wants it to.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::cli::Failure;

/// How long the orderly end of a process that keeps nothing may take.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A child; it is asked to end when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) pid: u32,
    stop: DropGuard,
    ended: JoinHandle<()>,
}

impl Held {
    /// Asks it to end, and waits until it has.
    pub(super) async fn stop(self) {
        drop(self.stop);
        // The task that attends to it has nothing to fail on.
        drop(self.ended.await);
    }
}

/// The program with these arguments, to be given its environment and then to be [`start`]ed.
pub(super) fn command(arguments: &[&str]) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Should the task below be dropped, at the very end of the process.
    command.kill_on_drop(true);
    Ok(command)
}

/// Starts it. `children` has ended when it has; for that it gets `grace`, and is killed then.
pub(super) fn start(
    mut command: Command,
    grace: Duration,
    children: &TaskTracker,
) -> Result<(Held, ChildStdout, ChildStderr), Failure> {
    let mut child = command.spawn()?;
    let (Some(pid), Some(output), Some(errors)) = (child.id(), child.stdout.take(), child.stderr.take()) else {
        return Err(Failure::told("a process of the bench ended at once"));
    };
    let stop = CancellationToken::new();
    let ended = children.spawn(attend(child, grace, stop.clone()));
    Ok((Held { pid, stop: stop.drop_guard(), ended }, output, errors))
}

/// Keeps its standard input open until it is to end.
async fn attend(mut child: Child, grace: Duration, stop: CancellationToken) {
    stop.cancelled().await;
    // Closes its standard input: that is what asks it to end.
    drop(child.stdin.take());
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        // It may have ended just now.
        drop(child.kill().await);
    }
}
