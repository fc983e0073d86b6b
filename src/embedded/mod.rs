//! The private Postgres: what `database.url = "embedded"`, `tidings dev` and the tests run on. Installed binaries, or
//! downloaded ones where there are none; one folder; one server, shared by every process that uses the folder.
//!
//! ```text
//! database.data_dir/         entered by everyone, written by us
//!   start.lock               held exclusively while a server is started, attached to or stopped
//!   users.lock               shared by every live `Server`: whoever can hold it exclusively is the last one
//!   password                 of the user `tidings`; 0600, owned by whoever Postgres runs as
//!   postgres/                Postgres' own data folder, 0700, owned likewise; it exists only when it is complete
//!   postgres.log             the log of the present server; `postgres.log.old` is the one before
//!   binaries/18.1.0/bin      downloaded binaries, where none were installed
//! ```
//!
//! **Invariants**
//! - What Postgres acknowledged is on disk: `fsync` and `synchronous_commit` stay on, and a new data folder is synced
//!   before it gets its name.
//! - It listens on 127.0.0.1 alone, wants a password (SCRAM), and has no socket file.
//! - It never runs as root, and lives apart from us: Ctrl-C or `kill -9` of a Tidings process does not touch it, and
//!   the next start attaches to it. Only the last [`Server::stop`] stops it.
//! - `postmaster.pid` is removed only on proof that the process it names is another program.
//! - A data folder belongs to one host (the locks and process ids mean nothing elsewhere).
//! - No SQL client here: the database `tidings` is made in single-user mode, everything else belongs to the store.
//!
//! **To add** a folder where binaries are found: `binaries.rs`, [`Config::settings`] or `launch.rs` for a server
//! setting, `folder.rs` for a file of ours.

mod account;
mod binaries;
mod cluster;
mod config;
mod download;
mod error;
mod folder;
mod launch;
mod postmaster;
mod server;

pub use config::Config;
pub use error::EmbeddedError;
pub use folder::PASSWORD_FILE;
pub use server::{DATABASE, Server, USER};

#[cfg(test)]
mod tests;
