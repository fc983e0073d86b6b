//! Tidings

pub mod domain;
