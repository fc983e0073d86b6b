//! Events as JSON.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::delivery::State;
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::store::history::deliveries::DeliveryBrief;
use crate::store::history::erase::Erased;
use crate::store::history::events::EventSummary;

/// An event with what became of its deliveries. A list leaves `data` out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(in crate::api) struct EventView {
    id: EventId,
    #[serde(rename = "type")]
    #[schema(example = "document.processed")]
    event_type: String,
    /// When it happened, where its reporter said so.
    occurred_at: Option<DateTime<Utc>>,
    /// When it was accepted.
    created_at: DateTime<Utc>,
    /// As it was sent; absent from lists, and where it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    data: Option<Box<RawValue>>,
    /// When its data was deleted, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data_deleted_at: Option<DateTime<Utc>>,
    deliveries: Vec<BriefView>,
}

/// What deleting the data of an event has done.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedData)]
pub(in crate::api) struct ErasedView {
    id: EventId,
    /// When the data was deleted: at the first call.
    data_deleted_at: DateTime<Utc>,
    /// Deliveries that this call cancelled, pending or dead.
    cancelled_deliveries: i64,
}

impl ErasedView {
    pub(super) const fn of(id: EventId, erased: &Erased) -> Self {
        Self { id, data_deleted_at: erased.deleted_at, cancelled_deliveries: erased.cancelled }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryBrief)]
struct BriefView {
    id: DeliveryId,
    webhook_id: WebhookId,
    state: State,
    attempts: i16,
}

impl EventView {
    /// An event with its data, byte for byte.
    pub(super) fn whole(
        event: Event,
        data_deleted_at: Option<DateTime<Utc>>,
        deliveries: &[DeliveryBrief],
    ) -> Result<Self, serde_json::Error> {
        let data = match data_deleted_at {
            Some(_) => None,
            None => Some(RawValue::from_string(String::from_utf8_lossy(&event.data).into_owned())?),
        };
        Ok(Self {
            id: event.id,
            event_type: event.event_type,
            occurred_at: event.occurred_at,
            created_at: event.id.created_at(),
            data,
            data_deleted_at,
            deliveries: deliveries.iter().map(BriefView::from).collect(),
        })
    }

    /// An event of a page, with its own among the page's `deliveries`, which are in the order of their ids.
    pub(super) fn listed(
        event: EventSummary,
        erased: &[(EventId, DateTime<Utc>)],
        deliveries: &[DeliveryBrief],
    ) -> Self {
        let from = deliveries.partition_point(|delivery| delivery.id.event() < event.id);
        let own = deliveries[from..].iter().take_while(|delivery| delivery.id.event() == event.id);
        Self {
            id: event.id,
            event_type: event.event_type,
            occurred_at: event.occurred_at,
            created_at: event.id.created_at(),
            data: None,
            data_deleted_at: erased.iter().find(|(id, _)| *id == event.id).map(|(_, at)| *at),
            deliveries: own.map(BriefView::from).collect(),
        }
    }
}

impl From<&DeliveryBrief> for BriefView {
    fn from(delivery: &DeliveryBrief) -> Self {
        let DeliveryBrief { id, webhook_id, state, attempts } = *delivery;
        Self { id, webhook_id, state, attempts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_of_a_page_gets_its_own_deliveries() {
        let at = |millis| EventId::new(DateTime::from_timestamp_millis(millis).unwrap_or_default(), 0);
        let event = |id| EventSummary { id, event_type: "a".into(), occurred_at: None };
        let brief = |id| DeliveryBrief { id, webhook_id: WebhookId::from_u128(1), state: State::Pending, attempts: 0 };
        let deliveries = [at(1).delivery(1), at(3).delivery(1), at(3).delivery(2)].map(brief);
        let own = [3, 2, 1].map(|millis| EventView::listed(event(at(millis)), &[], &deliveries).deliveries.len());
        assert_eq!(own, [2, 0, 1]);
    }
}
