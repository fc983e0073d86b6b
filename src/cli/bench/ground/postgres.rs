//! A Postgres of the bench's own, kept by a child that outlives a bench which is killed (see [`keep`](super::super::keep)).

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio_util::task::TaskTracker;

use super::child::{self, Held};
use crate::cli::Failure;
use crate::domain::secret::Secret;

/// How long an orderly end may take: Postgres writes down what it has in memory.
const GRACE: Duration = Duration::from_secs(90);

/// A running Postgres.
#[derive(Debug)]
pub(super) struct Postgres {
    url: Secret,
    held: Held,
}

impl Postgres {
    /// Starts it, in this folder or in one that goes with it.
    pub(super) async fn start(data_dir: Option<&Path>) -> Result<Self, Failure> {
        let mut command = child::command(&["bench-postgres"])?;
        if let Some(folder) = data_dir {
            command.arg("--data-dir").arg(folder);
        }
        // Killed, it would leave Postgres behind. It ends by itself.
        command.kill_on_drop(false);
        let tasks = TaskTracker::new();
        let (held, output, errors) = child::start(command, GRACE, &tasks)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).await?;
        if line.is_empty() {
            return Err(Failure::told(last_words(errors).await));
        }
        tasks.spawn(warn(errors));
        Ok(Self { url: line.trim().into(), held })
    }

    /// The database.
    pub(super) const fn url(&self) -> &Secret {
        &self.url
    }

    /// Stops it, and waits until it has ended.
    pub(super) async fn stop(self) {
        self.held.stop().await;
    }
}

/// Why it ended: the sentence that it ended with.
async fn last_words(mut errors: ChildStderr) -> String {
    let mut log = String::new();
    // Only more about what is told anyway.
    drop(errors.read_to_string(&mut log).await);
    let sentence = log.split_once("error: ").map_or(log.as_str(), |(_, sentence)| sentence);
    format!("the bench's own Postgres did not start: {}", sentence.trim())
}

/// Hands on what it says.
async fn warn(errors: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::warn!(target: "tidings::cli::bench", "the bench's Postgres: {line}");
    }
}
