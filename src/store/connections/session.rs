//! A session: one connection, as long as somebody has it.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection, Describe, Either, Execute, Executor, Postgres, SqlStr};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::shared::Shared;
use super::transaction::Transaction;
use super::watch::{Doubt, Step, Watched, is_fatal};

/// How a connection stands between statements, and in one.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// A statement was begun, and its end was not seen.
    pub(super) busy: bool,
    /// It is of no use any more.
    pub(super) broken: bool,
    /// A transaction was begun on it.
    pub(super) in_transaction: bool,
}

impl Condition {
    /// A statement failed.
    pub(super) fn failed(&mut self, error: &sqlx::Error) {
        self.broken |= is_fatal(error);
        // The server has said all it has to say of a statement that it refused.
        self.busy &= !matches!(error, sqlx::Error::Database(_));
    }
}

/// A connection and what is known of it.
pub(super) struct Live {
    pub(super) connection: PgConnection,
    /// Where it leads to.
    pub(super) server: Arc<PgConnectOptions>,
    /// The server's process that it leads to.
    pub(super) backend: i32,
    pub(super) condition: Condition,
    /// The era it was made in: it is not used again in a later one.
    pub(super) era: u64,
    pub(super) idle_since: Instant,
}

/// A connection of the pool in somebody's hands. Dropping it gives it back, in good order or not at all.
pub(in crate::store) struct Session {
    pub(super) live: Option<Live>,
    pub(super) place: Option<OwnedSemaphorePermit>,
    pub(super) pool: Arc<Shared>,
}

impl Session {
    /// Closes the connection and waits for that; it goes back to no pool.
    pub(in crate::store) async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.live.take() {
            Some(live) => live.connection.close().await,
            None => Ok(()),
        }
    }

    /// The era that the connection was made in.
    pub(in crate::store) fn era(&self) -> Option<u64> {
        self.live.as_ref().map(|live| live.era)
    }

    /// Begins a transaction on it.
    pub(in crate::store) async fn begin(self) -> Result<Transaction, sqlx::Error> {
        Transaction::begin(self, "BEGIN").await
    }

    pub(super) fn condition(&mut self) -> Option<&mut Condition> {
        self.live.as_mut().map(|live| &mut live.condition)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            self.pool.take_back(live, self.place.take());
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backend = self.live.as_ref().map(|live| live.backend);
        f.debug_struct("Session").field("backend", &backend).finish_non_exhaustive()
    }
}

/// Statements, watched over.
impl<'c> Executor<'c> for &'c mut Session {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Some(Live { connection, server, backend, condition, .. }) = self.live.as_mut() else {
            return stream::iter([Err(sqlx::Error::PoolClosed)]).boxed();
        };
        condition.busy = true;
        let doubt = Doubt::about(server, *backend);
        Watched { steps: connection.fetch_many(query), condition, doubt }.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let mut steps = self.fetch_many(query);
        Box::pin(async move {
            let mut first = None;
            // To the end: what was stored can still be refused after the first row.
            while let Some(step) = steps.try_next().await? {
                if let Either::Right(row) = step {
                    first.get_or_insert(row);
                }
            }
            Ok(first)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.live.as_mut() {
            Some(live) => live.connection.prepare_with(sql, parameters),
            None => Box::pin(async { Err(sqlx::Error::PoolClosed) }),
        }
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.live.as_mut() {
            Some(live) => live.connection.describe(sql),
            None => Box::pin(async { Err(sqlx::Error::PoolClosed) }),
        }
    }
}
