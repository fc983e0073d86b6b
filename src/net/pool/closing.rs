//! Connections that come to their end after their last answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The time that a connection has to end in.
const CLOSE: Duration = Duration::from_secs(10);
/// Connections that come to their end at once. Each may hold a socket and the rest of a request, and no limit on requests under
/// way counts it: without this one, a receiver that answers without reading would have as many as it takes requests in [`CLOSE`].
const MOST: usize = 64;

/// Gives connections time to end as their protocol wants it. Clones share the limit.
#[derive(Clone)]
pub(super) struct Closing(Arc<Semaphore>);

impl Closing {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }

    /// Lets a connection end, for a while. Where too many do, or nothing can run any more, it is dropped at once.
    pub(super) fn close(&self, ending: impl Future<Output: Send> + Send + 'static) {
        let place = Arc::clone(&self.0).try_acquire_owned();
        let (Ok(runtime), Ok(place)) = (Handle::try_current(), place) else { return };
        runtime.spawn(async move {
            // What did not end by itself ends now.
            drop(timeout(CLOSE, ending).await);
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn as_many_as_there_is_room_for_get_their_time_and_the_others_none() {
        let (closing, alive) = (Closing::new(), Arc::new(()));
        let never = || {
            let alive = Arc::clone(&alive);
            async move {
                pending::<()>().await;
                drop(alive);
            }
        };
        for _ in 0..MOST + 10 {
            closing.close(never());
        }
        let alive = || Arc::strong_count(&alive) - 1;
        assert_eq!(alive(), MOST);
        tokio::time::sleep(CLOSE / 2).await;
        assert_eq!(alive(), MOST);
        tokio::time::sleep(CLOSE).await;
        assert_eq!(alive(), 0);
        closing.close(never());
        assert_eq!(alive(), 1, "there is room again");
    }

    #[test]
    fn where_nothing_runs_any_more_it_is_dropped() {
        let (alive, dead) = std::sync::mpsc::channel::<()>();
        Closing::new().close(async move { drop(alive) });
        assert!(dead.recv().is_err());
    }
}
