//! Tidings

pub mod actions;
pub mod api;
pub mod dialect;
pub mod dispatch;
pub mod domain;
pub mod embedded;
pub mod net;
pub mod store;

pub mod app;
pub mod config;
pub mod shutdown;
pub mod telemetry;

pub mod cli;
