//! Resend: an operator asks that a delivery be made again, whatever became of it.

use super::erase::check_has_data;
use super::{ActionError, Context};
use crate::domain::delivery::State;
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::webhook;
use crate::store::history::deliveries::Delivery;
use crate::store::history::resend::{MOST_ATTEMPTS_EVER, Standing, Successor};

/// Looks at a delivery that keeps changing; more would mean that somebody works against this resend.
const LOOKS: usize = 3;

/// Resends a delivery: a pending one is due now, a dead one pending again, one that was delivered or cancelled gets a
/// successor. Returns the delivery that will be attempted.
pub async fn resend_delivery(context: &Context, tenant_id: TenantId, id: DeliveryId) -> Result<Delivery, ActionError> {
    for _ in 0..LOOKS {
        let delivery = read(context, tenant_id, id).await?;
        check_can_be_sent(context, tenant_id, &delivery).await?;
        if let Some(resent) = resend_as_it_stands(context, tenant_id, &delivery).await? {
            return read(context, tenant_id, resent).await;
        }
    }
    Err(changing())
}

/// Resends a dead letter: it is no longer one, and its delivery is pending with fresh attempts.
pub async fn resend_dead_letter(
    context: &Context,
    tenant_id: TenantId,
    id: DeliveryId,
) -> Result<Delivery, ActionError> {
    if !context.store.revive(tenant_id, &[id], context.clock.now()).await?.is_empty() {
        return read(context, tenant_id, id).await;
    }
    let Some(delivery) = context.store.delivery(tenant_id, id).await? else {
        return Err(ActionError::NotFound("dead letter"));
    };
    check_has_data(context, tenant_id, id.event()).await?;
    if delivery.state != State::Dead {
        let state = delivery.state.as_str();
        let detail = format!(
            "the delivery is {state}, so it is no dead letter (any more); POST /v1/deliveries/{id}/resend sends it whatever its state"
        );
        return Err(ActionError::conflict("not_dead", detail));
    }
    check_can_be_sent(context, tenant_id, &delivery).await?;
    Err(changing())
}

/// `None` where the delivery has changed its state since it was looked at.
async fn resend_as_it_stands(
    context: &Context,
    tenant_id: TenantId,
    delivery: &Delivery,
) -> Result<Option<DeliveryId>, ActionError> {
    let (store, now, id) = (&context.store, context.clock.now(), delivery.id);
    match delivery.state {
        State::Pending => Ok(store.hasten(tenant_id, id, now).await?.then_some(id)),
        State::Dead => Ok(store.revive(tenant_id, &[id], now).await?.first().copied()),
        State::Delivered | State::Cancelled => {
            match store.deliver_again(tenant_id, delivery.webhook_id, id, now).await? {
                Successor::Made(successor) => Ok(Some(successor)),
                Successor::Already(successor) => {
                    // It may wait for a retry; one that was delivered just now is not pending, and stays as it is.
                    store.hasten(tenant_id, successor, now).await?;
                    Ok(Some(successor))
                }
                Successor::NotReady => Ok(None),
                Successor::NoRoom => Err(too_many()),
            }
        }
    }
}

async fn read(context: &Context, tenant_id: TenantId, id: DeliveryId) -> Result<Delivery, ActionError> {
    context.store.delivery(tenant_id, id).await?.ok_or(ActionError::NotFound("delivery"))
}

async fn check_can_be_sent(context: &Context, tenant_id: TenantId, delivery: &Delivery) -> Result<(), ActionError> {
    if delivery.event_type.is_none() {
        let detail = "the event of this delivery was purged at the end of its retention; report it anew";
        return Err(ActionError::conflict("event_gone", detail));
    }
    check_has_data(context, tenant_id, delivery.id.event()).await?;
    if delivery.state == State::Dead && delivery.attempts >= MOST_ATTEMPTS_EVER {
        return Err(too_many());
    }
    let standing = context.store.standing(tenant_id, delivery.webhook_id).await?;
    match why_it_cannot_receive(delivery.webhook_id, standing.as_ref()) {
        Some((code, detail)) => Err(ActionError::conflict(code, detail)),
        None => Ok(()),
    }
}

/// Why a webhook cannot receive now, and what to do about it.
fn why_it_cannot_receive(id: WebhookId, standing: Option<&Standing>) -> Option<(&'static str, String)> {
    let Some(standing) = standing else {
        let detail = format!("the webhook {id} was deleted; register it anew and report the event again");
        return Some(("webhook_deleted", detail));
    };
    let verify = format!("POST /v1/webhooks/{id}/verify");
    let activate = format!("POST /v1/webhooks/{id}/activate");
    match standing.state {
        webhook::State::Active => None,
        webhook::State::Inactive => {
            Some(("webhook_inactive", format!("the webhook {id} is inactive: {activate} and resend then")))
        }
        webhook::State::Disabled => {
            let reason = standing.disabled_reason.as_deref().unwrap_or("it kept failing");
            Some(("webhook_disabled", format!("the webhook {id} was disabled ({reason}): {activate} and resend then")))
        }
        webhook::State::PendingVerification => {
            let since = if standing.verified { "its URL was changed" } else { "it was registered" };
            let detail = format!("the webhook {id} has not been verified since {since}: {verify} and resend then");
            Some(("webhook_not_verified", detail))
        }
    }
}

fn too_many() -> ActionError {
    ActionError::conflict("too_many_resends", "the event was resent too often; report it anew")
}

fn changing() -> ActionError {
    ActionError::conflict(
        "changing",
        "the delivery or its webhook is being changed by others; look at it and try again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_that_cannot_receive_is_told_with_the_way_out() {
        let id = WebhookId::from_u128(7);
        let standing = |state, verified| Standing { state, verified, disabled_reason: None };
        for (standing, code, way_out) in [
            (None, "webhook_deleted", "register"),
            (Some(standing(webhook::State::Inactive, true)), "webhook_inactive", "/activate"),
            (Some(standing(webhook::State::Disabled, true)), "webhook_disabled", "/activate"),
            (Some(standing(webhook::State::PendingVerification, false)), "webhook_not_verified", "/verify"),
        ] {
            let (found, detail) = why_it_cannot_receive(id, standing.as_ref()).expect(code);
            assert!(found == code && detail.contains(way_out) && detail.contains(&id.to_string()), "{detail}");
        }
        assert_eq!(why_it_cannot_receive(id, Some(&standing(webhook::State::Active, true))), None);
    }
}
