//! The program put together: configuration → build → [`App`] → run → drain.
//!
//! **Invariants**
//! - Whatever can be wrong with the surroundings is found in [`App::build`] and reported in a sentence; after that, the
//!   program runs until it is told to stop.
//! - The end has two steps: first nothing new is accepted or claimed, then what is under way gets a grace time. What is
//!   left after it is released, so that another process takes it at once.
//! - The database is opened before and closed after everything else; it belongs to the caller ([`Database`]).
//! - Requests are answered in a runtime of their own, where a process with both roles has more than one thread ([`Threads`]); all else
//!   that lives longer than a request lives in the main one.
//!
//! **To add** a part that runs: build it in [`App::build`], run it in [`App::run`].

mod database;
mod door;
mod error;
mod files;
mod patient;
mod threads;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actions::Context;
use crate::actions::accept::{Acceptor, HandOffTarget};
use crate::api::{self, Api, Front};
use crate::beside::beside;
use crate::config::Config;
use crate::console;
use crate::dialect::Dialects;
use crate::dispatch::{Dispatcher, Keeper};
use crate::domain::clock::Clock;
use crate::domain::secret::MasterKeys;
use crate::net::Sender;
use crate::store::dialects::DialectText;
use crate::telemetry::Telemetry;

use door::Door;

pub use database::{Database, data_dir};
pub use error::{AppError, ListenError};
pub use threads::Threads;

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers the REST API.
    Api,
    /// Delivers.
    Dispatch,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Api, Self::Dispatch];

    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Dispatch => "dispatch",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// How long the collector of traces is waited for at the end.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// How long what the API started beside itself may go on after the grace time: its connections may have ended with that.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// How often a process without a dispatcher reads the database's clock; a dispatcher's watch does so with each look at what changed.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// A program that is ready to run.
pub struct App {
    context: Context,
    /// Where requests are answered.
    api: Handle,
    door: Option<Door>,
    /// A socket for metrics alone.
    metrics: Option<Door>,
    dispatcher: Option<Arc<Dispatcher>>,
    /// Drops what is old, where there is a dispatcher.
    keeper: Option<Keeper>,
    /// What the API started beside itself.
    tasks: TaskTracker,
    grace: Duration,
}

impl App {
    /// Puts the parts together that these roles need, on a database whose schema is this version's. Requests will be answered in the
    /// runtime `api`, everything else is done in the caller's.
    pub async fn build(config: &Config, roles: &[Role], database: &Database, api: Handle) -> Result<Self, AppError> {
        files::raise_limit(config.dispatch.max_in_flight);
        let context = context(config, database).await?;
        let (mut dispatcher, mut keeper) = (None, None);
        if roles.contains(&Role::Dispatch) {
            let started = Dispatcher::start(context.clone(), config.dispatch.clone()).await;
            dispatcher = Some(started.map_err(AppError::Statement)?);
            keeper = Some(Keeper::new(context.store.clone(), context.clock.clone(), config.retention.days));
        }
        let tasks = TaskTracker::new();
        let mut door = None;
        if roles.contains(&Role::Api) {
            // What is accepted here goes straight to the dispatcher here, where there is one.
            let target = dispatcher.clone().map(|dispatcher| Arc::new(dispatcher) as Arc<dyn HandOffTarget>);
            let acceptor = Acceptor::start(&context, target, &tasks);
            let parts = Api::new(context.clone(), acceptor, &config.server);
            let mut front = Front::new(parts.clone());
            if config.server.console {
                front = front.clone().with_pages(console::pages(parts, front));
            }
            door = Some(beside(&api, Door::open(config.server.listen, "`server.listen`", front)).await?);
        }
        let mut metrics = None;
        if let Some(address) = config.telemetry.metrics_listen {
            let router = api::metrics_router(context.clone());
            metrics = Some(beside(&api, Door::open(address, "`telemetry.metrics_listen`", router)).await?);
        }
        let grace = Duration::from_secs(config.dispatch.grace_seconds.into());
        Ok(Self { context, api, door, metrics, dispatcher, keeper, tasks, grace })
    }

    /// The time, as everything here tells it.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.context.clock
    }

    /// Where the API listens, if it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.door.as_ref().map(|door| door.address)
    }

    /// Where metrics are, if they have a socket of their own.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|door| door.address)
    }

    /// The API itself, for calls from within the process.
    #[must_use]
    pub fn front(&self) -> Option<Front> {
        self.door.as_ref().map(|door| door.front.clone())
    }

    /// Runs until told to stop, then drains.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { context, api, door, metrics, dispatcher, keeper, tasks, grace } = self;
        let (telemetry, ended) = (context.telemetry.clone(), CancellationToken::new());
        let end = ended.clone();
        let keeping = tokio::spawn(async move { telemetry.keep(end).await });
        let serve = async |door: Option<Door>| {
            if let Some(door) = door {
                let shutdown = shutdown.clone();
                beside(&api, async move { door.serve(&shutdown, grace).await }).await;
            }
        };
        let dispatch = async {
            match dispatcher {
                Some(dispatcher) => dispatcher.run(shutdown.clone()).await,
                None => drop(shutdown.run_until_cancelled(follow(&context)).await),
            }
        };
        let keep = async {
            if let Some(keeper) = keeper {
                Box::pin(keeper.run(shutdown.clone())).await;
            }
        };
        let deadline = async {
            shutdown.cancelled().await;
            tokio::time::Instant::now() + grace + LAST_TASKS
        };
        let (.., deadline) = tokio::join!(serve(door), serve(metrics), dispatch, keep, deadline);
        // They end with the last clone of the front; nobody should hold one any more.
        tasks.close();
        if tokio::time::timeout_at(deadline, tasks.wait()).await.is_err() {
            tracing::warn!("tasks of the API were still under way when the grace time ended");
        }
        // The last spans are made while the rest ends.
        ended.cancel();
        drop(tokio::time::timeout(LAST_SPANS, keeping).await);
    }
}

/// Keeps the clock in step with the database's.
async fn follow(context: &Context) {
    loop {
        let asked = Instant::now();
        if let Ok(now) = context.store.database_now().await {
            context.clock.follow(now, asked.elapsed());
        }
        tokio::time::sleep(CLOCK_EVERY).await;
    }
}

/// What every action works with.
async fn context(config: &Config, database: &Database) -> Result<Context, AppError> {
    let master_keys = master_keys(config)?;
    let sender = Sender::new(&config.egress)?;
    let dialects = Arc::new(Dialects::load(config.dialects.dir.as_deref())?);
    let texts: Vec<_> = dialects
        .iter()
        .map(|own| DialectText { name: own.name(), source: own.revision_source(), event_types: own.event_types() })
        .collect();
    let store = database.store.clone();
    let known: Vec<_> = master_keys.ids().map(str::to_owned).collect();
    if let Some(sealed_with) = store.unknown_master_key(&known).await.map_err(AppError::Statement)? {
        return Err(AppError::MasterKey(master_keys.lacks(&sealed_with)));
    }
    store.publish_dialects(&texts).await.map_err(AppError::Statement)?;
    let clock = wall_clock();
    let asked = Instant::now();
    clock.follow(store.database_now().await.map_err(AppError::Statement)?, asked.elapsed());
    let telemetry = Telemetry::new(&config.telemetry)?;
    Ok(Context { store, clock, dialects, master_keys, sender, telemetry })
}

/// The master keys that are configured.
pub fn master_keys(config: &Config) -> Result<MasterKeys, AppError> {
    config.secrets.keys().map_err(AppError::MasterKey)?.ok_or(AppError::NoMasterKey)
}

/// A running clock that starts with this host's time. Whoever has a database lets it follow the database's.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that seeds the clock")]
pub fn wall_clock() -> Clock {
    Clock::running(chrono::Utc::now())
}
