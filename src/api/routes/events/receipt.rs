//! What a producer is told of its events.

use axum::Json as Answer;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::actions::{ActionError, Fault};
use crate::api::problem::Problem;
use crate::domain::clock::write_time;
use crate::domain::ids::{EventId, TenantId};
use crate::store::outbox::accept::Accepted;
use crate::store::{Store, StoreError};

/// The stable word for a key that was used for something else.
const REUSED: &str = "idempotency_key_reused";

/// One event, accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Receipt {
    /// The event; of a repetition, the first one.
    id: EventId,
    /// How many deliveries it owes, or owed when it was first accepted.
    deliveries: usize,
    /// It is a repetition, and nothing was stored.
    duplicate: bool,
}

impl Receipt {
    /// That of an event which was stored.
    pub(super) const fn stored(id: EventId, deliveries: usize) -> Self {
        Self { id, deliveries, duplicate: false }
    }
}

/// The events of a batch, in its order.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct BatchReceipt {
    pub(super) events: Vec<Receipt>,
}

/// The answer for one event that would have had this id.
pub(super) async fn answer(
    store: &Store,
    tenant_id: TenantId,
    id: EventId,
    accepted: Accepted,
) -> Result<Response, Problem> {
    if let Accepted::Conflict(first) = accepted {
        if let Some(at) = store.erased_at(tenant_id, first).await? {
            let at = write_time(at);
            let detail =
                format!("the idempotency key was used within 24 hours by {first}, whose data was deleted at {at}");
            return Err(Problem::from(ActionError::conflict("event_data_deleted", detail))
                .with_member("event_id", json!(first)));
        }
        let detail =
            format!("the idempotency key was used within 24 hours for other content, by {first}: use a new key");
        return Err(Problem::from(ActionError::conflict(REUSED, detail)).with_member("event_id", json!(first)));
    }
    let status = if matches!(accepted, Accepted::Stored { .. }) { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut receipts = receipts(store, tenant_id, &[id], &[accepted]).await?;
    Ok((status, Answer(receipts.pop())).into_response())
}

/// The answer for a batch of events that would have had these ids.
pub(super) async fn batch_answer(
    store: &Store,
    tenant_id: TenantId,
    ids: &[EventId],
    accepted: &[Accepted],
) -> Result<BatchReceipt, Problem> {
    let conflict = |(index, one): (usize, &Accepted)| match one {
        Accepted::Conflict(first) => {
            let detail = match ids.iter().position(|id| id == first) {
                // It was not stored either, so there is no event of that id.
                Some(place) => format!("is used in this batch for other content, by `events/{place}`"),
                None => format!("was used within 24 hours for other content, by {first}"),
            };
            Some(Fault::new(format!("/events/{index}/idempotency_key"), REUSED, detail))
        }
        Accepted::Stored { .. } | Accepted::Duplicate(_) => None,
    };
    let faults: Vec<_> = accepted.iter().enumerate().filter_map(conflict).collect();
    if !faults.is_empty() {
        let detail = "nothing was stored, because idempotency keys are used for other content; see `errors`";
        return Err(Problem::from(ActionError::conflict(REUSED, detail)).with_errors(faults));
    }
    Ok(BatchReceipt { events: receipts(store, tenant_id, ids, accepted).await? })
}

async fn receipts(
    store: &Store,
    tenant_id: TenantId,
    ids: &[EventId],
    accepted: &[Accepted],
) -> Result<Vec<Receipt>, StoreError> {
    let repeated = accepted.iter().filter_map(|one| match one {
        Accepted::Duplicate(first) => Some(*first),
        Accepted::Stored { .. } | Accepted::Conflict(_) => None,
    });
    let repeated: Vec<_> = repeated.collect();
    let owed = match repeated[..] {
        [] => std::collections::HashMap::new(),
        _ => store.deliveries_owed(tenant_id, &repeated).await?,
    };
    let receipt = |(id, one): (&EventId, &Accepted)| match *one {
        Accepted::Stored { deliveries } => Receipt::stored(*id, deliveries),
        Accepted::Duplicate(first) | Accepted::Conflict(first) => {
            Receipt { id: first, deliveries: owed.get(&first).copied().unwrap_or_default(), duplicate: true }
        }
    };
    Ok(ids.iter().zip(accepted).map(receipt).collect())
}
