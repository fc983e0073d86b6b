//! Tidings

pub mod actions;
pub mod api;
pub mod dialect;
pub mod dispatch;
pub mod domain;
pub mod embedded;
pub mod net;
pub mod store;
