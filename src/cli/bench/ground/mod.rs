//! What a bench stands on: a Postgres, Tidings processes, receivers, tenants and their webhooks.
//!
//! **Invariants**
//! - Every process that is started here ends with the bench, however that ends: its standard input is a pipe that only
//!   the bench holds (see `lifeline`). Postgres is not a child of the bench: a child keeps it.
//! - Children are not in the terminal's process group: Ctrl-C asks the bench, and the bench asks them.

mod caller;
mod child;
mod furnish;
mod postgres;
mod receivers;
mod tidings;

use std::path::PathBuf;

use secrecy::ExposeSecret;
use tokio_util::task::TaskTracker;

use super::measure::postmaster_of;
use super::options::{Options, Site};
use crate::cli::Failure;
use crate::config::Config;
use crate::domain::secret::Secret;
use crate::store::{self, Store};
use postgres::Postgres;

pub(in crate::cli) use caller::Caller;
pub(in crate::cli) use furnish::Furnished;
pub(in crate::cli) use receivers::Receivers;
pub(in crate::cli) use tidings::Tidings;

/// The ground of one scenario.
#[derive(Debug)]
pub(in crate::cli) struct Ground {
    /// The database, where it is known.
    pub(in crate::cli) store: Option<Store>,
    /// The postmaster, where it runs on this host.
    pub(in crate::cli) postgres: Option<u32>,
    /// The receivers.
    pub(in crate::cli) receivers: Receivers,
    way: Way,
    own_postgres: Option<Postgres>,
    is_passing: bool,
    children: TaskTracker,
}

/// How to come by a Tidings.
#[derive(Debug)]
enum Way {
    /// It runs already.
    There(Tidings),
    /// Processes of our own.
    Own(tidings::Settings),
}

impl Ground {
    /// Starts what is necessary. Not to be dropped half-way: see [`Ground::clear`].
    pub(in crate::cli) async fn prepare(
        options: &Options,
        config: &Config,
        config_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let children = TaskTracker::new();
        let receivers = Receivers::start(options.receiver_host, &children).await?;
        let (mut own_postgres, mut is_passing) = (None, false);
        let (way, url) = match options.site()? {
            Site::Running { address, authority, key, pids } => {
                let there = Tidings::there(address, authority, key, pids);
                (Way::There(there), options.database_url.clone())
            }
            Site::Database(url) => (Way::Own(tidings::Settings::new(&url, config, config_file, options)), Some(url)),
            Site::Embedded(data_dir) => {
                is_passing = data_dir.is_none();
                let url = own_postgres.insert(Postgres::start(data_dir.as_deref()).await?).url().clone();
                (Way::Own(tidings::Settings::new(&url, config, config_file, options)), Some(url))
            }
        };
        let store = url.map(|url| connect(&url)).transpose()?;
        let mut ground = Self { store, postgres: None, receivers, way, own_postgres, is_passing, children };
        if let Err(failure) = ground.look_at_postgres().await {
            ground.clear().await;
            return Err(failure);
        }
        Ok(ground)
    }

    async fn look_at_postgres(&mut self) -> Result<(), Failure> {
        if let Some(store) = &self.store {
            store.reach().await?;
            self.postgres = store.local_backend().await?.and_then(postmaster_of);
        }
        Ok(())
    }

    /// This many processes, ready for requests; if there is one already, that one.
    pub(in crate::cli) async fn tidings(&self, processes: usize) -> Result<Tidings, Failure> {
        match &self.way {
            Way::There(there) => Ok(there.again()),
            Way::Own(settings) => Tidings::start(settings, processes, &self.children).await,
        }
    }

    /// Whether what was made here disappears with the ground.
    pub(in crate::cli) const fn is_passing(&self) -> bool {
        self.is_passing
    }

    /// Whether processes are started here, or there is one already.
    pub(in crate::cli) const fn starts_tidings(&self) -> bool {
        matches!(self.way, Way::Own(_))
    }

    /// Ends everything that was started here, and waits until it has ended.
    pub(in crate::cli) async fn clear(self) {
        let Self { store, receivers, way, own_postgres, children, .. } = self;
        // Whoever starts or holds processes lets go of them.
        drop((receivers, way));
        children.close();
        children.wait().await;
        if let Some(store) = store {
            store.close().await;
        }
        if let Some(postgres) = own_postgres {
            postgres.stop().await;
        }
    }
}

fn connect(url: &Secret) -> Result<Store, Failure> {
    let config = store::Config { connections: 3, hot_connections: 1, ..store::Config::default() };
    Ok(Store::connect(url.expose_secret(), &config)?)
}
