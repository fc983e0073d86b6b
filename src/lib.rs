//! Tidings

pub mod domain;

pub mod dialect;

pub mod net;
pub mod store;
