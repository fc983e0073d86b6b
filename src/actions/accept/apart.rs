//! Statements that may have to wait for another transaction with the same idempotency key run apart from those that need not: a tenant
//! whose transactions stay open keeps nobody else waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::domain::ids::TenantId;
use crate::store::outbox::accept::NewEvent;
use crate::turns::{Shares, Turn, Turns};

/// Statements under way at once, at most one per tenant: everybody shares the connections.
const STATEMENTS: usize = 3;
/// KiB of memory that a tenant's events may take while they wait apart: a quarter of what there is for all events that wait.
const MEMORY_KIB: u32 = super::MEMORY_KIB / 4;
/// A key that another transaction held is assumed to be held for this long: events with it go apart at once.
const SUSPECT: Duration = Duration::from_secs(10);
/// Once a tenant has this many such keys, every event that it reports with a key goes apart.
const MANY: usize = 3;

/// Clones share the turns.
#[derive(Clone)]
pub(super) struct Apart(Arc<Shared>);

struct Shared {
    turns: Turns,
    memory: Shares<TenantId>,
    /// Keys of each, and until when they are suspected.
    suspects: Mutex<HashMap<TenantId, HashMap<String, Instant>>>,
}

impl Default for Apart {
    fn default() -> Self {
        let memory = Shares::new(MEMORY_KIB as usize);
        Self(Arc::new(Shared { turns: Turns::new(STATEMENTS), memory, suspects: Mutex::default() }))
    }
}

impl Apart {
    /// Waits for a turn of this tenant's.
    pub(super) async fn turn(&self, tenant_id: TenantId) -> Option<Turn> {
        self.0.turns.take(tenant_id).await
    }

    /// This many KiB of what this tenant's events may take; `None` where those that wait leave no room for it.
    pub(super) fn room(&self, tenant_id: TenantId, kibibytes: usize) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(kibibytes).unwrap_or(u32::MAX).min(MEMORY_KIB);
        self.0.memory.of(tenant_id).try_acquire_many_owned(kibibytes).ok()
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
    use tokio::time::advance;

    use super::super::fixtures::event;
    use super::*;

    #[test]
    fn what_waits_takes_its_own_tenants_room() {
        let apart = Apart::default();
        let room = |tenant, mib: usize| apart.room(TenantId::from_u128(tenant), mib * 1_024);
        let first = room(1, 20).expect("room");
        let _second = room(1, 12).expect("all of it");
        assert!(room(1, 1).is_none());
        assert!(room(2, 1_000).is_some(), "however large, it may wait alone");
        drop(first);
        assert!(room(1, 20).is_some());
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
