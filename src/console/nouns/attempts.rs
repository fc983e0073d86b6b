//! Attempts, requests and answers.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::console::show;

/// How an attempt ended.
#[derive(Deserialize)]
pub(in crate::console) struct Ending {
    outcome: String,
    status: Option<u16>,
    /// Nought where an answer leaves it out.
    #[serde(default)]
    pub(in crate::console) duration_ms: f64,
}

impl Ending {
    pub(in crate::console) fn is_success(&self) -> bool {
        self.outcome == "success"
    }

    /// What came of it: the status, or what went wrong without one.
    pub(in crate::console) fn result(&self) -> String {
        self.status.map_or_else(|| show::words(&self.outcome), |status| status.to_string())
    }

    pub(in crate::console) fn took(&self) -> String {
        show::milliseconds(self.duration_ms)
    }
}

/// An attempt, with what was sent and what came back.
#[derive(Deserialize)]
pub(in crate::console) struct Attempt {
    pub(in crate::console) number: u32,
    pub(in crate::console) started_at: DateTime<Utc>,
    #[serde(flatten)]
    pub(in crate::console) ending: Ending,
    pub(in crate::console) verdict: String,
    pub(in crate::console) request: Option<Request>,
    pub(in crate::console) request_unavailable: Option<String>,
    pub(in crate::console) response: Option<Response>,
}

#[derive(Deserialize)]
pub(in crate::console) struct Request {
    pub(in crate::console) method: String,
    pub(in crate::console) url: String,
    pub(in crate::console) headers: Vec<Header>,
    pub(in crate::console) body: String,
}

#[derive(Deserialize)]
pub(in crate::console) struct Response {
    pub(in crate::console) status: u16,
    pub(in crate::console) headers: Vec<Header>,
    pub(in crate::console) body: String,
    pub(in crate::console) body_encoding: String,
    pub(in crate::console) truncated: bool,
}

#[derive(Deserialize)]
pub(in crate::console) struct Header {
    pub(in crate::console) name: String,
    pub(in crate::console) value: String,
}

/// An attempt as the feed lists it.
#[derive(Deserialize)]
pub(in crate::console) struct Glimpse {
    pub(in crate::console) delivery_id: String,
    pub(in crate::console) event: Option<String>,
    pub(in crate::console) webhook_id: String,
    pub(in crate::console) number: u32,
    pub(in crate::console) started_at: DateTime<Utc>,
    #[serde(flatten)]
    pub(in crate::console) ending: Ending,
    pub(in crate::console) verdict: String,
}

/// A test delivery, and what the receiver did.
#[derive(Deserialize)]
pub(in crate::console) struct Trial {
    pub(in crate::console) event_type: String,
    pub(in crate::console) request: TrialRequest,
    #[serde(flatten)]
    pub(in crate::console) ending: Ending,
    pub(in crate::console) response: Option<Response>,
}

#[derive(Deserialize)]
pub(in crate::console) struct TrialRequest {
    pub(in crate::console) url: String,
    pub(in crate::console) headers: Map<String, Value>,
    pub(in crate::console) body: String,
}
