//! Tidings

pub mod domain;

pub mod dialect;

pub mod embedded;
pub mod net;
pub mod store;
