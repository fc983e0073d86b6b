//! This process's own lease, which covers every delivery it holds.
//!
//! A statement that claims can fail after it took effect: the connection broke, or the answer was lost. What it leased then
//! names this process as holder, but this process does not know of it. So after a doubt the process goes on under a new
//! number, gives back what waits under the old one, keeps the old one alive until everything under way under it is settled, and then gives
//! it up, which frees the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::actions::Context;
use crate::domain::clock::Clock;
use crate::domain::lease::{DispatcherId, Holder};
use crate::store::{Store, StoreError};
use crate::telemetry::meters::Meters;

/// The lease as this process knows it: measured by how long the clock has been running, from before the database was asked,
/// so it never believes that it holds one for longer than the database does.
#[derive(Debug)]
pub(super) struct Lease {
    clock: Clock,
    length: Duration,
    /// The number to claim under comes last; the others are on their way out.
    numbers: Mutex<Vec<Number>>,
    /// Numbers that are over, and not yet given up in the database.
    retiring: Mutex<Vec<DispatcherId>>,
    in_doubt: AtomicBool,
    /// It ran out, and [`Lease::keep`] has not said so yet.
    ran_out: AtomicBool,
    meters: Meters,
}

#[derive(Debug, Clone)]
struct Number {
    holder: Holder,
    since: Duration,
}

impl Lease {
    /// Enlists the process.
    pub(super) async fn obtain(context: &Context, length: Duration) -> Result<Self, StoreError> {
        let Context { store, clock, telemetry, .. } = context;
        let numbers = Mutex::new(vec![enlist(store, clock, length).await?]);
        let (clock, meters, retiring) = (clock.clone(), telemetry.meters.clone(), Mutex::default());
        let (in_doubt, ran_out) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { clock, length, numbers, retiring, in_doubt, ran_out, meters })
    }

    /// What to claim under; `None` once the lease may have run out.
    pub(super) fn holder(&self) -> Option<Holder> {
        self.numbers().last().filter(|number| self.is_good(number)).map(|number| number.holder.clone())
    }

    /// Whether what was claimed under a number is still this process's.
    pub(super) fn covers(&self, holder: &Holder) -> bool {
        self.numbers().iter().any(|number| number.holder.id() == holder.id() && self.is_good(number))
    }

    /// All numbers that this process has.
    pub(super) fn ids(&self) -> Vec<DispatcherId> {
        self.numbers().iter().map(|number| number.holder.id()).collect()
    }

    /// Says that a claiming statement failed and may have taken effect.
    pub(super) fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// Renews the lease when a third of it is over, and goes on under a new number after a doubt. `true` means that it had run out:
    /// what was held is lost to others, and the process goes on under a new number.
    pub(super) async fn keep(&self, store: &Store) -> Result<bool, StoreError> {
        // Taken back first: a doubt that comes up under the new number is another one.
        if self.in_doubt.swap(false, Ordering::Relaxed) {
            let fresh = enlist(store, &self.clock, self.length).await.inspect_err(|_| self.doubt())?;
            self.numbers().push(fresh);
            info!("a claim failed halfway: going on under a new number");
        }
        self.renew(store).await?;
        // Said only now: had anything failed since, the next call would have had to say it.
        Ok(self.ran_out.swap(false, Ordering::Relaxed))
    }

    /// Whether nothing in this process was claimed under any of its numbers.
    pub(super) fn is_idle(&self) -> bool {
        self.numbers().iter().all(|number| number.holder.is_unused())
    }

    /// Gives up every number: what is not settled is free for others at once.
    pub(super) async fn surrender(&self, store: &Store) -> Result<(), StoreError> {
        let retiring = std::mem::take(&mut *self.retiring());
        for id in self.ids().into_iter().chain(retiring) {
            store.discharge(id, self.clock.now()).await?;
        }
        Ok(())
    }

    /// The number to claim under, where others are on their way out: what waits under those is to be given back.
    pub(super) fn successor(&self) -> Option<DispatcherId> {
        let numbers = self.numbers();
        numbers.last().filter(|_| numbers.len() > 1).map(|number| number.holder.id())
    }

    /// Gives up old numbers under which nothing is on its way any more.
    pub(super) async fn retire(&self, store: &Store) -> Result<(), StoreError> {
        {
            let mut retiring = self.retiring();
            let mut numbers = self.numbers();
            let current = numbers.last().map(|number| number.holder.id());
            numbers.retain(|number| {
                let is_over = Some(number.holder.id()) != current && number.holder.is_unused();
                if is_over {
                    retiring.push(number.holder.id());
                }
                !is_over
            });
        }
        loop {
            let Some(id) = self.retiring().first().copied() else { return Ok(()) };
            store.retire(id, self.clock.now()).await?;
            self.retiring().retain(|other| *other != id);
        }
    }

    async fn renew(&self, store: &Store) -> Result<(), StoreError> {
        let due: Vec<_> = {
            let numbers = self.numbers();
            let due = numbers.iter().filter(|number| self.age(number) >= self.length / 3);
            due.map(|number| number.holder.id()).collect()
        };
        for id in due {
            let since = self.clock.running_for();
            let renewed = store.renew(id, self.clock.now(), self.length).await?;
            let mut numbers = self.numbers();
            if renewed {
                numbers.iter_mut().filter(|number| number.holder.id() == id).for_each(|number| number.since = since);
            } else if let Some(place) = numbers.iter().position(|number| number.holder.id() == id) {
                warn!("the lease ran out: what was held is left to others");
                self.meters.dispatch.expired();
                self.ran_out.store(true, Ordering::Relaxed);
                numbers.remove(place);
            }
        }
        if self.ran_out.load(Ordering::Relaxed) {
            let fresh = enlist(store, &self.clock, self.length).await?;
            self.numbers().push(fresh);
        }
        Ok(())
    }

    /// The last sixth of a lease is not used to begin anything.
    fn is_good(&self, number: &Number) -> bool {
        self.age(number) < self.length.mul_f32(5.0 / 6.0)
    }

    fn age(&self, number: &Number) -> Duration {
        self.clock.running_for().saturating_sub(number.since)
    }

    fn retiring(&self) -> MutexGuard<'_, Vec<DispatcherId>> {
        self.retiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> MutexGuard<'_, Vec<Number>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn enlist(store: &Store, clock: &Clock, length: Duration) -> Result<Number, StoreError> {
    let since = clock.running_for();
    let id = store.enlist(clock.now(), length).await?;
    Ok(Number { holder: Holder::new(id), since })
}
