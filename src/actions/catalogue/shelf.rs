//! The shelf: compiled schemas that are kept, within so many bytes.
//!
//! A schema is compiled when it first checks something, and again where it had to make room meanwhile. Those that were used since room
//! was last made stay before those that were not.
//!
//! # Memory
//!
//! What compiled schemas take in a process is at most 256 MiB: those on the shelf 128 MiB ([`ROOM`]), and those that are in use beside
//! it [`AT_ONCE`] times the 16 MiB that one may take ([`MAX_SIZE`](crate::domain::schema::MAX_SIZE)); a thread that serves requests may,
//! for half a millisecond, have one more that just had to make room. A schema's size counts what searches with its patterns remember in
//! one thread; only another thread that uses the same pattern at the same instant makes that more. Schemas that an earlier version took
//! may be larger; they too stay on the shelf only as long as there is room.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tracing::error;

use crate::domain::ids::TenantId;
use crate::domain::schema::Schema;
use crate::turns::{Turn, Turns};

/// Bytes of schemas on the shelf.
const ROOM: usize = 128 * 1024 * 1024;
/// Requests that compile schemas or check much at once.
const AT_ONCE: usize = 8;

/// Where a schema stands.
#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// It was compiled, and is to be had as long as it is on the shelf or in use.
    Compiled(Weak<Compiled>),
    Unusable,
}

/// A schema on the shelf.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) schema: Schema,
    /// It was used since room was last made.
    is_used: AtomicBool,
}

/// The schema of an event type, compiled or not.
#[derive(Debug)]
pub(super) struct Slot {
    text: String,
    state: Mutex<State>,
}

impl Slot {
    pub(super) fn new(text: String) -> Self {
        Self { text, state: Mutex::default() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The schema, where it is ready to check with.
    pub(super) fn ready(&self) -> Option<Arc<Compiled>> {
        let State::Compiled(compiled) = &*self.state() else { return None };
        let compiled = compiled.upgrade()?;
        compiled.is_used.store(true, Ordering::Relaxed);
        Some(compiled)
    }

    pub(super) fn is_unusable(&self) -> bool {
        matches!(*self.state(), State::Unusable)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The shelf.
#[derive(Debug)]
pub(super) struct Shelf {
    kept: Mutex<Kept>,
    turns: Turns,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { kept: Mutex::default(), turns: Turns::new(AT_ONCE) }
    }
}

#[derive(Debug, Default)]
struct Kept {
    schemas: VecDeque<Arc<Compiled>>,
    /// Their sizes together.
    size: usize,
}

impl Shelf {
    /// Waits for a tenant's turn to compile schemas, or to check much.
    pub(super) async fn turn(&self, tenant_id: TenantId) -> Option<Turn> {
        self.turns.take(tenant_id).await
    }

    /// A schema, compiled where it is not ready, which may take seconds. `None` where it cannot be used.
    pub(super) fn get(&self, slot: &Slot) -> Option<Arc<Compiled>> {
        if let Some(ready) = slot.ready() {
            return Some(ready);
        }
        if slot.is_unusable() {
            return None;
        }
        match Schema::compile_stored(&slot.text) {
            Ok(schema) => {
                let compiled = Arc::new(Compiled { schema, is_used: AtomicBool::new(false) });
                *slot.state() = State::Compiled(Arc::downgrade(&compiled));
                self.kept.lock().unwrap_or_else(PoisonError::into_inner).put(&compiled, ROOM);
                Some(compiled)
            }
            Err(misfit) => {
                // It was compiled before it was stored, perhaps by another version of this program.
                error!(?misfit, "a stored schema cannot be used and is left out");
                *slot.state() = State::Unusable;
                None
            }
        }
    }
}

impl Kept {
    /// Keeps a schema; where there is no room, others make it that were not used for longer.
    fn put(&mut self, compiled: &Arc<Compiled>, room: usize) {
        let size = compiled.schema.size();
        if size > room {
            return;
        }
        while self.size + size > room
            && let Some(oldest) = self.schemas.pop_front()
        {
            if oldest.is_used.swap(false, Ordering::Relaxed) {
                self.schemas.push_back(oldest);
            } else {
                self.size -= oldest.schema.size();
            }
        }
        self.size += size;
        self.schemas.push_back(Arc::clone(compiled));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_kept_within_their_room_and_those_in_use_before_others() {
        let shelf = Shelf::default();
        // Each takes more than 9 MiB.
        let text = |n: usize| serde_json::json!({"const": vec![n; 20_000]}).to_string();
        let slots: Vec<_> = (0..40).map(|n| Slot::new(text(n))).collect();
        for slot in &slots {
            shelf.get(slot).expect("a schema");
            assert!(slots[0].ready().is_some(), "it is used all the time");
        }
        let ready: Vec<_> = slots.iter().filter_map(Slot::ready).collect();
        let sizes: usize = ready.iter().map(|compiled| compiled.schema.size()).sum();
        assert!((ROOM / 2..=ROOM).contains(&sizes), "{sizes}");
        assert!(slots[1].ready().is_none(), "it was not used again");
        drop(ready);
        assert_eq!(shelf.get(&slots[1]).expect("compiled anew").schema.check(b"1").len(), 1);
        assert!(slots[1].ready().is_some(), "and kept");
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_tried_once() {
        let (shelf, slot) = (Shelf::default(), Slot::new("{".to_owned()));
        assert!(shelf.get(&slot).is_none() && slot.is_unusable() && shelf.get(&slot).is_none());
    }
}
