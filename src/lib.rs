//! Tidings

pub mod domain;

pub mod dialect;

pub mod net;
pub mod store;

pub mod actions;

pub mod api;
