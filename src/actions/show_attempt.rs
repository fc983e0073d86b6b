//! Show attempts: what is recorded of them, and their requests rendered again from the event, the revisions of webhook and
//! dialect, and the secrets of that time. The same inputs give the same bytes, so nothing of a request need be kept.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::exhibit::{Exhibit, SentTo, exhibit};
use super::vault::{self, Kind};
use super::{ActionError, Context};
use crate::dialect::Profile;
use crate::domain::clock::write_time;
use crate::domain::event::Event;
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::lease::DialectRevision;
use crate::domain::page::Filling;
use crate::domain::secret::{Secret, SecretError};
use crate::store::history::attempts::AttemptRecord;
use crate::store::outbox::destinations::SecretRow;

/// An attempt to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownAttempt {
    /// What is recorded.
    pub record: AttemptRecord,
    /// What was sent; or why it is no longer known.
    pub request: Result<Exhibit, String>,
}

/// A delivery's attempts numbered below `before`, newest first, at most `limit`, or up to the first that is too much for a page.
pub async fn show_attempts(
    context: &Context,
    tenant_id: TenantId,
    id: DeliveryId,
    before: i16,
    limit: i64,
) -> Result<Vec<ShownAttempt>, ActionError> {
    let delivery = context.store.delivery(tenant_id, id).await?.ok_or(ActionError::NotFound("delivery"))?;
    let records = context.store.list_attempts(tenant_id, id, before, limit).await?;
    let Some(event) = context.store.event(tenant_id, id.event()).await? else {
        let gone = || Err("its event was purged at the end of its retention".to_owned());
        return Ok(records.into_iter().map(|record| ShownAttempt { record, request: gone() }).collect());
    };
    if let Some(at) = context.store.erased_at(tenant_id, event.id).await? {
        let gone = || Err(format!("the data of its event was deleted at {}", write_time(at)));
        return Ok(records.into_iter().map(|record| ShownAttempt { record, request: gone() }).collect());
    }
    let mut past = Past::of(context, tenant_id, delivery.webhook_id).await?;
    let (mut shown, mut page) = (Vec::with_capacity(records.len()), Filling::default());
    for record in records {
        let request = past.request(&event, &record).await?;
        let fits = page.takes(request.as_ref().map_or(0, |request| request.body.len()));
        shown.push(ShownAttempt { record, request });
        if !fits {
            break;
        }
    }
    Ok(shown)
}

/// Why a request of a webhook that is gone is not shown.
const UNKNOWN: &str = "its webhook is no longer known";

/// A URL and the custom headers sent to it.
type Sent = (String, Vec<(String, String)>);

/// What a webhook and its dialects were, looked up once for all attempts of a delivery.
struct Past<'a> {
    context: &'a Context,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    secrets: Vec<SecretRow>,
    profiles: HashMap<i32, Profile>,
    revisions: HashMap<i32, Result<Sent, &'static str>>,
}

impl<'a> Past<'a> {
    async fn of(context: &'a Context, tenant_id: TenantId, webhook_id: WebhookId) -> Result<Self, ActionError> {
        let secrets = context.store.secrets(tenant_id, webhook_id).await?;
        let (profiles, revisions) = (HashMap::new(), HashMap::new());
        Ok(Self { context, tenant_id, webhook_id, secrets, profiles, revisions })
    }

    async fn request(&mut self, event: &Event, record: &AttemptRecord) -> Result<Result<Exhibit, String>, ActionError> {
        self.look_up(record).await?;
        let Some(profile) = self.profiles.get(&record.dialect_revision.0) else {
            return Ok(Err("its dialect is no longer known".to_owned()));
        };
        let (url, headers) = match self.revisions.get(&record.webhook_revision) {
            Some(Ok(sent)) => sent,
            Some(Err(why)) => return Ok(Err((*why).to_owned())),
            None => return Ok(Err(UNKNOWN.to_owned())),
        };
        let Ok(secrets) = self.secrets_at(record.started_at) else {
            return Ok(Err("what signed it cannot be opened any more".to_owned()));
        };
        let shown = exhibit(profile, event, SentTo { url, headers }, &secrets, record.started_at);
        Ok(shown.map_err(|error| error.to_string()))
    }

    async fn look_up(&mut self, record: &AttemptRecord) -> Result<(), ActionError> {
        if !self.profiles.contains_key(&record.dialect_revision.0)
            && let Some(profile) = profile(self.context, record.dialect_revision).await?
        {
            self.profiles.insert(record.dialect_revision.0, profile);
        }
        if !self.revisions.contains_key(&record.webhook_revision) {
            let sent = self.sent_under(record.webhook_revision).await?;
            self.revisions.insert(record.webhook_revision, sent);
        }
        Ok(())
    }

    async fn sent_under(&self, revision: i32) -> Result<Result<Sent, &'static str>, ActionError> {
        let (tenant_id, webhook_id) = (self.tenant_id, self.webhook_id);
        let Some(revision) = self.context.store.webhook_revision(tenant_id, webhook_id, revision).await? else {
            return Ok(Err(UNKNOWN));
        };
        let sealed = revision.headers.as_ref();
        let headers = vault::open_headers(&self.context.master_keys, tenant_id, webhook_id, sealed);
        Ok(headers.map(|headers| (revision.url, headers)).map_err(|_| "its headers cannot be opened any more"))
    }

    /// Newest first.
    fn secrets_at(&self, at: DateTime<Utc>) -> Result<Vec<Secret>, SecretError> {
        live_secrets(self.context, self.tenant_id, self.webhook_id, &self.secrets, at)
    }
}

/// The signing secrets of a webhook that were in use at a time, newest first.
pub(super) fn live_secrets(
    context: &Context,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    secrets: &[SecretRow],
    at: DateTime<Utc>,
) -> Result<Vec<Secret>, SecretError> {
    let was_live = |row: &&SecretRow| row.valid_from <= at && row.valid_until.is_none_or(|until| at < until);
    let signing = secrets.iter().filter(|row| row.kind == Kind::Signing.as_str()).filter(was_live);
    let open = |row: &SecretRow| vault::open(&context.master_keys, tenant_id, webhook_id, Kind::Signing, &row.sealed);
    signing.map(open).collect()
}

/// The token of a webhook, where it has one.
pub(super) fn token(
    context: &Context,
    tenant_id: TenantId,
    webhook_id: WebhookId,
    secrets: &[SecretRow],
) -> Result<Option<Secret>, SecretError> {
    let stored = secrets.iter().find(|row| row.kind == Kind::Token.as_str());
    stored.map(|row| vault::open(&context.master_keys, tenant_id, webhook_id, Kind::Token, &row.sealed)).transpose()
}

/// A dialect as it was at a revision.
pub(super) async fn profile(context: &Context, revision: DialectRevision) -> Result<Option<Profile>, ActionError> {
    let source = context.store.dialect_source(revision).await?;
    Ok(source.map(|source| Profile::restore(&source)).transpose()?)
}
