//! The way out: where Tidings may send, how it sends, and what came of it.
//!
//! | file | answers |
//! |---|---|
//! | [`target`] | which URLs are accepted, and in which form they are kept |
//! | [`guard`], `forbidden` | which addresses, names and ports are sent to |
//! | `lookup`, `resolver` | which addresses a name stands for, vetted |
//! | [`headers`] | which headers a tenant may add |
//! | [`sender`], `answer` | one POST and its answer |
//! | `classify` | what a failure means |
//!
//! **Invariants**
//! - Nothing else in Tidings connects to a receiver, and every [`Sender`] asks its [`Guard`] twice: before each request
//!   for what the URL says, and at each connection for what the name resolves to. What was vetted is what is dialled.
//! - A request is sent once: no redirect, no retry, no proxy. What may have reached the receiver counts as an attempt.
//! - [`Sender::send`] does not fail: whatever a receiver does is an [`Outcome`](crate::domain::outcome::Outcome), within
//!   the time and the bytes set for it. The status line decides between success and failure.
//! - No URL's path and no header's value appears in an error or in debug output.
//!
//! **To add** a forbidden network, add a line to `forbidden` with its source. **To add** a rule for URLs, add a variant
//! to [`UrlError`] with a sentence that says what to write instead. **To add** a receiver's misbehaviour, add a line to
//! the table in `tests/outcomes.rs`.

mod answer;
mod classify;
pub mod config;
mod forbidden;
pub mod guard;
pub mod headers;
mod lookup;
mod resolver;
pub mod sender;
pub mod target;
#[cfg(test)]
mod tests;
pub mod url_error;

pub use config::{Config, ConfigError};
pub use guard::{Blocked, Guard};
pub use headers::{HeaderError, HeaderFault, Headers, check_custom_headers};
pub use sender::{Request, Sender};
pub use target::{HostKind, Target};
pub use url_error::UrlError;
