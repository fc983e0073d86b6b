//! Statements that may wait for another transaction with the same idempotency key, apart from those that need not: a tenant whose
//! transactions stay open keeps nobody else waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::domain::ids::TenantId;
use crate::store::outbox::accept::NewEvent;

/// Statements under way at once: the connections are for everybody. A tenant has one of them.
const STATEMENTS: usize = 3;
/// A key that another transaction held is taken to be held for so long: events with it go apart at once.
const SUSPECT: Duration = Duration::from_secs(10);
/// With so many such keys, all that the tenant reports with a key does.
const MANY: usize = 3;

/// Clones share the turns.
#[derive(Clone)]
pub(super) struct Apart(Arc<Shared>);

struct Shared {
    turns: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    /// Keys of each, and until when they are suspected.
    suspects: Mutex<HashMap<TenantId, HashMap<String, Instant>>>,
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
            Arc::clone(tenants.entry(tenant_id).or_insert_with(|| Arc::new(Semaphore::new(1))))
        };
        let own = own.acquire_owned().await.ok()?;
        let all = Arc::clone(&self.0.turns).acquire_owned().await.ok()?;
        Some(Turn { _own: own, _all: all })
    }

    /// The event's key was held by another transaction.
    pub(super) fn suspect(&self, event: &NewEvent) {
        let Some(key) = &event.idempotency_key else { return };
        let now = Instant::now();
        let mut suspects = lock(&self.0.suspects);
        suspects.retain(|_, keys| {
            keys.retain(|_, until| *until > now);
            !keys.is_empty()
        });
        let keys = suspects.entry(event.event.tenant_id).or_default();
        if keys.len() < MANY || keys.contains_key(key) {
            keys.insert(key.clone(), now + SUSPECT);
        }
    }

    /// Whether the event's key was held by another transaction lately, or many of its tenant's were.
    pub(super) fn is_suspect(&self, event: &NewEvent) -> bool {
        let Some(key) = &event.idempotency_key else { return false };
        let now = Instant::now();
        let suspects = lock(&self.0.suspects);
        suspects.get(&event.event.tenant_id).is_some_and(|keys| {
            keys.get(key).is_some_and(|until| *until > now)
                || keys.len() >= MANY && keys.values().all(|until| *until > now)
        })
    }
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
        for tenant in [1, 2] {
            held.push(turn(tenant).await.expect("a turn"));
        }
        assert!(turn(1).await.is_none(), "it has one");
        held.push(turn(3).await.expect("a turn"));
        assert!(turn(4).await.is_none(), "all are taken");
        held.remove(0);
        assert!(turn(4).await.is_some() && turn(1).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_suspected_for_a_while() {
        let apart = Apart::default();
        let keyed = |key: &str| NewEvent { idempotency_key: Some(key.to_owned()), ..event() };
        apart.suspect(&keyed("a"));
        apart.suspect(&event());
        assert!(apart.is_suspect(&keyed("a")) && !apart.is_suspect(&keyed("b")) && !apart.is_suspect(&event()));
        for key in ["c", "d", "e"] {
            apart.suspect(&keyed(key));
        }
        assert!(apart.is_suspect(&keyed("b")), "many of the tenant's are");
        advance(SUSPECT).await;
        assert!(!apart.is_suspect(&keyed("a")) && !apart.is_suspect(&keyed("b")));
    }
}
