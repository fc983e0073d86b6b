//! Tidings

pub mod domain;
pub mod embedded;
