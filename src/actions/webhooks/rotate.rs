//! Rotate: a new signing secret. A static token stays as it is: it is no key, and receivers compare it literally.

use std::time::Duration;

use serde::Deserialize;

use crate::actions::vault::{self, Kind};
use crate::actions::webhooks::{Registered, Webhooks, view};
use crate::actions::{ActionError, Member};
use crate::domain::ids::WebhookId;
use crate::store::webhooks::Rotation;

/// How long both secrets sign where the dialect can carry both, unless the caller says otherwise.
const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);
/// A week.
const LONGEST_OVERLAP: i64 = 604_800;

/// What a rotation may be told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotateInput {
    /// Seconds for which both secrets sign (24 hours by default); where a dialect carries one signature, seconds after which the
    /// new secret takes over (at once by default).
    pub overlap_seconds: Member<i64>,
}

impl Webhooks<'_> {
    /// Makes a new signing secret and shows it once.
    pub async fn rotate(self, id: WebhookId, input: RotateInput) -> Result<Registered, ActionError> {
        let context = self.context;
        let webhook = self.read(id).await?;
        let profile = self.profile(&webhook)?;
        let overlap = input.overlap_seconds.or_none(None);
        if overlap.is_some_and(|seconds| !(0..=LONGEST_OVERLAP).contains(&seconds)) {
            let detail = format!("must be a whole number from 0 to {LONGEST_OVERLAP}");
            return Err(ActionError::invalid("/overlap_seconds", "out_of_range", detail));
        }
        let overlap = overlap.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        let rotation = if profile.signs_side_by_side() {
            Rotation::SideBySide(overlap.unwrap_or(DEFAULT_OVERLAP))
        } else {
            Rotation::TakesOverAfter(overlap.unwrap_or_default())
        };
        let secret = profile.new_secret(&rand::random());
        let sealed = vault::seal(&context.master_key, self.tenant_id, id, Kind::Signing, &secret)?;
        let rotated = context.store.rotate_secret((self.tenant_id, id), sealed, rotation, context.clock.now()).await?;
        rotated.ok_or(ActionError::NotFound("webhook"))?;
        Ok(Registered::new(view::show(context, &self.read(id).await?)?, profile, &secret, None))
    }
}
