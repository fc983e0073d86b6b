//! Attempts: one POST and what came of it, as recorded.

use chrono::{DateTime, Utc};

use super::outcome::Outcome;

/// What is recorded of one attempt. The request is not: it is rendered again from the event, the webhook's revision
/// and the time, which give the same bytes.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it started; the time that is signed.
    pub started_at: DateTime<Utc>,
    /// The revision of the webhook (URL, custom headers) it was sent under.
    pub webhook_revision: i32,
    /// What the receiver did.
    pub outcome: Outcome,
}
