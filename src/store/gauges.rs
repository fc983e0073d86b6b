//! What is measured of the database itself: for those who size a deployment.

use std::net::IpAddr;

use super::connections::Transaction;
use super::{Store, StoreError};

/// An open transaction that sees the database as it was, which is what holds back vacuum. Dropping it ends it.
#[derive(Debug)]
pub struct HeldSnapshot(#[expect(dead_code, reason = "held, not used")] Transaction);

impl Store {
    /// Bytes of log written since the database was made.
    pub async fn wal_bytes(&self) -> Result<i64, StoreError> {
        let bytes = sqlx::query_scalar!(r#"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS "bytes!""#);
        Ok(bytes.fetch_one(&self.pool).await?)
    }

    /// Bytes of the outbox on disk, its indexes included.
    pub async fn outbox_bytes(&self) -> Result<i64, StoreError> {
        let bytes = sqlx::query_scalar!(r#"SELECT pg_total_relation_size('tidings.outbox') AS "bytes!""#);
        Ok(bytes.fetch_one(&self.pool).await?)
    }

    /// Waits until what was written is on disk, its tables too. Refused to a role that has neither `pg_checkpoint` nor all rights.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        sqlx::query("CHECKPOINT").execute(&self.pool).await?;
        Ok(())
    }

    /// A process of the server, if it runs on this host: the one behind this connection.
    pub async fn local_backend(&self) -> Result<Option<u32>, StoreError> {
        let backend = sqlx::query!(r#"SELECT pg_backend_pid() AS "pid!", host(inet_server_addr()) AS address"#);
        let backend = backend.fetch_one(&self.pool).await?;
        // Without an address it is a socket file, which is local.
        let address = backend.address.map(|text| text.parse::<IpAddr>());
        let is_local = address.is_none_or(|address| address.is_ok_and(|address| address.is_loopback()));
        Ok(u32::try_from(backend.pid).ok().filter(|_| is_local))
    }

    /// Opens a transaction with a snapshot, and leaves it idle.
    pub async fn hold_snapshot(&self) -> Result<HeldSnapshot, StoreError> {
        let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await?;
        // The one transaction that is meant to be left so.
        sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(&mut *transaction).await?;
        // The first statement that reads takes the snapshot.
        sqlx::query!("SELECT 1 AS one").fetch_one(&mut *transaction).await?;
        Ok(HeldSnapshot(transaction))
    }
}
