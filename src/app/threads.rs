//! Threads: how a process shares the processors out.
//!
//! A runtime's tasks are taken up by whichever of its threads is free, so one thread goes on with what another has in its caches, and frees
//! what another allocated. So a process that accepts and delivers has two runtimes: the *API's* reads requests and answers them, and the
//! *main* one stores and sends. An event and its answer pass between them, and the rest of a delivery stays where it is. On two processors
//! that saves an eighth of Tidings' CPU (`docs/performance.md`), and deliveries go on while a request takes long. A process that delivers
//! more slowly than it accepts should not accept faster: storing events in the main runtime, too, sees to that.
//!
//! A process that has one thread does everything in it: where several share the processors, that is cheapest.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use super::Role;

/// The runtimes of a process.
#[derive(Debug)]
pub struct Threads {
    main: Runtime,
    api: Option<Runtime>,
}

impl Threads {
    /// So many threads for these roles, beside the caller's; or none, if it is one: then the caller's does the work.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(roles: &[Role], threads: usize) -> io::Result<Self> {
        if threads <= 1 {
            return Ok(Self { main: Builder::new_current_thread().enable_all().build()?, api: None });
        }
        let runtime =
            |name, threads| Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build();
        let does_all = Role::ALL.iter().all(|role| roles.contains(role));
        let (for_main, for_api) = if does_all { shares(threads) } else { (threads, 0) };
        let api = (for_api > 0).then(|| runtime("tidings-api", for_api)).transpose()?;
        Ok(Self { main: runtime("tidings-worker", for_main)?, api })
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
fn shares(threads: usize) -> (usize, usize) {
    let api = (threads + 1) / 3;
    (threads - api, api)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_thread_and_the_api_a_third_of_many() {
        let shared: Vec<_> = [2, 3, 4, 5, 8, 16].into_iter().map(shares).collect();
        assert_eq!(shared, [(1, 1), (2, 1), (3, 1), (3, 2), (5, 3), (11, 5)]);
    }

    #[test]
    fn what_does_one_thing_or_has_one_thread_needs_no_second_runtime() {
        let is_shared = |roles: &[Role], threads| {
            let threads = Threads::start(roles, threads).expect("threads");
            threads.api().id() == threads.main.handle().id()
        };
        for roles in [&[][..], &[Role::Api], &[Role::Dispatch]] {
            assert!(is_shared(roles, 4), "{roles:?}");
        }
        assert!(is_shared(&Role::ALL, 1) && is_shared(&Role::ALL, 0));
        assert!(!is_shared(&Role::ALL, 2));
    }

    #[test]
    fn each_runtime_has_its_share() {
        let workers = |roles: &[Role], threads| {
            let threads = Threads::start(roles, threads).expect("threads");
            [threads.main.handle(), &threads.api()].map(|runtime| runtime.metrics().num_workers())
        };
        assert_eq!([workers(&Role::ALL, 1), workers(&Role::ALL, 2), workers(&Role::ALL, 5)], [[1, 1], [1, 1], [3, 2]]);
        assert_eq!(workers(&[Role::Dispatch], 5), [5, 5], "one and the same");
    }

    #[test]
    fn one_thread_does_everything() {
        let threads = Threads::start(&Role::ALL, 1).expect("threads");
        let (here, api) = (std::thread::current().id(), threads.api());
        let there = threads.block_on(async { api.spawn(async { std::thread::current().id() }).await });
        assert_eq!(there.expect("done"), here);
    }
}
