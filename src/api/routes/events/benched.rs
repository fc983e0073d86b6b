//! Reading and answering for `benches/`, which are outside the crate: what the handlers do besides asking who it is and storing it.

use axum::Json as Answer;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::intake::{Intake, Submission};
use super::receipt::{BatchReceipt, Receipt};
use crate::api::problem::Problem;
use crate::domain::ids::{EventId, TenantId};
use crate::store::outbox::accept::NewEvent;

const INTAKE: Intake<fn() -> EventId> =
    Intake { tenant_id: TenantId::from_u128(1), max_event_bytes: 256 * 1024, new_id: || EventId::from_u128(1 << 30) };

/// The event of a body.
pub fn read_event(body: Bytes) -> Result<NewEvent, Problem> {
    INTAKE.one(&Submission::bare(body))
}

/// The events of a body.
pub fn read_batch(body: Bytes) -> Result<Vec<NewEvent>, Problem> {
    INTAKE.batch(&Submission::bare(body))
}

/// What is said of an event that was stored, and owes one delivery.
#[must_use]
pub fn answer(id: EventId) -> Response {
    (StatusCode::ACCEPTED, Answer(Receipt::stored(id, 1))).into_response()
}

/// What is said of events that were stored, and owe one delivery each.
#[must_use]
pub fn answer_batch(ids: &[EventId]) -> Response {
    let events = ids.iter().map(|id| Receipt::stored(*id, 1)).collect();
    (StatusCode::ACCEPTED, Answer(BatchReceipt { events })).into_response()
}
