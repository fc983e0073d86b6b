//! Futures that wake themselves.
//!
//! hyper hands a request, or its body, from one future to another through channels whose ends are polled by the same task, so each
//! request wakes the task while it is polled. To the scheduler this is a task that yields: it goes to the end of the
//! queue, and another thread is woken to take it over. On a machine with little to do, that was more than a third of the wake-ups between
//! threads.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// What still has not come to rest after so many polls yields to the others.
const MOST: usize = 4;

/// Polls a future again at once where it was woken while it was polled.
pub(crate) async fn again<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let again = Again::new();
    poll_fn(move |cx| again.poll(cx, |cx| future.as_mut().poll(cx))).await
}

/// Polls again at once what was woken while it was polled. To what is polled it is one waker for ever, whichever task polls.
#[derive(Debug)]
pub(crate) struct Again {
    bell: Arc<Bell>,
    waker: Waker,
}

impl Again {
    pub(crate) fn new() -> Self {
        let bell = Arc::new(Bell::new());
        Self { waker: Waker::from(Arc::clone(&bell)), bell }
    }

    /// Polls for a task, which is woken for it from now on, until the result is there.
    pub(crate) fn poll<T>(&self, cx: &Context<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        self.bell.task.register(cx.waker());
        for _ in 0..MOST {
            self.bell.stir();
            if let Poll::Ready(output) = poll(&mut Context::from_waker(&self.waker)) {
                drop(self.bell.task.take());
                return Poll::Ready(output);
            }
            if self.bell.rest() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Polls once, for nobody: no task is woken for it.
    pub(crate) fn glance<T>(&self, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        poll(&mut Context::from_waker(&self.waker))
    }
}

/// The future is being polled.
const POLLED: u8 = 1;
/// Somebody rang since that began.
const RUNG: u8 = 2;

#[derive(Debug)]
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Bell {
    const fn new() -> Self {
        Self { state: AtomicU8::new(0), task: AtomicWaker::new() }
    }

    /// Begins a poll, which sees what was done before any ring until now.
    fn stir(&self) {
        self.state.swap(POLLED, Ordering::AcqRel);
    }

    /// Ends a poll; `false` if somebody rang since it began.
    fn rest(&self) -> bool {
        self.state.compare_exchange(POLLED, 0, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.fetch_or(RUNG, Ordering::AcqRel) & POLLED == 0 {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Counts how often its task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls once, and says how often the task was woken for it.
    fn poll_once(future: impl Future<Output = usize>) -> (Poll<usize>, usize) {
        let count = Arc::new(Count::default());
        let polled = pin!(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count))));
        (polled, count.0.load(Ordering::Relaxed))
    }

    /// Wakes itself so many times, then says how often it was polled.
    fn restless(times: usize) -> impl Future<Output = usize> {
        let mut polls = 0;
        poll_fn(move |cx| {
            polls += 1;
            if polls > times {
                return Poll::Ready(polls);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    #[test]
    fn a_future_that_wakes_itself_goes_on_without_its_task() {
        assert_eq!(poll_once(again(restless(3))), (Poll::Ready(4), 0));
    }

    #[test]
    fn a_task_that_has_its_result_is_not_held_on_to() {
        let (again, task) = (Again::new(), Arc::new(Count::default()));
        for (polled, holders) in [(Poll::Pending, 2), (Poll::Ready(()), 1)] {
            assert_eq!(again.poll(&Context::from_waker(&Waker::from(Arc::clone(&task))), |_| polled), polled);
            assert_eq!(Arc::strong_count(&task), holders);
        }
        again.glance(|cx| cx.waker().wake_by_ref());
        assert_eq!(task.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_never_rests_yields() {
        assert_eq!(poll_once(again(restless(100))), (Poll::Pending, 1));
    }

    #[tokio::test]
    async fn one_that_never_rests_comes_to_its_end() {
        assert_eq!(again(restless(100)).await, 101);
    }

    #[tokio::test]
    async fn no_ring_from_another_thread_is_missed() {
        let (bells, rope) = std::sync::mpsc::channel::<Waker>();
        let rung = Arc::new(AtomicUsize::new(0));
        let ringer = thread::spawn({
            let rung = Arc::clone(&rung);
            move || {
                for bell in rope {
                    rung.fetch_add(1, Ordering::Relaxed);
                    bell.wake();
                }
            }
        });
        let mut asked = 0;
        let ringing = poll_fn(move |cx| {
            let heard = rung.load(Ordering::Relaxed);
            if heard == 10_000 {
                return Poll::Ready(heard);
            }
            if heard == asked {
                asked += 1;
                bells.send(cx.waker().clone()).expect("somebody rings");
            }
            Poll::Pending
        });
        let heard = tokio::time::timeout(Duration::from_mins(1), again(ringing)).await.expect("no ring is missed");
        ringer.join().expect("it ends with the last bell");
        assert_eq!(heard, 10_000);
    }
}
