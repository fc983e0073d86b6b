//! Tidings

pub mod domain;
pub mod store;
