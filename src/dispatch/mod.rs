//! The loop that delivers.

mod config;

pub use config::Config;
