//! Webhooks and how they fare.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::console::show;

#[derive(Deserialize)]
pub(in crate::console) struct Webhook {
    pub(in crate::console) id: String,
    pub(in crate::console) url: String,
    pub(in crate::console) events: Vec<String>,
    pub(in crate::console) dialect: String,
    pub(in crate::console) description: String,
    pub(in crate::console) headers: Map<String, Value>,
    pub(in crate::console) retry: Option<Value>,
    pub(in crate::console) timeout_seconds: Option<i64>,
    pub(in crate::console) rate_limit: Option<i64>,
    pub(in crate::console) max_in_flight: Option<i64>,
    pub(in crate::console) state: String,
    pub(in crate::console) disabled_reason: Option<String>,
    pub(in crate::console) created_at: DateTime<Utc>,
    /// Only where it was just made.
    pub(in crate::console) signing_secret: Option<String>,
    pub(in crate::console) token: Option<String>,
}

#[derive(Deserialize)]
pub(in crate::console) struct Health {
    pub(in crate::console) attempts: u64,
    pub(in crate::console) success_rate: Option<f64>,
    pub(in crate::console) latency_ms: Latency,
    pub(in crate::console) consecutive_failures: u64,
    pub(in crate::console) failing_since: Option<DateTime<Utc>>,
    pub(in crate::console) parked_until: Option<DateTime<Utc>>,
    pub(in crate::console) oldest_undelivered: Option<Oldest>,
    pub(in crate::console) backlog: Backlog,
}

#[derive(Deserialize)]
pub(in crate::console) struct Latency {
    p50: Option<f64>,
    p95: Option<f64>,
}

#[derive(Deserialize)]
pub(in crate::console) struct Oldest {
    pub(in crate::console) at: DateTime<Utc>,
}

#[derive(Deserialize)]
pub(in crate::console) struct Backlog {
    count: u64,
    at_least: bool,
}

impl Health {
    pub(in crate::console) fn rate(&self) -> String {
        self.success_rate.map_or_else(|| "–".to_owned(), show::percent)
    }

    pub(in crate::console) fn p50(&self) -> String {
        self.latency_ms.p50.map_or_else(|| "–".to_owned(), show::milliseconds)
    }

    pub(in crate::console) fn p95(&self) -> String {
        self.latency_ms.p95.map_or_else(|| "–".to_owned(), show::milliseconds)
    }

    pub(in crate::console) fn waiting(&self) -> String {
        let Backlog { count, at_least } = self.backlog;
        if at_least { format!("{count} or more") } else { count.to_string() }
    }
}
