//! Turns at what everybody needs: some at once, of which a tenant has one, so that whoever waits long keeps nobody else waiting.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::ids::TenantId;

/// So much for each, whoever else has how much. Clones share it; it knows only those who have or await some.
#[derive(Debug, Clone)]
pub(crate) struct Shares<K> {
    each: usize,
    known: Arc<Mutex<HashMap<K, Arc<Semaphore>>>>,
}

impl<K: Eq + Hash> Shares<K> {
    pub(crate) fn new(each: usize) -> Self {
        Self { each, known: Arc::default() }
    }

    /// What this one has.
    pub(crate) fn of(&self, key: K) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, share| Arc::strong_count(share) > 1);
        Arc::clone(known.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}

/// Clones share the turns.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    tenants: Shares<TenantId>,
}

/// A tenant's turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Turns {
    pub(crate) fn new(at_once: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(at_once)), tenants: Shares::new(1) }
    }

    /// Waits for a turn of this tenant's. There is always one to come; `None` is for what cannot happen.
    pub(crate) async fn take(&self, tenant_id: TenantId) -> Option<Turn> {
        let own = self.tenants.of(tenant_id).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Turn { _own: own, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_waits_leaves_turns_to_others() {
        let turns = Turns::new(3);
        let turn = async |tenant| {
            timeout(Duration::from_secs(10), turns.take(TenantId::from_u128(tenant))).await.ok().flatten()
        };
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
}
