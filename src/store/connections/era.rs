//! Eras: each lasts until a connection is lost, or another host takes the writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tracing::info;

use super::hosts::{Greeted, name};

/// Counts how often a connection to a server was lost, and knows which host that server is. Pools that lead to one server share it:
/// whatever cost one its connections will have cost the other the same.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Era(Arc<Lost>);

#[derive(Debug, Default)]
struct Lost {
    times: AtomicU64,
    host: AtomicUsize,
}

impl Era {
    pub(in crate::store) fn now(&self) -> u64 {
        self.0.times.load(Ordering::Relaxed)
    }

    pub(super) fn host(&self) -> usize {
        self.0.host.load(Ordering::Relaxed)
    }

    /// A host takes writes. Where it is another than before, connections to that are of no use any more.
    pub(super) fn turns_to(&self, greeted: &Greeted, era: u64) -> u64 {
        if self.0.host.swap(greeted.host, Ordering::Relaxed) == greeted.host {
            return era;
        }
        info!(database.host = name(&greeted.server), "the database's primary");
        self.ends(era);
        self.now()
    }

    /// A connection of this era was lost; of several, the first ends the era.
    pub(in crate::store) fn ends(&self, era: u64) {
        // Somebody else may have ended it.
        let _was_now = self.0.times.compare_exchange(era, era + 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}
