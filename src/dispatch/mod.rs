//! The loop that delivers.
//!
//! ```text
//!   hand-off after accept ─┐
//!                          ├─→ lanes ─→ journey: sign → send → decide ─→ settler ─→ Postgres
//!   look: due lanes, claim ┘     ▲                                  │
//!                                └────────── the next one ──────────┘
//! ```
//! `run` is four loops. The *watch* renews the lease and takes note of changed webhooks, at a steady pace. The *look* gives back what
//! cannot be sent and claims what is due, which may take as long as it takes. The *upkeep* does [`chores`] and tells how webhooks fare,
//! with no part waiting for another. The fourth works on [`replays`]: what they resend becomes due and comes in by the next look.
//! [`Dispatcher::tick`] is one round of the first three. Beside them, workers take claimed deliveries out of the lanes one after another,
//! and each takes a delivery through its whole [`journey`]; where there is nothing to start, they rest ([`workers`]). What results say
//! about webhooks is counted in [`vitals`].
//!
//! **Invariants**
//! - Nothing is sent without a lease, nor under a view of the webhooks that is older than [`VIEW_VALIDITY`](crate::domain::lease::VIEW_VALIDITY).
//! - No transaction is open while a request is.
//! - What was sent is settled or, if Postgres stays away for longer than the lease, sent again: never forgotten.
//! - While results cannot be recorded, workers wait to hand them in, so nothing new is sent.
//!
//! While accepted deliveries are being stored, what sending them takes is read as far as it is not known ([`hand_off`]).
//! What is old is dropped by the [`Keeper`], beside the loops.
//!
//! **To add** a chore, write it beside the others in [`chores`], with how often it is done.

#[doc(hidden)]
pub mod benched;
mod chores;
mod claiming;
mod config;
mod destination;
mod directory;
mod dispatcher;
mod hand_off;
mod journey;
mod keeper;
mod lanes;
mod lease;
mod quiet;
mod replays;
mod settler;
mod shared_reads;
mod shutdown;
mod spans;
mod steady;
mod vitals;
mod workers;

pub use config::Config;
pub use dispatcher::Dispatcher;
pub use keeper::Keeper;
