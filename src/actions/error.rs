//! Why an action did not happen.

use crate::dialect::DialectError;
use crate::domain::secret::SecretError;
use crate::store::StoreError;

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which member, as a JSON pointer; for a query, the parameter's name.
    pub pointer: String,
    /// A stable word for it.
    pub code: &'static str,
    /// What is wrong, and what would be right.
    pub detail: String,
}

impl Fault {
    /// A fault of the member that `pointer` names.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// Why an action did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is no such thing, or not for this tenant.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The input is at fault.
    #[error("the input is not valid")]
    Invalid(Vec<Fault>),
    /// It cannot be done as things stand.
    #[error("{detail}")]
    Conflict {
        /// A stable word for it.
        code: &'static str,
        /// What stands in the way, and what to do.
        detail: String,
    },
    /// Others of its webhook are under way.
    #[error("too many tests and verifications of the webhook are under way")]
    TooManyTrials,
    /// It was changed since the caller looked (`If-Match`).
    #[error("it was changed meanwhile")]
    Stale,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sealed secret does not open.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A stored secret does not suit its dialect.
    #[error(transparent)]
    Dialect(#[from] DialectError),
}

/// What to do where a webhook's secrets, which a dialect's file of another time made, do not fit it.
pub const FIT_SECRET: &str = "rotate the webhook's secret with `overlap_seconds` 0, or restore the dialect's file";

impl ActionError {
    /// A [`ActionError::Conflict`].
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// An input with one fault.
    pub fn invalid(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault::new(pointer, code, detail)])
    }
}
