//! Tidings

pub mod dialect;
pub mod domain;
pub mod store;
