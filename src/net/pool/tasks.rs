//! The tasks of one HTTP/2 connection: they end with it.
//!
//! hyper gives what remains of a request's body to a task of its own, which goes on after the answer and keeps the connection
//! open. Where the receiver does not take the rest, nothing but this would ever end it.

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::closing::Closing;

/// What hyper begins tasks with.
#[derive(Clone)]
pub(super) struct Spawner {
    tasks: TaskTracker,
    end: CancellationToken,
}

/// All tasks of a connection. When this goes they get some time to end by themselves, and are ended then.
pub(super) struct Tasks {
    spawner: Spawner,
    closing: Closing,
}

impl Tasks {
    /// None yet.
    pub(super) fn new(closing: Closing) -> Self {
        Self { spawner: Spawner { tasks: TaskTracker::new(), end: CancellationToken::new() }, closing }
    }

    pub(super) fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        self.tasks.spawn(self.end.clone().run_until_cancelled_owned(future));
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        let Spawner { tasks, end } = self.spawner();
        let end = end.drop_guard();
        tasks.close();
        self.closing.close(async move {
            tasks.wait().await;
            drop(end);
        });
    }
}
