//! Nouns and decisions, free of I/O: what a webhook, an event, a delivery and an attempt are, and what is decided
//! about them.
//!
//! **Invariants**
//! - Nothing here waits, reads a clock, draws a random number or names tokio, sqlx, axum or reqwest: time and chance
//!   are arguments.
//! - An identifier's type says what it names; a delivery's id contains its event's ([`ids`]).
//! - What a receiver did is a value ([`outcome::Outcome`]), never an error.
//!
//! **To add** a noun, give it a file of its own and its words from the contract.

pub mod attempt;
pub mod clock;
pub mod delivery;
pub mod event;
pub mod event_type;
pub mod health;
pub mod ids;
pub mod lease;
pub mod outcome;
pub mod page;
pub mod pointer;
pub mod replay;
pub mod retry;
pub mod schema;
pub mod secret;
pub mod tenant;
pub mod trace;
pub mod webhook;
