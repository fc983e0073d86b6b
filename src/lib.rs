//! Tidings

pub mod domain;

pub mod dialect;
