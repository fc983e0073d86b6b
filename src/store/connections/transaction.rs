//! A transaction, which is rolled back unless it is committed.

use std::ops::{Deref, DerefMut};

use sqlx::Executor;

use super::session::Session;

/// A transaction on a connection of the pool. Dropping it rolls it back, before anybody else gets the connection.
#[derive(Debug)]
pub(in crate::store) struct Transaction(Session);

impl Transaction {
    /// Begins one with this statement.
    pub(super) async fn begin(mut session: Session, statement: &'static str) -> Result<Self, sqlx::Error> {
        // Before it is true: if nobody learns how this ends, it may be.
        if let Some(condition) = session.condition() {
            condition.in_transaction = true;
        }
        session.execute(sqlx::raw_sql(statement)).await?;
        Ok(Self(session))
    }

    /// Makes what was done last.
    pub(in crate::store) async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Undoes what was done, and waits for that.
    pub(in crate::store) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.0.execute(sqlx::raw_sql(statement)).await?;
        if let Some(condition) = self.0.condition() {
            condition.in_transaction = false;
        }
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.0
    }
}
