//! Postgres: the only room that names sqlx. One noun a file, one operation a function.
//!
//! **Invariants**
//! - Every statement with parameters is checked against the schema when it is compiled (`.sqlx` holds the result).
//! - A statement on the hot path works on many rows at once, and none holds a transaction open while anything else happens.
//! - `tenant_id` is part of the key of everything that a tenant has, and of every query on a tenant's behalf.
//! - Time is a parameter, from [`Clock`](crate::domain::clock::Clock), which follows the database's own clock.
//!
//! **To add** a table: a migration, a file here named after its noun, and a comment above each column.

mod connections;
pub mod dialects;
mod error;
pub mod event_types;
mod gauges;
pub mod health;
pub mod history;
mod ids;
pub mod outbox;
mod partitions;
mod pool;
pub mod replays;
pub mod retention;
mod schema;
mod survey;
mod tenants;
pub mod webhooks;
mod words;

pub use connections::around_hosts;
pub use error::{MOST_OWED, StoreError};
pub use gauges::HeldSnapshot;
pub use pool::{Config, Store};
