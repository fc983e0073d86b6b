//! Statements that may wait for another transaction with the same idempotency key, apart from those that need not: a tenant whose
//! transactions stay open keeps nobody else waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::domain::ids::TenantId;
use crate::store::outbox::accept::NewEvent;

/// Statements under way at once, and those of one tenant: the connections are for everybody.
const STATEMENTS: usize = 3;
const OF_A_TENANT: usize = 2;
/// A key that another transaction held is taken to be held for so long: events with it go apart at once.
const SUSPECT: Duration = Duration::from_secs(10);
/// Keys that are remembered at most.
const SUSPECTS: usize = 10_000;

/// Clones share the turns.
#[derive(Clone)]
pub(super) struct Apart(Arc<Shared>);

struct Shared {
    turns: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    /// Until when each is suspected.
    suspects: Mutex<HashMap<(TenantId, String), Instant>>,
}

/// The right to a statement.
pub(super) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Apart {
    fn default() -> Self {
        Self(Arc::new(Shared {
            turns: Arc::new(Semaphore::new(STATEMENTS)),
            tenants: Mutex::default(),
            suspects: Mutex::default(),
        }))
    }
}

impl Apart {
    /// Waits for a turn of this tenant's.
    pub(super) async fn turn(&self, tenant_id: TenantId) -> Option<Turn> {
        let own = {
            let mut tenants = lock(&self.0.tenants);
            tenants.retain(|_, turns| Arc::strong_count(turns) > 1);
            Arc::clone(tenants.entry(tenant_id).or_insert_with(|| Arc::new(Semaphore::new(OF_A_TENANT))))
        };
        let own = own.acquire_owned().await.ok()?;
        let all = Arc::clone(&self.0.turns).acquire_owned().await.ok()?;
        Some(Turn { _own: own, _all: all })
    }

    /// The event's key was held by another transaction.
    pub(super) fn suspect(&self, event: &NewEvent) {
        let Some(place) = place(event) else { return };
        let now = Instant::now();
        let mut suspects = lock(&self.0.suspects);
        suspects.retain(|_, until| *until > now);
        if suspects.len() < SUSPECTS {
            suspects.insert(place, now + SUSPECT);
        }
    }

    /// Whether the event's key was held by another transaction lately.
    pub(super) fn is_suspect(&self, event: &NewEvent) -> bool {
        if event.idempotency_key.is_none() {
            return false;
        }
        let suspects = lock(&self.0.suspects);
        !suspects.is_empty()
            && place(event).is_some_and(|place| suspects.get(&place).is_some_and(|until| *until > Instant::now()))
    }
}

fn place(event: &NewEvent) -> Option<(TenantId, String)> {
    Some((event.event.tenant_id, event.idempotency_key.clone()?))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::super::fixtures::event;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_waits_leaves_turns_to_others() {
        let apart = Apart::default();
        let turn = async |tenant| timeout(SUSPECT, apart.turn(TenantId::from_u128(tenant))).await.ok().flatten();
        let mut held = Vec::new();
        for tenant in [1, 1, 2] {
            held.push(turn(tenant).await.expect("a turn"));
        }
        assert!(turn(1).await.is_none() && turn(3).await.is_none());
        held.remove(0);
        assert!(turn(3).await.is_some() && turn(1).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_suspected_for_a_while() {
        let apart = Apart::default();
        let keyed = |key: &str| NewEvent { idempotency_key: Some(key.to_owned()), ..event() };
        apart.suspect(&keyed("a"));
        apart.suspect(&event());
        assert!(apart.is_suspect(&keyed("a")) && !apart.is_suspect(&keyed("b")) && !apart.is_suspect(&event()));
        advance(SUSPECT).await;
        assert!(!apart.is_suspect(&keyed("a")));
    }
}
