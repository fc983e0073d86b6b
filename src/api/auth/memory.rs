//! What was looked up a moment ago.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long an answer is trusted: a key revoked through another process is refused after that.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Entries at most; a full memory forgets everything, which costs a look-up each.
const CAPACITY: usize = 10_000;

/// Answers of the last second. A hit is a read lock and a look into a map.
#[derive(Debug)]
pub(super) struct Memory<K, V>(RwLock<Entries<K, V>>);

#[derive(Debug)]
struct Entries<K, V> {
    known: HashMap<K, (V, Instant)>,
    /// Counts how often everything was forgotten.
    forgets: u64,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(RwLock::new(Entries { known: HashMap::new(), forgets: 0 }))
    }
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// An answer that is still trusted; otherwise how often it was forgotten by then, to [`Memory::keep`] a new answer with.
    pub(super) fn recall(&self, key: &K) -> Result<V, u64> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match entries.known.get(key) {
            Some((value, until)) if Instant::now() < *until => Ok(value.clone()),
            _ => Err(entries.forgets),
        }
    }

    /// Keeps an answer, unless everything was forgotten since its question was put: it may be what was revoked.
    pub(super) fn keep(&self, key: K, value: V, forgets: u64) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.forgets != forgets {
            return;
        }
        if entries.known.len() >= CAPACITY {
            entries.known.clear();
        }
        entries.known.insert(key, (value, Instant::now() + TRUSTED_FOR));
    }

    /// Forgets everything.
    pub(super) fn forget(&self) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        entries.known.clear();
        entries.forgets += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_under_way_while_all_was_forgotten_is_not_kept() {
        let memory = Memory::default();
        let forgets = memory.recall(&1).expect_err("nothing is known");
        memory.keep(1, "one", forgets);
        assert_eq!(memory.recall(&1), Ok("one"));
        let forgets = memory.recall(&2).expect_err("not known");
        memory.forget();
        memory.keep(2, "two", forgets);
        assert!(memory.recall(&1).is_err() && memory.recall(&2).is_err());
    }
}
