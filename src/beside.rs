//! Work in another runtime.
//!
//! Sockets and timers live in the runtime that they are made in. What outlives a request, such as a connection that others use after it, is
//! made where those others are.

use std::future::pending;
use std::panic::resume_unwind;

use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

/// Has something done in a runtime, for as long as the caller waits for it.
pub(crate) async fn beside<T: Send + 'static>(runtime: &Handle, work: impl Future<Output = T> + Send + 'static) -> T {
    match AbortOnDropHandle::new(runtime.spawn(work)).await {
        Ok(done) => done,
        // A defect there is one here.
        Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
        // That runtime has ended, and this one is about to.
        Err(_) => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::oneshot;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    fn another() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
    }

    #[tokio::test]
    async fn it_is_done_there_and_ends_with_who_waits_for_it() {
        let other = another();
        let there = beside(other.handle(), async { Handle::current().id() }).await;
        assert_eq!(there, other.handle().id());

        let (alive, dead) = oneshot::channel::<()>();
        let mut waiting = Box::pin(beside(other.handle(), async move {
            let _alive = alive;
            pending::<()>().await;
        }));
        tokio::select! {
            biased;
            () = &mut waiting => unreachable!("it never ends"),
            () = yield_now() => {}
        }
        drop(waiting);
        timeout(Duration::from_secs(10), dead).await.expect("its end").expect_err("nothing was sent");
        other.shutdown_background();
    }

    #[tokio::test]
    async fn a_defect_there_is_one_here() {
        let other = another();
        let handle = other.handle().clone();
        let here = tokio::spawn(async move { beside(&handle, async { panic!("on purpose") }).await });
        assert!(here.await.expect_err("a panic").is_panic());
        other.shutdown_background();
    }
}
