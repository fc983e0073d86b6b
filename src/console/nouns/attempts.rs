//! Attempts, requests and answers.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::console::show;

#[derive(Deserialize)]
pub(in crate::console) struct LastAttempt {
    outcome: String,
    status: Option<u16>,
}

impl LastAttempt {
    pub(in crate::console) fn result(&self) -> String {
        show::result(&self.outcome, self.status)
    }
}

/// An attempt, with what was sent and what came back.
#[derive(Deserialize)]
pub(in crate::console) struct Attempt {
    pub(in crate::console) number: u32,
    pub(in crate::console) started_at: DateTime<Utc>,
    duration_ms: f64,
    pub(in crate::console) outcome: String,
    pub(in crate::console) verdict: String,
    status: Option<u16>,
    pub(in crate::console) request: Option<Request>,
    pub(in crate::console) request_unavailable: Option<String>,
    pub(in crate::console) response: Option<Response>,
}

impl Attempt {
    pub(in crate::console) fn result(&self) -> String {
        show::result(&self.outcome, self.status)
    }

    pub(in crate::console) fn took(&self) -> String {
        show::milliseconds(self.duration_ms)
    }
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
    pub(in crate::console) duration_ms: f64,
    pub(in crate::console) outcome: String,
    pub(in crate::console) verdict: String,
    status: Option<u16>,
}

impl Glimpse {
    pub(in crate::console) fn result(&self) -> String {
        show::result(&self.outcome, self.status)
    }

    pub(in crate::console) fn took(&self) -> String {
        show::milliseconds(self.duration_ms)
    }
}

/// A test delivery, and what the receiver did.
#[derive(Deserialize)]
pub(in crate::console) struct Trial {
    pub(in crate::console) event_type: String,
    pub(in crate::console) request: TrialRequest,
    pub(in crate::console) outcome: String,
    status: Option<u16>,
    pub(in crate::console) response: Option<Response>,
    duration_ms: f64,
}

#[derive(Deserialize)]
pub(in crate::console) struct TrialRequest {
    pub(in crate::console) url: String,
    pub(in crate::console) headers: Map<String, Value>,
    pub(in crate::console) body: String,
}

impl Trial {
    pub(in crate::console) fn result(&self) -> String {
        show::result(&self.outcome, self.status)
    }

    pub(in crate::console) fn took(&self) -> String {
        show::milliseconds(self.duration_ms)
    }
}
