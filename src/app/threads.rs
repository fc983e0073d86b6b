//! Threads: how a process shares the processors out.
//!
//! A runtime's tasks are taken up by whichever of its threads is free, and what one thread has in its caches and took from the
//! allocator, another goes on with and gives back. So a process that accepts and delivers has two: the *API's* reads requests and
//! answers them, and in the *main* one is stored and sent. An event and its answer pass between them, and the rest of a delivery stays
//! where it is. On two processors that saves an eighth of Tidings' CPU (`docs/performance.md`), and deliveries go on beside a request
//! that takes long. Who delivers slower than it accepts should not accept faster: that events are stored in the main runtime, too, sees
//! to it.

use std::io;
use std::num::NonZero;
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Handle, Runtime};

use super::Role;

/// The runtimes of a process.
#[derive(Debug)]
pub struct Threads {
    main: Runtime,
    api: Option<Runtime>,
}

impl Threads {
    /// Starts the threads that these roles need.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(roles: &[Role]) -> io::Result<Self> {
        let threads = |name| {
            let mut threads = Builder::new_multi_thread();
            threads.thread_name(name).enable_all();
            threads
        };
        let mut main = threads("tidings-worker");
        if !Role::ALL.iter().all(|role| roles.contains(role)) {
            return Ok(Self { main: main.build()?, api: None });
        }
        let (for_main, for_api) = shares(available_parallelism().map_or(1, NonZero::get));
        let api = threads("tidings-api").worker_threads(for_api).build()?;
        Ok(Self { main: main.worker_threads(for_main).build()?, api: Some(api) })
    }

    /// Does the work of the process, on this thread and those of the main runtime.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.main.block_on(work)
    }

    /// Where the API answers.
    #[must_use]
    pub fn api(&self) -> Handle {
        self.api.as_ref().unwrap_or(&self.main).handle().clone()
    }

    /// Ends both without waiting: what hangs on purpose does not hold up the end.
    pub fn end(self) {
        let Self { main, api } = self;
        // First those who might wait for the others.
        if let Some(api) = api {
            api.shutdown_background();
        }
        main.shutdown_background();
    }
}

/// Threads of the main runtime and of the API's: to read a request and answer it is about a third of the work.
fn shares(processors: usize) -> (usize, usize) {
    let api = ((processors + 1) / 3).max(1);
    (processors.saturating_sub(api).max(1), api)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_thread_and_the_api_a_third_of_many() {
        let shared: Vec<_> = [1, 2, 3, 4, 5, 8, 16].into_iter().map(shares).collect();
        assert_eq!(shared, [(1, 1), (1, 1), (2, 1), (3, 1), (3, 2), (5, 3), (11, 5)]);
    }

    #[test]
    fn what_does_one_thing_needs_no_second_runtime() {
        for roles in [&[][..], &[Role::Api], &[Role::Dispatch]] {
            let threads = Threads::start(roles).expect("threads");
            assert_eq!(threads.api().id(), threads.main.handle().id(), "{roles:?}");
        }
        let threads = Threads::start(&Role::ALL).expect("threads");
        assert_ne!(threads.api().id(), threads.main.handle().id());
    }
}
