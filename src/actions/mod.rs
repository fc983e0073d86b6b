//! What Tidings does, one verb a file: where rooms meet or where several things must happen together. A plain read goes from
//! `api` to `store`.
//!
//! **Invariants**
//! - An action gets everything it works with from its [`Context`] and its arguments; what must outlast
//!   a call is in three values that the caller holds: [`accept::Acceptor`], [`catalogue::Catalogues`] and [`webhooks::Trials`].
//! - Nothing is sent while a transaction is open.
//! - What the caller can mend is an [`ActionError`] that says how; all faults of an input are reported together.
//! - Secrets are sealed and opened in [`vault`] only.
//!
//! **To add** an action, add a file named by its verb; what happens to webhooks is in [`webhooks`], to event types in [`catalogue`].

pub mod accept;
pub mod catalogue;
pub mod dry_run;
pub mod erase;
mod error;
pub mod exhibit;
mod in_force;
mod member;
mod object;
pub mod observe;
pub mod replays;
pub mod reseal;
pub mod resend;
pub mod show_attempt;
pub mod tenants;
pub mod vault;
pub mod webhooks;

use std::sync::Arc;

pub use error::{ActionError, FIT_SECRET, Fault};
pub use member::Member;
pub use object::Object;

use crate::dialect::Dialects;
use crate::domain::clock::Clock;
use crate::domain::secret::MasterKeys;
use crate::net::Sender;
use crate::store::Store;
use crate::telemetry::Telemetry;

/// What every action works with. Clones share it.
#[derive(Debug, Clone)]
pub struct Context {
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// The wire languages on offer.
    pub dialects: Arc<Dialects>,
    /// What seals and opens secrets.
    pub master_keys: MasterKeys,
    /// The way out.
    pub sender: Sender,
    /// Where what was done is reported.
    pub telemetry: Telemetry,
}

impl Context {
    /// What to tell somebody who named a dialect that is not on offer.
    #[must_use]
    pub fn unknown_dialect(&self) -> String {
        let names: Vec<_> = self.dialects.iter().map(|profile| format!("`{}`", profile.name())).collect();
        format!("names no dialect; there are {}", names.join(", "))
    }
}
