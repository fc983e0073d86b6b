//! What the suite knows: what was reported and how that was answered, and when something was broken.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

/// One event that a producer reported, or tried to.
#[derive(Debug, Clone)]
pub struct Item {
    pub tenant: usize,
    /// Its `data`, which names the cycle and the item and so is like no other.
    pub data: String,
    pub fate: Fate,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Answered 202, or the transaction was committed; under this id.
    Acknowledged { id: String, at: Instant },
    /// The transaction was rolled back.
    RolledBack,
    /// Reported without an idempotency key, and the answer was lost: stored once, or not at all.
    Unknown,
}

/// A time in which something was broken, and what may have been under way then was allowed to be sent again.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub from: Instant,
    pub to: Instant,
}

/// One cycle's notes.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Notes>);

#[derive(Debug, Default)]
struct Notes {
    items: Mutex<Vec<Item>>,
    wrong: Mutex<Vec<String>>,
    refused: Mutex<u32>,
}

impl Ledger {
    pub fn add(&self, item: Item) {
        self.0.items.lock().unwrap().push(item);
    }

    pub fn items(&self) -> Vec<Item> {
        self.0.items.lock().unwrap().clone()
    }

    /// The first acknowledgement after a moment.
    pub fn first_after(&self, moment: Instant) -> Option<Instant> {
        let items = self.0.items.lock().unwrap();
        let at = items.iter().filter_map(|item| match item.fate {
            Fate::Acknowledged { at, .. } => Some(at),
            _ => None,
        });
        at.filter(|at| *at > moment).min()
    }

    /// Something that must not be.
    pub fn complain(&self, of: impl Into<String>) {
        let mut wrong = self.0.wrong.lock().unwrap();
        if wrong.len() < 20 {
            wrong.push(of.into());
        }
    }

    pub fn complaints(&self) -> Vec<String> {
        self.0.wrong.lock().unwrap().clone()
    }

    /// A 503, as it should be.
    pub fn refused(&self) {
        *self.0.refused.lock().unwrap() += 1;
    }

    pub fn refusals(&self) -> u32 {
        *self.0.refused.lock().unwrap()
    }
}
