//! Dry run: what would come of an event, webhook by webhook. Nothing is stored or sent.

use std::collections::HashMap;

use super::exhibit::{Exhibit, NoExhibit, SentTo, exhibit};
use super::show_attempt::{live_secrets, profile, token};
use super::{ActionError, Context, vault};
use crate::dialect::Profile;
use crate::domain::event::{Event, pattern_matches};
use crate::domain::ids::TenantId;
use crate::domain::page::Filling;
use crate::domain::webhook::State;
use crate::store::webhooks::audience::{Audience, Subscriber};

/// Webhooks that a dry run looks at, fewer where their requests are large. Each that matches adds a whole request to the answer.
pub const MAX_WEBHOOKS: usize = 100;

/// What would come of an event.
#[derive(Debug)]
pub struct DryRun {
    /// What each webhook would get: those that are owed a delivery first, and older ones before younger.
    pub webhooks: Vec<(Subscriber, Fate)>,
    /// How many deliveries it would owe, also to webhooks that were not looked at.
    pub deliveries: usize,
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
    /// A dead letter, because its dialect has no place for the data, or its secret or token does not fit the dialect or is missing.
    Unrenderable(NoExhibit),
    /// Nothing until its secret, which or whose token does not open, is rotated.
    Unreadable,
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
pub async fn dry_run(context: &Context, event: &Event) -> Result<DryRun, ActionError> {
    let limit = i64::try_from(MAX_WEBHOOKS + 1).unwrap_or(i64::MAX);
    let Audience { mut subscribers, owed } = context.store.audience(event.tenant_id, &event.event_type, limit).await?;
    let mut more = subscribers.len() > MAX_WEBHOOKS;
    subscribers.truncate(MAX_WEBHOOKS);
    let mut profiles = HashMap::new();
    let (mut webhooks, mut answer) = (Vec::with_capacity(subscribers.len()), Filling::default());
    for subscriber in subscribers {
        let fate = match why_not(&subscriber, &event.event_type) {
            Some(why) => Fate::Nothing(why),
            None => fate(context, event, &subscriber, &mut profiles).await?,
        };
        if let Fate::Request { request, .. } = &fate
            && !answer.takes(request.body.len())
        {
            more = true;
            break;
        }
        webhooks.push((subscriber, fate));
    }
    Ok(DryRun { webhooks, deliveries: owed, more })
}

/// As accept decides it, in SQL.
fn why_not(subscriber: &Subscriber, event_type: &str) -> Option<WhyNot> {
    if !subscriber.events.iter().any(|pattern| pattern_matches(pattern, event_type)) {
        return Some(WhyNot::NotSubscribed);
    }
    if subscriber.dialect_event_types.as_ref().is_some_and(|types| !types.iter().any(|known| known == event_type)) {
        return Some(WhyNot::NotInDialect);
    }
    (!subscriber.verified).then_some(WhyNot::NeverVerified)
}

async fn fate(
    context: &Context,
    event: &Event,
    subscriber: &Subscriber,
    profiles: &mut HashMap<i32, Profile>,
) -> Result<Fate, ActionError> {
    let revision = subscriber.dialect_revision;
    let profile = match profiles.entry(revision.0) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(place) => {
            place.insert(profile(context, revision).await?.ok_or(ActionError::NotFound("dialect"))?)
        }
    };
    let (tenant_id, now): (TenantId, _) = (event.tenant_id, context.clock.now());
    let Subscriber { id, headers: sealed, header_names, .. } = subscriber;
    let headers = vault::show_headers(&context.master_keys, tenant_id, *id, sealed.as_ref(), header_names);
    let secrets = context.store.secrets(tenant_id, *id).await?;
    let opened = live_secrets(context, tenant_id, *id, &secrets, now)
        .and_then(|signing| Ok((signing, token(context, tenant_id, *id, &secrets)?)));
    let Ok((signing, token)) = opened else { return Ok(Fate::Unreadable) };
    // A request is shown without its token, and also where its secrets are gone; a delivery needs both.
    if let Err(unfit) = profile.keys(&signing, token.as_ref()) {
        return Ok(Fate::Unrenderable(unfit.into()));
    }
    let to = SentTo { url: &subscriber.url, headers: &headers };
    match exhibit(profile, event, to, &signing, now) {
        Ok(request) => {
            let held = (subscriber.state != State::Active).then_some(subscriber.state);
            Ok(Fate::Request { request, held })
        }
        Err(why) => Ok(Fate::Unrenderable(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::WebhookId;
    use crate::domain::lease::DialectRevision;

    #[test]
    fn each_webhook_is_told_why_it_gets_nothing() {
        let subscriber = Subscriber {
            id: WebhookId::from_u128(1),
            url: "https://a.example/".into(),
            events: vec!["document.*".into()],
            state: State::Active,
            verified: true,
            dialect: "numora".into(),
            dialect_revision: DialectRevision(1),
            dialect_event_types: Some(vec!["document.reviewed".into()]),
            headers: None,
            header_names: Vec::new(),
        };
        assert_eq!(why_not(&subscriber, "document.reviewed"), None);
        assert_eq!(why_not(&subscriber, "push.failed"), Some(WhyNot::NotSubscribed));
        assert_eq!(why_not(&subscriber, "document.other"), Some(WhyNot::NotInDialect));
        let unverified = Subscriber { verified: false, state: State::PendingVerification, ..subscriber };
        assert_eq!(why_not(&unverified, "document.reviewed"), Some(WhyNot::NeverVerified));
    }
}
