//! Dry run: what would come of an event, webhook by webhook. Nothing is stored or sent.

use std::collections::HashMap;

use super::exhibit::{Destination, Exhibit, NoExhibit, exhibit};
use super::show_attempt::{live_secrets, profile};
use super::{ActionError, Context, vault};
use crate::dialect::{Profile, Unrenderable};
use crate::domain::event::{Event, pattern_matches};
use crate::domain::ids::TenantId;
use crate::domain::webhook::State;
use crate::store::history::audience::Listener;

/// Webhooks that a dry run looks at. Each that matches adds a whole request to the answer.
pub const MAX_WEBHOOKS: usize = 100;

/// What would come of an event.
#[derive(Debug)]
pub struct Forecast {
    /// What each webhook would get, oldest webhook first.
    pub webhooks: Vec<(Listener, Fate)>,
    /// There are more webhooks than were looked at.
    pub more: bool,
}

/// What a webhook would get.
#[derive(Debug)]
pub enum Fate {
    /// This request; held back, where the webhook is not active.
    Request {
        /// The request, as of now.
        request: Exhibit,
        /// Why it would have to wait.
        held: Option<State>,
    },
    /// A dead letter, because its dialect has no place for the data.
    Unrenderable(Unrenderable),
    /// Nothing.
    Nothing(WhyNot),
}

/// Why a webhook gets no delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// No pattern of it names the type.
    NotSubscribed,
    /// Its dialect does not have the type.
    NotInDialect,
    /// Its receiver never passed the challenge.
    NeverVerified,
}

impl WhyNot {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSubscribed => "not_subscribed",
            Self::NotInDialect => "not_in_dialect",
            Self::NeverVerified => "never_verified",
        }
    }

    /// The same for people.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NotSubscribed => "none of its `events` names this type",
            Self::NotInDialect => "its dialect has no events of this type",
            Self::NeverVerified => "its receiver has never passed the challenge; verify the webhook first",
        }
    }
}

/// Says what would come of an event if it were accepted now.
pub async fn dry_run(context: &Context, event: &Event) -> Result<Forecast, ActionError> {
    let limit = i64::try_from(MAX_WEBHOOKS + 1).unwrap_or(i64::MAX);
    let mut listeners = context.store.audience(event.tenant_id, limit).await?;
    let more = listeners.len() > MAX_WEBHOOKS;
    listeners.truncate(MAX_WEBHOOKS);
    let mut profiles = HashMap::new();
    let mut webhooks = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let fate = match why_not(&listener, &event.event_type) {
            Some(why) => Fate::Nothing(why),
            None => fate(context, event, &listener, &mut profiles).await?,
        };
        webhooks.push((listener, fate));
    }
    Ok(Forecast { webhooks, more })
}

/// As accept decides it, in SQL.
fn why_not(listener: &Listener, event_type: &str) -> Option<WhyNot> {
    if !listener.events.iter().any(|pattern| pattern_matches(pattern, event_type)) {
        return Some(WhyNot::NotSubscribed);
    }
    if listener.dialect_event_types.as_ref().is_some_and(|types| !types.iter().any(|known| known == event_type)) {
        return Some(WhyNot::NotInDialect);
    }
    (!listener.verified).then_some(WhyNot::NeverVerified)
}

async fn fate(
    context: &Context,
    event: &Event,
    listener: &Listener,
    profiles: &mut HashMap<i32, Profile>,
) -> Result<Fate, ActionError> {
    let revision = listener.dialect_revision;
    let profile = match profiles.entry(revision.0) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(place) => {
            place.insert(profile(context, revision).await?.ok_or(ActionError::NotFound("dialect"))?)
        }
    };
    let (tenant_id, now): (TenantId, _) = (event.tenant_id, context.clock.now());
    let headers = match &listener.headers {
        Some(sealed) => vault::open_headers(&context.master_keys, tenant_id, listener.id, sealed)?,
        None => Vec::new(),
    };
    let secrets = context.store.secrets(tenant_id, listener.id).await?;
    let secrets = live_secrets(context, tenant_id, listener.id, &secrets, now)?;
    let destination = Destination { url: &listener.url, headers: &headers };
    match exhibit(profile, event, destination, &secrets, now) {
        Ok(request) => {
            let held = (listener.state != State::Active).then_some(listener.state);
            Ok(Fate::Request { request, held })
        }
        Err(NoExhibit::Unrenderable(why)) => Ok(Fate::Unrenderable(why)),
        Err(NoExhibit::Dialect(error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::WebhookId;
    use crate::domain::lease::DialectRevision;

    #[test]
    fn each_webhook_is_told_why_it_gets_nothing() {
        let listener = Listener {
            id: WebhookId::from_u128(1),
            url: "https://a.example/".into(),
            events: vec!["document.*".into()],
            state: State::Active,
            verified: true,
            dialect: "numora".into(),
            dialect_revision: DialectRevision(1),
            dialect_event_types: Some(vec!["document.reviewed".into()]),
            headers: None,
        };
        assert_eq!(why_not(&listener, "document.reviewed"), None);
        assert_eq!(why_not(&listener, "push.failed"), Some(WhyNot::NotSubscribed));
        assert_eq!(why_not(&listener, "document.other"), Some(WhyNot::NotInDialect));
        let unverified = Listener { verified: false, state: State::PendingVerification, ..listener };
        assert_eq!(why_not(&unverified, "document.reviewed"), Some(WhyNot::NeverVerified));
    }
}
