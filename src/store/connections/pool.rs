//! The pool: so many connections at most, made when needed and kept.

use std::fmt;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Execute, Executor, Postgres, SqlStr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use super::era::Era;
use super::hosts::{Greeted, Hosts};
use super::session::{Condition, Live, Session};
use super::transaction::Transaction;
use super::watch::Step;
use super::{ANSWER, SILENCE};

/// Between two tries to connect to a server that is not there yet.
const AGAIN: Duration = Duration::from_millis(50);
/// What a server says that is starting up or full: it may let us in soon.
const NOT_YET: [&str; 2] = ["57P03", "53300"];

/// After how long a connection that nobody used is asked whether it is well.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Trust(pub(in crate::store) Duration);

/// Connections to the primary among some hosts. Clones share them.
#[derive(Clone)]
pub(in crate::store) struct Pool(Arc<Shared>);

pub(super) struct Shared {
    hosts: Hosts,
    most: u32,
    wait: Duration,
    trust: Trust,
    /// A permit for each connection in somebody's hands.
    room: Arc<Semaphore>,
    idle: Mutex<Vec<Live>>,
    era: Era,
    closed: AtomicBool,
}

impl Pool {
    /// Connects lazily, to `most` connections, each waited for as long as `wait`.
    pub(in crate::store) fn new(hosts: Hosts, most: u32, wait: Duration, trust: Trust, era: &Era) -> Self {
        Self(Arc::new(Shared {
            hosts,
            most,
            wait,
            trust,
            room: Arc::new(Semaphore::new(most as usize)),
            idle: Mutex::default(),
            era: era.clone(),
            closed: AtomicBool::new(false),
        }))
    }

    /// A connection in good order.
    pub(in crate::store) async fn acquire(&self) -> Result<Session, sqlx::Error> {
        let acquire = async {
            let place = Arc::clone(&self.0.room).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let live = match self.0.idle_one().await {
                Some(live) => live,
                None => self.0.connect(&self.0.hosts).await?,
            };
            Ok(Session { live: Some(live), place: Some(place), pool: Arc::clone(&self.0) })
        };
        timeout(self.0.wait, acquire).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// A connection made in a way of its own, which is one more than the pool's and closed in the end.
    pub(in crate::store) async fn apart(
        &self,
        adapt: impl Fn(PgConnectOptions) -> PgConnectOptions,
    ) -> Result<Session, sqlx::Error> {
        let hosts = self.0.hosts.with(adapt);
        let live = timeout(self.0.wait, self.0.connect(&hosts)).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(Session { live: Some(live), place: None, pool: Arc::clone(&self.0) })
    }

    pub(in crate::store) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.begin_with("BEGIN").await
    }

    pub(in crate::store) async fn begin_with(&self, statement: &'static str) -> Result<Transaction, sqlx::Error> {
        Transaction::begin(self.acquire().await?, statement).await
    }

    /// Connects once, rather than until the time for it is over, and so can say what hinders it.
    pub(in crate::store) async fn reach(&self) -> Result<PgConnection, sqlx::Error> {
        self.reach_with(&self.0.hosts).await
    }

    /// As [`Pool::reach`], in a way of its own.
    pub(in crate::store) async fn reach_with(&self, hosts: &Hosts) -> Result<PgConnection, sqlx::Error> {
        let greeted = timeout(self.0.wait, hosts.greet(self.0.era.host())).await;
        let greeted = greeted.map_err(|_| sqlx::Error::PoolTimedOut)??;
        self.0.era.turns_to(&greeted, self.0.era.now());
        Ok(greeted.connection)
    }

    pub(in crate::store) fn hosts(&self) -> &Hosts {
        &self.0.hosts
    }

    /// How many connections there may be, how many there are, and how many of these nobody uses.
    pub(in crate::store) fn size(&self) -> (u32, u32, u32) {
        let used = self.0.most.saturating_sub(u32::try_from(self.0.room.available_permits()).unwrap_or(u32::MAX));
        let idle = u32::try_from(self.0.idle().len()).unwrap_or(u32::MAX);
        (self.0.most, used + idle, idle)
    }

    /// Gives out no more, and closes all as soon as they are back.
    pub(in crate::store) async fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        // All are back when all places are free.
        let all = self.0.room.acquire_many(self.0.most).await;
        self.0.room.close();
        drop(all);
        let idle = std::mem::take(&mut *self.0.idle());
        for live in idle {
            drop(timeout(ANSWER, live.connection.close()).await);
        }
    }
}

impl Shared {
    /// An idle connection that may be believed to be well.
    async fn idle_one(&self) -> Option<Live> {
        loop {
            let mut live = self.idle().pop()?;
            if live.generation != self.era.now() {
                continue;
            }
            if live.idle_since.elapsed() < self.trust.0 {
                return Some(live);
            }
            match timeout(ANSWER, live.connection.ping()).await {
                Ok(Ok(())) => return Some(live),
                _ => self.distrust(live.generation),
            }
        }
    }

    /// A new connection to the primary; one that is not there yet is waited for.
    async fn connect(&self, hosts: &Hosts) -> Result<Live, sqlx::Error> {
        loop {
            let era = self.era.now();
            match hosts.greet(self.era.host()).await {
                Ok(greeted) => {
                    let generation = self.era.turns_to(&greeted, era);
                    let Greeted { connection, backend, server, .. } = greeted;
                    let (condition, idle_since) = (Condition::default(), Instant::now());
                    return Ok(Live { connection, server, backend, condition, generation, idle_since });
                }
                Err(error) if comes_back(&error) && !self.closed.load(Ordering::Relaxed) => sleep(AGAIN).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a connection back from whoever had it.
    pub(super) fn take_back(self: &Arc<Self>, live: Live, place: Option<OwnedSemaphorePermit>) {
        if live.condition.broken {
            self.distrust(live.generation);
        } else if place.is_none() {
            // One apart: nobody wants it any more.
        } else if !live.condition.busy && !live.condition.in_transaction {
            self.keep(live);
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Arc::clone(self).put_in_order(live, place));
        }
    }

    /// Waits for the end of a statement that nobody waits for any more, and undoes a transaction.
    async fn put_in_order(self: Arc<Self>, mut live: Live, place: Option<OwnedSemaphorePermit>) {
        let order = async {
            live.connection.ping().await?;
            if live.condition.in_transaction {
                live.connection.execute(sqlx::raw_sql("ROLLBACK")).await?;
            }
            Ok::<_, sqlx::Error>(())
        };
        if let Ok(Ok(())) = timeout(SILENCE, order).await {
            live.condition = Condition::default();
            self.keep(live);
        }
        drop(place);
    }

    fn keep(&self, mut live: Live) {
        let is_current = live.generation == self.era.now();
        if is_current && !self.closed.load(Ordering::Relaxed) {
            live.idle_since = Instant::now();
            self.idle().push(live);
        }
    }

    /// One connection of a generation was lost: its sisters are not to be trusted either.
    fn distrust(&self, generation: u64) {
        self.era.ends(generation);
        let now = self.era.now();
        self.idle().retain(|live| live.generation == now);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Live>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a server may let us in soon.
pub(super) fn comes_back(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| NOT_YET.contains(&&*code)),
        _ => false,
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (most, open, idle) = self.size();
        f.debug_struct("Pool").field("most", &most).field("open", &open).field("idle", &idle).finish_non_exhaustive()
    }
}

/// Single statements, each on any connection.
impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let steps = async move {
            let mut session = self.acquire().await?;
            session.fetch_many(query).try_collect::<Vec<_>>().await
        };
        let steps = stream::once(steps).map(|steps| match steps {
            Ok(steps) => stream::iter(steps.into_iter().map(Ok)).left_stream(),
            Err(error) => stream::iter([Err(error)]).right_stream(),
        });
        steps.flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move { self.acquire().await?.fetch_optional(query).await })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move { self.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'p: 'e,
    {
        Box::pin(async move { self.acquire().await?.describe(sql).await })
    }
}
