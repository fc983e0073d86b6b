//! What befalls webhooks: registered, changed, verified, rotated, switched on and off, tried out, deleted.
//!
//! | file | does |
//! |---|---|
//! | [`input`], `check` | what a caller may ask for |
//! | [`register`](fn@register), [`change`](fn@change), [`delete`](fn@delete) | from the first to the last |
//! | `switch` | [`activate`], [`deactivate`] |
//! | [`rotate`](fn@rotate) | a new secret |
//! | `outgoing` | one request outside the loop, for [`verify`](fn@verify) and [`send_test`](fn@send_test) |
//!
//! **Invariants**
//! - A change is made to the revision that was looked at; if another came between, it is looked at again.
//! - An action that stops or redirects sending returns only when every dispatcher knows of it (`in_force`).
//! - Secrets leave here once: when they are made.

mod change;
mod check;
mod delete;
pub mod input;
mod notes;
mod outgoing;
mod register;
mod rotate;
mod send_test;
mod switch;
mod verify;

pub use change::change;
pub use delete::delete;
pub(super) use delete::settle_down;
pub use input::Input;
pub use outgoing::Trials;
pub use register::{Registered, register};
pub use rotate::rotate;
pub use send_test::{TestResult, send_test};
pub use switch::{activate, deactivate};
pub use verify::{Verification, verify};

use std::sync::Arc;

use super::{ActionError, Context, vault};
use crate::dialect::Profile;
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::{MasterKeys, SecretError};
use crate::domain::webhook::Webhook;

const NOUN: &str = "webhook";

/// A webhook's own headers to look at, also where they do not open.
#[must_use]
pub fn shown_headers(context: &Context, webhook: &Webhook) -> Vec<(String, String)> {
    let Webhook { tenant_id, id, headers, header_names, .. } = webhook;
    vault::show_headers(&context.master_keys, *tenant_id, *id, headers.as_ref(), header_names)
}

/// A webhook's own headers, opened.
fn own_headers(context: &Context, webhook: &Webhook) -> Result<Vec<(String, String)>, SecretError> {
    vault::open_headers(&context.master_keys, webhook.tenant_id, webhook.id, webhook.headers.as_ref())
}

async fn find(context: &Context, tenant_id: TenantId, id: WebhookId) -> Result<Webhook, ActionError> {
    let mut webhook = context.store.webhook(tenant_id, id).await?.ok_or(ActionError::NotFound(NOUN))?;
    renew_seal(&context.master_keys, &mut webhook);
    Ok(webhook)
}

/// What is stored anew is sealed with the key that seals now, or a change would bring back the key that is being rotated out.
fn renew_seal(keys: &MasterKeys, webhook: &mut Webhook) {
    if let Some(sealed) = webhook.headers.as_mut().filter(|sealed| sealed.key_id != keys.sealing())
        // One that does not open must not hinder its replacement.
        && let Ok(renewed) = vault::reseal(keys, webhook.tenant_id, webhook.id, vault::Kind::Headers, sealed)
    {
        *sealed = renewed;
    }
}

fn profile_of(context: &Context, webhook: &Webhook) -> Result<Arc<Profile>, ActionError> {
    context.dialects.get(&webhook.dialect).cloned().ok_or_else(|| {
        let detail = format!("the dialect `{}` is not on offer any more: its file is missing", webhook.dialect);
        ActionError::conflict("unknown_dialect", detail)
    })
}
