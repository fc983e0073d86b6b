//! Event types: what a tenant says of the events that its services report.

use chrono::{DateTime, Utc};

/// An entry of a tenant's catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventType {
    /// The type, exactly as events name it.
    pub name: String,
    /// For people.
    pub description: String,
    /// The JSON Schema that data must fit, as it was given.
    pub schema: Option<String>,
    /// Data as an event of this type may have it, as it was given.
    pub example: Option<String>,
    /// Since when producers are told that it is on its way out.
    pub deprecated_at: Option<DateTime<Utc>>,
    /// When it was described first.
    pub created_at: DateTime<Utc>,
    /// When it was last described.
    pub updated_at: DateTime<Utc>,
    /// Its place in the list: newer types have greater ones.
    pub number: i64,
}
