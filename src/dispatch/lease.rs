//! This process's own lease, which covers every delivery it holds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::clock::Clock;
use crate::domain::lease::DispatcherId;
use crate::store::{Store, StoreError};

/// The lease as this process knows it: measured by how long the clock has been running, from before the database was asked,
/// so it never believes to hold one for longer than the database does.
#[derive(Debug)]
pub(super) struct Lease {
    clock: Clock,
    length: Duration,
    held: Mutex<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    id: DispatcherId,
    since: Duration,
}

impl Lease {
    /// Enlists the process.
    pub(super) async fn obtain(store: &Store, clock: &Clock, length: Duration) -> Result<Self, StoreError> {
        let since = clock.running_for();
        let id = store.enlist(clock.now(), length).await?;
        Ok(Self { clock: clock.clone(), length, held: Mutex::new(Held { id, since }) })
    }

    /// The number to claim under; `None` once the lease may have run out.
    ///
    /// The last sixth of the lease is not used to begin anything.
    pub(super) fn holder(&self) -> Option<DispatcherId> {
        let held = self.held();
        (self.age(held) < self.length.mul_f32(5.0 / 6.0)).then_some(held.id)
    }

    /// The number this process has, whether or not its lease is still good.
    pub(super) fn last_holder(&self) -> DispatcherId {
        self.held().id
    }

    /// Renews the lease when a third of it is over. `true` means that it had run out: what was held is lost to others, and
    /// the process goes on under a new number.
    pub(super) async fn keep(&self, store: &Store) -> Result<bool, StoreError> {
        let held = self.held();
        if self.age(held) < self.length / 3 {
            return Ok(false);
        }
        let since = self.clock.running_for();
        let now = self.clock.now();
        let renewed = store.renew(held.id, now, self.length).await?;
        let id = if renewed { held.id } else { store.enlist(now, self.length).await? };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Held { id, since };
        Ok(!renewed)
    }

    fn age(&self, held: Held) -> Duration {
        self.clock.running_for().saturating_sub(held.since)
    }

    fn held(&self) -> Held {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
