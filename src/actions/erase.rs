//! Erase: the data of an event is deleted wherever it is kept, and nobody sends it any more.

use super::in_force::erasure_in_force;
use super::{ActionError, Context};
use crate::domain::clock::write_time;
use crate::domain::ids::{EventId, TenantId};
use crate::store::StoreError;
use crate::store::history::erase::Erased;

/// Tries where results that are being recorded stand in the way.
const TRIES: usize = 3;

/// Deletes the data of an event and cancels what is owed of it. No request with it begins after this returned.
pub async fn erase(context: &Context, tenant_id: TenantId, id: EventId) -> Result<Erased, ActionError> {
    let mut tries = 1;
    let erased = loop {
        match context.store.erase(tenant_id, id, context.clock.now()).await {
            Err(StoreError::Contended(_)) if tries < TRIES => tries += 1,
            ended => break ended?,
        }
    };
    let erased = erased.ok_or(ActionError::NotFound("event"))?;
    erasure_in_force(context, tenant_id, id).await;
    Ok(erased)
}

/// Refuses what takes the data of an event, where that was deleted.
pub(super) async fn check_has_data(context: &Context, tenant_id: TenantId, id: EventId) -> Result<(), ActionError> {
    match context.store.erased_at(tenant_id, id).await? {
        None => Ok(()),
        Some(at) => {
            let detail = format!("the data of {id} was deleted at {}; report the event anew", write_time(at));
            Err(ActionError::conflict("event_data_deleted", detail))
        }
    }
}
