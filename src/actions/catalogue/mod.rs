//! The catalogue: the event types that a tenant has described, and what they ask of events.
//!
//! ```text
//!  no type described ── every type is accepted, with any data
//!         │ ▲
//!     PUT │ │ DELETE of the last
//!         ▼ │
//!  some described ── a type that is not among them is refused
//!                    one that is: data must fit its schema, where it has one
//!                    one that is deprecated: accepted, and the producer is told
//! ```
//!
//! | file | does |
//! |---|---|
//! | [`describe`](fn@describe) | what a tenant may say of a type |
//! | [`check`](fn@check) | holds events to it |
//! | [`view`] | the catalogues as this process knows them |
//! | `shelf` | compiled schemas, and what they take of memory |
//!
//! **Invariants**
//! - Tidings' own types stand outside: they are in no catalogue, and nobody else may report them.
//! - A change is in force in this process when it is answered, in others within a second ([`view::VALIDITY`]).
//! - What repeats an event that was accepted, by its key and content, is answered with that, whatever the catalogue says by now.
//! - SQL `tidings.enqueue` asks the catalogue for the type, in the producer's own transaction; it cannot check a schema.

mod check;
mod describe;
mod shelf;
pub mod view;

pub use check::{Deprecation, check};
pub use describe::{Description, describe, forget};
pub use view::Catalogues;
