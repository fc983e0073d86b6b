//! Workers: tasks that take one delivery after another, and rest where there is none to start.
//!
//! A worker is a task of several KiB. Where lanes are short, to begin one for each delivery would cost more than to sign.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::dispatcher::Dispatcher;
use super::lanes::Pace;
use crate::domain::ids::WebhookId;
use crate::domain::lease::Claimed;

impl Dispatcher {
    /// Calls workers that rest, and begins new ones where these do not suffice.
    pub(super) fn employ(self: &Arc<Self>, workers: usize) {
        for _ in 0..workers {
            if let Err(dispatcher) = self.crew.call(Arc::clone(self)) {
                self.tasks.spawn(dispatcher.work());
            }
        }
    }

    /// A worker: one delivery after another until none may be started, and again when it is called.
    async fn work(mut self: Arc<Self>) {
        loop {
            while let Some(claimed) = self.next() {
                let mut turn = Turn { dispatcher: &self, webhook_id: claimed.webhook_id, pace: None };
                turn.pace = Some(self.deliver(claimed).await);
            }
            self.maybe_quiet.notify_waiters();
            let called = self.crew.rest();
            drop(self);
            let Ok(dispatcher) = called.await else { return };
            self = dispatcher;
        }
    }

    fn next(self: &Arc<Self>) -> Option<Claimed> {
        let (claimed, hired) = {
            let mut lanes = self.lanes();
            (lanes.next()?, lanes.hire_for_turns())
        };
        self.employ(hired);
        Some(claimed)
    }
}

/// A worker's turn in a lane, which ends however the worker does.
struct Turn<'a> {
    dispatcher: &'a Arc<Dispatcher>,
    webhook_id: WebhookId,
    /// `None` while the delivery is on its way.
    pace: Option<Pace>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Self { dispatcher, webhook_id, pace } = self;
        if pace.is_none() {
            // A defect ended the worker, and with it all that was known of the delivery.
            dispatcher.lease.doubt();
        }
        let mut lanes = dispatcher.lanes();
        let is_low = lanes.done(*webhook_id, pace.unwrap_or(Pace::Restart));
        if pace.is_none() {
            lanes.dismiss();
        }
        let hired = lanes.hire_beside(*webhook_id);
        // One that goes on asks for itself.
        let hired = if pace.is_none() { hired + lanes.hire_for_turns() } else { hired };
        drop(lanes);
        dispatcher.employ(hired);
        if is_low {
            dispatcher.low.notify_one();
        }
    }
}

/// Workers at rest. `W` is what a worker is given to work with; at rest it holds none of that, so a crew keeps nothing alive.
#[derive(Debug)]
pub(super) struct Crew<W>(Mutex<Resting<W>>);

#[derive(Debug)]
struct Resting<W> {
    /// The last to come is called first: it has most of what it needs in the processor's caches.
    workers: Vec<oneshot::Sender<W>>,
    /// How many at the bottom have not been called since the last [`Crew::thin`].
    spare: usize,
    is_dismissed: bool,
}

impl<W> Crew<W> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Resting { workers: Vec::new(), spare: 0, is_dismissed: false }))
    }

    /// Takes a worker in; it is called, or dismissed by an error.
    pub(super) fn rest(&self) -> oneshot::Receiver<W> {
        let (call, called) = oneshot::channel();
        let mut resting = self.resting();
        if !resting.is_dismissed {
            resting.workers.push(call);
        }
        called
    }

    /// Calls one worker; without one to call, gives back what it was to work with.
    pub(super) fn call(&self, mut with: W) -> Result<(), W> {
        loop {
            let call = {
                let mut resting = self.resting();
                let Some(call) = resting.workers.pop() else { return Err(with) };
                resting.spare = resting.spare.min(resting.workers.len());
                call
            };
            match call.send(with) {
                Ok(()) => return Ok(()),
                // It was aborted at rest.
                Err(refused) => with = refused,
            }
        }
    }

    /// Dismisses those who were not needed since the last time.
    pub(super) fn thin(&self) {
        let mut resting = self.resting();
        let spare = resting.spare;
        let spare: Vec<_> = resting.workers.drain(..spare).collect();
        resting.spare = resting.workers.len();
        drop((resting, spare));
    }

    /// Dismisses all, also those yet to come.
    pub(super) fn dismiss(&self) {
        let mut resting = self.resting();
        resting.is_dismissed = true;
        resting.spare = 0;
        let all = std::mem::take(&mut resting.workers);
        drop((resting, all));
    }

    fn resting(&self) -> MutexGuard<'_, Resting<W>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    #[test]
    fn who_came_last_is_called_first_and_nobody_twice() {
        let crew = Crew::new();
        let (mut first, mut last) = (crew.rest(), crew.rest());
        assert_eq!(crew.call(1), Ok(()));
        assert_eq!((first.try_recv(), last.try_recv()), (Err(TryRecvError::Empty), Ok(1)));
        assert_eq!(crew.call(2), Ok(()));
        assert_eq!(first.try_recv(), Ok(2));
        assert_eq!(crew.call(3), Err(3));
    }

    #[test]
    fn one_that_is_gone_is_passed_over() {
        let crew = Crew::new();
        let mut there = crew.rest();
        drop(crew.rest());
        assert_eq!(crew.call(1), Ok(()));
        assert_eq!(there.try_recv(), Ok(1));
    }

    #[test]
    fn those_who_were_not_needed_for_a_while_are_dismissed() {
        let crew = Crew::new();
        let mut workers: Vec<_> = (0..3).map(|_| crew.rest()).collect();
        crew.thin();
        assert_eq!(crew.call(()), Ok(()));
        workers.pop();
        workers.push(crew.rest());
        crew.thin();
        let states: Vec<_> = workers.iter_mut().map(oneshot::Receiver::try_recv).collect();
        assert_eq!(states, [Err(TryRecvError::Closed), Err(TryRecvError::Closed), Err(TryRecvError::Empty)]);
    }

    #[test]
    fn after_the_end_nobody_rests() {
        let crew = Crew::<()>::new();
        let mut before = crew.rest();
        crew.dismiss();
        assert_eq!(before.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(crew.rest().try_recv(), Err(TryRecvError::Closed));
    }
}
