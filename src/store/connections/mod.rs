//! Connections: a pool of our own, whose statements notice when nobody is there to answer them any more.
//!
//! A connection can fall silent without ending: its server's host is gone, a failover left it behind, a firewall forgot it. Nobody
//! is told then, and whoever waits for an answer waits for as long as the kernel does, which is for ever. So once a statement has heard
//! nothing for [`SILENCE`], the server is asked over a new connection whether it is still at work on it. A long statement may take as long
//! as it takes. One whose answer cannot come any more ends with an error: its connection is closed, and no other that was made before is
//! used again.
//!
//! **Invariants**
//! - A connection is given out only if its last statement ended and no transaction is open on it.
//! - A statement whose caller went away is brought to its end or its connection is closed, before anybody else gets it.
//! - A connection is made only to a server that takes writes.
//! - Closing the pool waits for what is under way, and nothing here waits for ever.

mod era;
mod hosts;
mod pool;
mod session;
mod shared;
mod transaction;
mod watch;

use std::time::Duration;

pub(super) use era::Era;
pub(super) use hosts::Hosts;
pub use hosts::around_hosts;
pub(super) use pool::Pool;
pub(super) use session::Session;
pub(super) use shared::Trust;
pub(super) use transaction::Transaction;

/// A statement that hears nothing for this long is asked after.
const SILENCE: Duration = Duration::from_secs(2);
/// How long the server has to answer that.
const ANSWER: Duration = Duration::from_millis(1_500);
