//! Tidings

pub mod domain;
pub mod net;
