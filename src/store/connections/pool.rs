//! The pool: a limited number of connections, made when needed and kept. Whoever waits for one to be made takes another if that comes back
//! first.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Execute, Executor, Postgres, SqlStr};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::ANSWER;
use super::era::Era;
use super::hosts::Hosts;
use super::session::Session;
use super::shared::{Shared, Trust};
use super::transaction::Transaction;
use super::watch::Step;

/// Connections to the primary among some hosts. Clones share them.
#[derive(Clone)]
pub(in crate::store) struct Pool(Arc<Shared>);

impl Pool {
    /// Connects lazily and in the runtime that this is called in, to `most` connections, each waited for as long as `wait`.
    pub(in crate::store) fn new(hosts: Hosts, most: u32, wait: Duration, trust: Trust, era: &Era) -> Self {
        Self(Arc::new(Shared {
            runtime: Handle::current(),
            hosts,
            most,
            wait,
            trust,
            room: Arc::new(Semaphore::new(most as usize)),
            rest: Mutex::default(),
            era: era.clone(),
            closed: CancellationToken::new(),
        }))
    }

    /// A connection in good order.
    pub(in crate::store) async fn acquire(&self) -> Result<Session, sqlx::Error> {
        let until = Instant::now() + self.0.wait;
        let acquire = async {
            let place = Arc::clone(&self.0.room).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let (live, place) = self.0.take(place, until).await?;
            Ok(Session { live: Some(live), place: Some(place), pool: Arc::clone(&self.0) })
        };
        timeout_at(until, acquire).await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// A connection made in a way of its own, which is one more than the pool's and closed in the end.
    pub(in crate::store) async fn apart(
        &self,
        adapt: impl Fn(PgConnectOptions) -> PgConnectOptions,
    ) -> Result<Session, sqlx::Error> {
        let hosts = self.0.hosts.with(adapt);
        let live =
            timeout(self.0.wait, self.0.connect(&hosts, || true)).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
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
        let idle = u32::try_from(self.0.rest().idle.len()).unwrap_or(u32::MAX);
        (self.0.most, used + idle, idle)
    }

    /// Gives out no more, and closes all as soon as they are back.
    pub(in crate::store) async fn close(&self) {
        self.0.closed.cancel();
        // All are back when all places are free.
        let all = self.0.room.acquire_many(self.0.most).await;
        self.0.room.close();
        drop(all);
        let idle = std::mem::take(&mut self.0.rest().idle);
        for live in idle {
            drop(timeout(ANSWER, live.connection.close()).await);
        }
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
