//! The REST API: requests in, JSON or a problem out. The router reads as a table of contents.
//!
//! | file | answers |
//! |---|---|
//! | [`front`] | where requests come in |
//! | [`router`](mod@router) | which paths there are |
//! | [`auth`] | who asks, for which tenant, and whether they may |
//! | [`intake`], `body`, `depth` | what a JSON body must be |
//! | `leftover` | what nobody reads of a body |
//! | [`query`], [`paging`] | what follows the `?`, and how lists continue |
//! | [`problem`], [`kinds`] | everything that can go wrong, in one shape |
//! | `entrance` | what every request passes: its id, the last word on errors |
//! | [`openapi`] | the description that the routes give of themselves |
//! | `routes` | the handlers, a noun a file |
//!
//! **Invariants**
//! - A handler gets a tenant's id from [`auth::Authorized`] only, so none can forget to ask for the role.
//! - Who asks is known before the body is read.
//! - Every answer that is not a success is a [`problem::Problem`].
//! - A handler reads input, calls one action or the store, and writes the answer; it decides nothing else.
//!
//! **To add** a route: a handler in `routes` with its description ([`openapi`]), a line in [`router`](mod@router), a behaviour test.

pub mod auth;
mod body;
mod config;
mod depth;
mod entrance;
mod front;
pub mod intake;
pub mod kinds;
mod leftover;
pub mod openapi;
pub mod paging;
pub mod problem;
pub mod query;
mod router;
mod routes;

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use bytes::Bytes;

use crate::actions::Context;
use crate::actions::accept::Acceptor;
use crate::actions::catalogue::Catalogues;
use crate::actions::replays::Rates;
use crate::actions::webhooks::Trials;
use crate::domain::secret::Secret;
use crate::domain::tenant::Principal;
use problem::Problem;

pub use config::Config;
pub use front::Front;
pub use router::metrics_router;
#[doc(hidden)]
pub use routes::events::benched;

/// What every handler works with. Clones share it.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

struct Parts {
    context: Context,
    acceptor: Acceptor,
    keyring: auth::Keyring,
    catalogues: Catalogues,
    max_event_bytes: usize,
    /// What `/openapi.json` answers with; made when first asked for, since making it takes 2 MiB.
    document: OnceLock<Bytes>,
    replay_rates: Rates,
    room: body::Room,
    trials: Trials,
}

impl Api {
    /// An API over these things.
    #[must_use]
    pub fn new(context: Context, acceptor: Acceptor, config: &Config) -> Self {
        let keyring = auth::Keyring::new(config.platform_key.as_ref(), config.default_rate());
        let document = OnceLock::new();
        let max_event_bytes = config.max_event_bytes;
        let catalogues = Catalogues::new(context.store.clone());
        let replay_rates = Rates { usual: config.replay_rate_per_second, most: config.replay_max_rate_per_second };
        Self(Arc::new(Parts {
            context,
            acceptor,
            keyring,
            catalogues,
            max_event_bytes,
            document,
            replay_rates,
            room: body::Room::default(),
            trials: Trials::default(),
        }))
    }

    /// The way in for events.
    #[must_use]
    pub fn acceptor(&self) -> &Acceptor {
        &self.0.acceptor
    }

    /// Bytes of an event's body at most.
    #[must_use]
    pub fn max_event_bytes(&self) -> usize {
        self.0.max_event_bytes
    }

    /// Reads a body that a page sent, within the time and the size that its path allows; of 64 KiB at most.
    pub async fn form(&self, request: Request) -> Result<Bytes, Problem> {
        body::read(request, self).await
    }

    /// Whose a key is that asks for a page; refused where it has asked too often.
    pub async fn principal(&self, key: &Secret) -> Result<Arc<Principal>, Problem> {
        self.keyring().principal(key, &self.store).await
    }

    fn document(&self) -> Bytes {
        self.0.document.get_or_init(|| openapi::document(&self.dialects).to_string().into()).clone()
    }

    /// What tenants have said of their event types.
    #[must_use]
    pub fn catalogues(&self) -> &Catalogues {
        &self.0.catalogues
    }

    /// Deliveries a second that a replay resends.
    #[must_use]
    pub fn replay_rates(&self) -> Rates {
        self.0.replay_rates
    }

    /// Tests and verifications of webhooks under way.
    #[must_use]
    pub fn trials(&self) -> &Trials {
        &self.0.trials
    }

    fn room(&self) -> &body::Room {
        &self.0.room
    }

    fn keyring(&self) -> &auth::Keyring {
        &self.0.keyring
    }
}

impl Deref for Api {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0.context
    }
}
