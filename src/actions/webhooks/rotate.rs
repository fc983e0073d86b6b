//! Rotate: a new signing secret. The token, where there is one, stays: it tells who sends, and is exchanged by registering anew. One
//! that is missing, because the dialect had none when the webhook was registered, is made; so is one in place of a token that was
//! damaged, without which the webhook would get nothing any more.

use std::time::Duration;

use super::{NOUN, Registered, find, profile_of};
use crate::actions::in_force::in_force;
use crate::actions::vault::{self, Kind};
use crate::actions::{ActionError, Context};
use crate::domain::clock::later;
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::{Sealed, SecretError};
use crate::store::webhooks::{MAX_LIVE, Rotated, Rotation};

/// Seconds for which both secrets sign, where a dialect carries several signatures and nobody says otherwise.
const DEFAULT_OVERLAP_SECONDS: i64 = 24 * 60 * 60;
/// A week.
const MAX_OVERLAP_SECONDS: i64 = 7 * 24 * 60 * 60;

/// Gives a webhook a new signing secret.
///
/// Where its dialect carries several signatures, new and old sign side by side for the overlap. Where it carries one, the old
/// one signs alone until the overlap ends (at once, without one), and the new one from then on.
pub async fn rotate(
    context: &Context,
    tenant_id: TenantId,
    id: WebhookId,
    overlap_seconds: Option<i64>,
) -> Result<Registered, ActionError> {
    if overlap_seconds.is_some_and(|seconds| !(0..=MAX_OVERLAP_SECONDS).contains(&seconds)) {
        let detail = format!("must be from 0 to {MAX_OVERLAP_SECONDS}");
        return Err(ActionError::invalid("/overlap_seconds", "out_of_range", detail));
    }
    let webhook = find(context, tenant_id, id).await?;
    let profile = profile_of(context, &webhook)?;
    let default = if profile.signs_side_by_side() { DEFAULT_OVERLAP_SECONDS } else { 0 };
    let overlap = Duration::from_secs(overlap_seconds.unwrap_or(default).unsigned_abs());
    let now = context.clock.now();
    let old_until = later(now, overlap);

    let signing_secret = profile.new_secret(&rand::random());
    let token = profile.new_token(&rand::random());
    let seal = |kind, secret| vault::seal(&context.master_keys, tenant_id, id, kind, secret);
    let rotation = Rotation {
        sealed: seal(Kind::Signing, &signing_secret)?,
        damaged_tokens: damaged_tokens(context, tenant_id, id).await?,
        missing_token: token.as_ref().map(|token| seal(Kind::Token, token)).transpose()?,
        new_from: if profile.signs_side_by_side() { now } else { old_until },
        old_until,
        now,
    };
    let token = match context.store.rotate_secret(tenant_id, id, &rotation).await? {
        Rotated::Done { made_token } => token.filter(|_| made_token),
        Rotated::NotFound => return Err(ActionError::NotFound(NOUN)),
        Rotated::TooMany => {
            let detail = format!(
                "{MAX_LIVE} secrets are in use already: wait until one ends, or rotate with `overlap_seconds` 0"
            );
            return Err(ActionError::conflict("too_many_secrets", detail));
        }
    };
    in_force(context, tenant_id, &[id]).await;
    // As it was found: nothing may fail any more, or the secret would be lost.
    Ok(Registered { webhook, signing_secret, token })
}

/// The stored tokens that no master key opens, as they are sealed. One whose key this process lacks is none: it may be good elsewhere.
async fn damaged_tokens(context: &Context, tenant_id: TenantId, id: WebhookId) -> Result<Vec<Vec<u8>>, ActionError> {
    let stored = context.store.secrets(tenant_id, id).await?;
    let tokens = stored.into_iter().filter(|row| row.kind == Kind::Token.as_str()).map(|row| row.sealed);
    let open = |token: &Sealed| vault::open(&context.master_keys, tenant_id, id, Kind::Token, token);
    let damaged = tokens.filter(|token| matches!(open(token), Err(SecretError::Corrupt)));
    Ok(damaged.map(|token| token.ciphertext).collect())
}
