//! One request outside the loop: opened, signed and sent here and now.

use std::time::Duration;

use chrono::{DateTime, Utc};

use tokio::sync::OwnedSemaphorePermit;

use super::own_headers;
use crate::actions::show_attempt::{live_secrets, token};
use crate::actions::vault::Kind;
use crate::actions::{ActionError, Context, FIT_SECRET};
use crate::dialect::{DialectError, Keys, Profile, Signed};
use crate::domain::ids::WebhookId;
use crate::domain::outcome::Outcome;
use crate::domain::secret::{Secret, SecretError};
use crate::domain::webhook::{DEFAULT_TIMEOUT_SECONDS, Webhook};
use crate::net::{Headers, Request, Target};
use crate::turns::Shares;

/// Tests and verifications of one webhook under way at once: they count for none of the limits that deliveries to it have.
const AT_ONCE: usize = 2;

/// Tests and verifications that are under way in this process. Clones share them.
#[derive(Debug, Clone)]
pub struct Trials(Shares<WebhookId>);

impl Default for Trials {
    fn default() -> Self {
        Self(Shares::new(AT_ONCE))
    }
}

impl Trials {
    /// Leave for one more of this webhook, until it is dropped.
    pub(super) fn begin(&self, id: WebhookId) -> Result<OwnedSemaphorePermit, ActionError> {
        self.0.of(id).try_acquire_owned().map_err(|_| ActionError::TooManyTrials)
    }
}

/// A webhook's secrets and headers, opened.
pub(super) struct Outgoing {
    /// Newest first.
    pub(super) signing: Vec<Secret>,
    pub(super) own: Vec<(String, String)>,
    token: Option<Secret>,
}

impl Outgoing {
    /// Opens what a request made `now` needs.
    pub(super) async fn open(context: &Context, webhook: &Webhook, now: DateTime<Utc>) -> Result<Self, ActionError> {
        let rows = context.store.secrets(webhook.tenant_id, webhook.id).await?;
        let closed = |kind| move |error| unreadable(webhook, kind, &error);
        let signing =
            live_secrets(context, webhook.tenant_id, webhook.id, &rows, now).map_err(closed(Kind::Signing))?;
        let token = token(context, webhook.tenant_id, webhook.id, &rows).map_err(closed(Kind::Token))?;
        let own = own_headers(context, webhook).map_err(closed(Kind::Headers))?;
        Ok(Self { signing, own, token })
    }

    /// What signs.
    pub(super) fn keys(&self, profile: &Profile) -> Result<Keys, ActionError> {
        profile.keys(&self.signing, self.token.as_ref()).map_err(|error| unfit(&error))
    }

    /// Sends a signed request to the webhook's URL, whose rules and headers are judged anew.
    pub(super) async fn send(
        &self,
        context: &Context,
        webhook: &Webhook,
        profile: &Profile,
        signed: Signed,
    ) -> Outcome {
        let timeout = webhook.timeout_seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs().into()));
        let timeout = timeout.or(profile.timeout()).unwrap_or(Duration::from_secs(DEFAULT_TIMEOUT_SECONDS.into()));
        // Whether plain HTTP is allowed was settled when the URL was taken; a tenant's environment never changes.
        let target = match Target::parse(&webhook.url, true, context.sender.guard()) {
            Ok(target) => target,
            Err(refused) => return Outcome::blocked(refused.to_string()),
        };
        let headers = match Headers::allowed(&self.own).with_signed(&signed.headers) {
            Ok(headers) => headers,
            Err(refused) => return Outcome::blocked(refused.to_string()),
        };
        context.sender.send_beside(Request { target, headers, body: signed.body, timeout }).await
    }
}

/// A webhook's secret or token is not of the form that its dialect asks for now.
pub(super) fn unfit(error: &DialectError) -> ActionError {
    ActionError::conflict("unfit_secret", format!("{error}; {FIT_SECRET}"))
}

/// Something of a webhook does not open. The reason is for the operator's log, what can be done for the answer.
fn unreadable(webhook: &Webhook, kind: Kind, error: &SecretError) -> ActionError {
    let Webhook { tenant_id, id, .. } = webhook;
    tracing::warn!(%tenant_id, webhook_id = %id, kind = kind.as_str(), %error, "webhook.unreadable");
    let (code, what, cure) = match kind {
        Kind::Signing => ("unreadable_secret", "signing secret does", "rotate it with `overlap_seconds` 0"),
        Kind::Token => ("unreadable_secret", "token does", "rotate the secret, which makes a new token as well"),
        Kind::Headers => {
            ("unreadable_headers", "own headers do", "PATCH `headers` with the values that are shown as `[unreadable]`")
        }
    };
    let restore = "let Tidings' operator restore the master key that the log names";
    let cure = match (error, kind) {
        // A rotation leaves it.
        (SecretError::UnknownMasterKey { .. }, Kind::Token) => restore.to_owned(),
        (SecretError::UnknownMasterKey { .. }, _) => format!("{restore}, or {cure}"),
        _ => cure.to_owned(),
    };
    ActionError::conflict(code, format!("the webhook's {what} not open any more: {cure}"))
}
