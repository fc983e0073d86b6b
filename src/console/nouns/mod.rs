//! What pages read of the API's answers. Its document (`docs/openapi.json`) explains each member.

mod attempts;
mod webhooks;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::caller::Refusal;
use super::show;

pub(super) use attempts::{Attempt, Ending, Glimpse, Trial};
pub(super) use webhooks::{Health, Webhook};

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    pub(super) page: Position,
    /// Why nothing is on it: the API takes its filters for wrong. Whoever typed them can put them right.
    #[serde(skip)]
    pub(super) refusal: Option<Refusal>,
}

impl<T> List<T> {
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self { data: Vec::new(), page: Position::default(), refusal: Some(refusal) }
    }

    /// What the answer says that shows it.
    pub(super) fn status(&self) -> StatusCode {
        self.refusal.as_ref().map(Refusal::status).unwrap_or_default()
    }
}

/// Where in its list a page is.
#[derive(Default, Deserialize)]
pub(super) struct Position {
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Tenant {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) environment: String,
    pub(super) default_dialect: String,
    pub(super) created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
pub(super) struct Dialect {
    pub(super) name: String,
}

/// An event; lists leave the data out.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) occurred_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    /// Byte for byte.
    pub(super) data: Option<Box<RawValue>>,
    pub(super) data_deleted_at: Option<DateTime<Utc>>,
    pub(super) deliveries: Vec<Brief>,
}

impl Event {
    /// Whether there may be more deliveries than the API lists with an event.
    pub(super) fn is_cut(&self) -> bool {
        self.deliveries.len() >= 1_000
    }
}

#[derive(Deserialize)]
pub(super) struct Brief {
    pub(super) id: String,
    pub(super) webhook_id: String,
    pub(super) state: String,
    pub(super) attempts: u32,
}

#[derive(Deserialize)]
pub(super) struct Receipt {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event_id: String,
    pub(super) event: Option<String>,
    pub(super) webhook_id: String,
    pub(super) dialect: String,
    pub(super) state: String,
    pub(super) attempts: u32,
    pub(super) created_at: DateTime<Utc>,
    pub(super) next_attempt_at: Option<DateTime<Utc>>,
    pub(super) settled_at: Option<DateTime<Utc>>,
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct DeadLetter {
    pub(super) id: String,
    pub(super) event: Option<String>,
    pub(super) webhook_id: String,
    pub(super) reason: String,
    pub(super) detail: Option<String>,
    pub(super) attempts: u32,
    pub(super) died_at: DateTime<Utc>,
    pub(super) last_attempt: Option<Ending>,
}

#[derive(Deserialize)]
pub(super) struct Replay {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) filter: Map<String, Value>,
    pub(super) state: String,
    pub(super) rate_per_second: u32,
    pub(super) progress: Progress,
    pub(super) skipped_reasons: Map<String, Value>,
    pub(super) estimated_end_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) finished_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
pub(super) struct Progress {
    pub(super) total: u64,
    pub(super) resent: u64,
    pub(super) skipped: u64,
    pub(super) counting: bool,
}

impl Replay {
    /// What it resends, in a line.
    pub(super) fn what(&self) -> String {
        let narrowed: Vec<_> =
            self.filter.iter().map(|(name, value)| format!("{name} {}", show::plain(value))).collect();
        let source = show::words(&self.source);
        if narrowed.is_empty() { format!("all {source}") } else { format!("{source}: {}", narrowed.join(", ")) }
    }

    /// Whether it may still go on.
    pub(super) fn is_open(&self) -> bool {
        self.state == "running" || self.state == "paused"
    }
}
