//! The way out: where Tidings may send, how it sends, and what came of it.
//!
//! | file | answers |
//! |---|---|
//! | [`target`] | which URLs are accepted, and in which form they are kept |
//! | [`guard`] | which addresses, names, ports and connections are sent to |
//! | `dial` | how a connection is made: names looked up and vetted, sockets vetted, TLS |
//! | `pool` | connections that are used again |
//! | [`headers`] | which headers a tenant may add |
//! | [`sender`], `answer` | one POST and its answer |
//! | `classify` | what a failure means |
//!
//! **Invariants**
//! - Nothing else in Tidings connects to a receiver, and every [`Sender`] asks its [`Guard`] three times: before each
//!   request for what the URL says, before each connection for all that the name resolves to, and, before a byte is
//!   written, for where the connected socket really leads. One forbidden address refuses a name as a whole.
//! - A pooled connection leads to an address that was vetted, even if its name means another one by now. It takes no
//!   request that begins after its first minute, so a name's move is followed soon.
//! - A request is sent once: no redirect, no retry, no proxy (there is none to configure). What may have reached the
//!   receiver counts as an attempt.
//! - No receiver holds up another, nor makes anything pile up here: there are bounds for the look-ups of a domain, the requests on a shared
//!   connection, what precedes an answer over HTTP/1, and what is left to be sent after one.
//! - [`Sender::send`] does not fail: whatever a receiver does is an [`Outcome`](crate::domain::outcome::Outcome), within
//!   the time and the bytes set for it. The status line decides between success and failure.
//! - No URL's path and no header's value appears in an error or in debug output.
//!
//! **To add** a forbidden network, add a line to `guard/forbidden` with its source, and one to `tests/egress/forbidden.py`.
//! **To add** a rule for URLs, add a variant to [`UrlError`] with a sentence that says what to write instead. **To add** a
//! receiver's misbehaviour, add a line to a table in `tests/`.

mod answer;
mod classify;
pub mod config;
mod dial;
pub mod guard;
pub mod headers;
mod pool;
pub mod sender;
pub mod target;
#[cfg(test)]
mod tests;
pub mod url_error;

pub use classify::story;
pub use config::{Config, ConfigError};
pub use guard::{Blocked, Guard};
pub use headers::{HeaderError, HeaderFault, Headers, check_custom_headers};
pub use sender::{Request, Sender};
pub use target::{HostKind, Target};
pub use url_error::UrlError;
