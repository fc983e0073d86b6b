//! The outbox and its road: what is accepted, claimed and settled, by whom, and where it goes.

pub mod accept;
pub mod claim;
pub mod destinations;
pub mod dispatchers;
pub mod rate_gates;
pub(super) mod routes;
pub mod settle;
