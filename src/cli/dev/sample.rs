//! One event through the whole pipeline, and how long it takes.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use super::Arrival;
use super::furnish::Furniture;
use super::visitor::{Visitor, granted, text};
use crate::cli::Failure;
use crate::cli::receiver::Verdict;

/// How long to wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of the sample.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) event_id: String,
    /// From the call of the API to the verified receipt; `None` if there was none in time.
    pub(super) took: Option<Duration>,
    /// What else arrived meanwhile.
    pub(super) others: Vec<Arrival>,
}

/// Reports an event and waits until it was received and verified.
pub(super) async fn send(
    visitor: &Visitor,
    home: &Furniture,
    receipts: &mut UnboundedReceiver<Arrival>,
) -> Result<Sample, Failure> {
    let body = json!({ "type": "sample.sent", "data": { "greeting": "Hello from Tidings", "amount": 42 } });
    let begun = Instant::now();
    let answer = visitor.ask(Method::POST, "/v1/events", &home.api_key, Some(&body)).await?;
    let event_id = text(&granted("accept the sample event", answer)?, "id")?;
    let mut others = Vec::new();
    let arrived = async {
        while let Some((at, receipt)) = receipts.recv().await {
            let is_sample = receipt.says.event_id.as_ref() == Some(&event_id);
            if is_sample && receipt.verdict == Verdict::Verified {
                return Some(at.duration_since(begun));
            }
            others.push((at, receipt));
        }
        None
    };
    let took = tokio::time::timeout(PATIENCE, arrived).await.unwrap_or_default();
    Ok(Sample { event_id, took, others })
}
