//! What can be wrong with a dialect.

use std::fmt;

/// Why a dialect's file, or a secret for it, cannot be used: where, which key, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialectError {
    place: Option<String>,
    key: Option<String>,
    problem: String,
}

impl DialectError {
    /// `problem` continues a sentence that begins with the key.
    pub(super) fn at(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: None, key: Some(key.into()), problem: problem.into() }
    }

    /// A problem with the whole.
    pub(super) fn whole(problem: impl Into<String>) -> Self {
        Self { place: None, key: None, problem: problem.into() }
    }

    /// Names the file or the dialect; the innermost place is kept.
    pub(super) fn within(mut self, place: impl Into<String>) -> Self {
        self.place.get_or_insert_with(|| place.into());
        self
    }
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "`{key}` ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for DialectError {}
