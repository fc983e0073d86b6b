//! What can go wrong with the database, as the rooms above distinguish it.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// Deliveries that the events of one statement owe at most, unless it is one event: about a second, and 25 MB in memory.
pub const MOST_OWED: usize = 100_000;

/// A failed statement.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is shutting down, or has no room. The same call may work later; this one may have taken effect all
    /// the same, where its answer was lost ([`StoreError::did_nothing`]).
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Another transaction stands in the way. Nothing was stored; the same call may work later.
    #[error("another transaction holds what this one needs")]
    Contended(#[source] sqlx::Error),
    /// A constraint forbids it; its name says which.
    #[error("the database refused it: {constraint}")]
    Constraint {
        /// The constraint's name.
        constraint: String,
        /// The whole error.
        #[source]
        source: sqlx::Error,
    },
    /// What was to be stored is stored, in part or whole, and a later step failed: what became of each is not known.
    #[error("stored, but what became of each event cannot be told: {0}")]
    Unsure(#[source] Box<Self>),
    /// Several events owe more deliveries than are stored with one statement. Nothing was stored.
    #[error("these events owe {deliveries} deliveries, and one statement stores {MOST_OWED} at most")]
    OwesTooMuch {
        /// How many they owe.
        deliveries: usize,
    },
    /// The schema is older than this program.
    #[error("the database's schema is not this version's: {0}; run `tidings migrate`")]
    Schema(String),
    /// The schema is newer than this program, and not only larger.
    #[error(
        "a later version of Tidings changed the database's schema beyond what this one can work with: that takes a program with migration {floor}, and this one ends at {known}"
    )]
    Outgrown {
        /// The migration that a program must know.
        floor: i64,
        /// The last one that this program knows.
        known: i64,
    },
    /// Anything else: a defect of Tidings or of the database.
    #[error("a database statement failed")]
    Failed(#[source] sqlx::Error),
}

/// SQLSTATE classes that mean "not now": connection exception, insufficient resources, operator intervention, system error,
/// and transaction rollback (serialization, deadlock).
const PASSING_CLASSES: [&str; 5] = ["08", "53", "57", "58", "40"];

/// Another transaction held a row for too long, or held one that it wanted from us: lock not available, deadlock.
const CONTENDED: [&str; 2] = ["55P03", "40P01"];

/// The server is in recovery after a failover and takes no writes, or gave this process up for lost in the middle of a transaction.
const NOT_NOW: [&str; 2] = ["25006", "25P03"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                if let Some(constraint) = database.constraint() {
                    return Self::Constraint { constraint: constraint.to_owned(), source: error };
                }
                let code = database.code().unwrap_or_default();
                if CONTENDED.contains(&&*code) {
                    return Self::Contended(error);
                }
                if NOT_NOW.contains(&&*code) || PASSING_CLASSES.iter().any(|class| code.starts_with(class)) {
                    return Self::Unavailable(error);
                }
                Self::Failed(error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(error),
            _ => Self::Failed(error),
        }
    }
}

impl StoreError {
    /// Whether the same call may work later, without anything being changed.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contended(_) | Self::Unsure(_))
    }

    /// Whether it is certain that a statement of its own transaction has done nothing and will do nothing: it never reached the database,
    /// or that says that it undid it. Of one that was cut short it is not: its answer may have been lost.
    #[must_use]
    pub fn did_nothing(&self) -> bool {
        match self {
            Self::Unavailable(error) | Self::Contended(error) | Self::Failed(error) => is_undone(error),
            Self::Constraint { source, .. } => is_undone(source),
            Self::Unsure(_) => false,
            Self::OwesTooMuch { .. } | Self::Schema(_) | Self::Outgrown { .. } => true,
        }
    }
}

/// An `ERROR` ends a statement and not its session; with `FATAL` the session ends, whatever it was at.
fn is_undone(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(database) => {
            let postgres = database.try_downcast_ref::<PgDatabaseError>();
            postgres.is_some_and(|error| error.severity() == PgSeverity::Error)
        }
        _ => false,
    }
}
