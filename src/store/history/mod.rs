//! What was accepted and what became of it: events, deliveries, attempts and dead letters, as people read, resend and
//! cancel them.
//!
//! **Invariants**
//! - A list is read newest first along an index and stops at its limit, whatever lies behind: each table that may hold a
//!   delivery gives at most a page, and the pages are merged.
//! - What narrows a list in time (`from`, `to`, a cursor, an event) is a [`Span`] of ids, since ids begin with the time.
//! - A delivery is in one table at a time: one statement moves it.

pub mod attempts;
pub mod dead_letters;
pub mod deliveries;
pub mod erase;
pub mod events;
pub mod feed;
pub mod resend;
mod span;

pub use span::Span;
