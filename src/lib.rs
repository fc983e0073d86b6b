//! Tidings

pub mod domain;

pub mod dialect;

pub mod store;
