//! The directory: webhooks and dialects as this process knows them.
//!
//! Each round of the watch brings the news of changed webhooks, which are dropped here and read again when next needed.
//! Nothing is sent under a view older than [`VIEW_VALIDITY`]; so an answer to "deactivate", which waits for every dispatcher to
//! have caught up or for longer than that, promises that no send begins after it.

mod drops;
mod reading;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::destination::Destination;
use super::shared_reads::SharedReads;
use crate::actions::{ActionError, Context};
use crate::dialect::Profile;
use crate::domain::clock::later;
use crate::domain::ids::{EventId, TenantId, WebhookId};
use crate::domain::lease::{Claimed, DialectRevision, DispatcherId, VIEW_VALIDITY};
use crate::domain::retry::WebhookEffect;
use crate::store::outbox::dispatchers::Snapshot;
use crate::store::{Store, StoreError};
use crate::telemetry::meters;
use drops::Drops;

/// For how long a receiver's word about its webhook counts here, until the database knows and the view is renewed.
const HUSH: Duration = Duration::from_secs(1);

/// For how long it is remembered that an event's data was deleted: longer than any claim or request takes that began before.
const ERASED: Duration = Duration::from_hours(1);

/// Webhooks and dialects, as last seen.
pub(super) struct Directory {
    context: Context,
    known: Mutex<Known>,
    readers: SharedReads<(TenantId, WebhookId), Found>,
    profiles: Mutex<HashMap<DialectRevision, Language>>,
}

/// What is found of a webhook: nothing where it was deleted.
type Found = Option<Arc<Destination>>;

/// A dialect at one revision, and what is counted of it.
#[derive(Clone)]
pub(super) struct Language {
    pub(super) profile: Arc<Profile>,
    pub(super) meters: Arc<meters::Dialect>,
}

/// What the lanes have to know of a look.
pub(super) enum Changes {
    /// What changed before it is not known: it is the first look, or the first after another server may have taken over.
    All,
    /// Webhooks that were changed, and events whose data was deleted.
    Of(HashSet<WebhookId>, Vec<EventId>),
}

struct Known {
    destinations: HashMap<WebhookId, Arc<Destination>>,
    /// Webhooks whose receivers want nothing until a time, with the revision that they said it of.
    hushed: HashMap<WebhookId, (i32, DateTime<Utc>)>,
    /// Events whose data was deleted, and when that was learnt.
    erased: HashMap<EventId, Instant>,
    /// What the last look saw, and when it began.
    seen: Option<Snapshot>,
    seen_at: Option<Instant>,
    /// The era of connections that it saw it in: a server that took over may reuse the numbers of transactions it had not heard of.
    era: u64,
    /// The numbers under which the database was told what is in force here; none since something changed.
    told: Vec<DispatcherId>,
    drops: Drops,
}

impl Directory {
    pub(super) fn new(context: Context) -> Self {
        let known = Known {
            destinations: HashMap::new(),
            hushed: HashMap::new(),
            erased: HashMap::new(),
            seen: None,
            seen_at: None,
            era: 0,
            told: Vec::new(),
            drops: Drops::default(),
        };
        Self { context, known: Mutex::new(known), readers: SharedReads::default(), profiles: Mutex::default() }
    }

    /// Whether the view is recent enough to send under.
    pub(super) fn is_fresh(&self) -> bool {
        self.known().seen_at.is_some_and(|at| at.elapsed() < VIEW_VALIDITY)
    }

    /// Whether there is a view at all.
    pub(super) fn has_view(&self) -> bool {
        self.known().seen.is_some()
    }

    /// Drops everything: nobody waited for this process while its lease was over.
    pub(super) fn forget(&self) {
        let mut known = self.known();
        known.destinations.clear();
        known.drops.note_all();
    }

    /// Asks what changed: drops what did since the last time, and sets the clock. When the lanes have done their part, the database is to
    /// be told ([`Directory::tell`]).
    pub(super) async fn refresh(&self) -> Result<Changes, StoreError> {
        let store = &self.context.store;
        let (began, era) = (Instant::now(), store.era());
        let seen = {
            let known = self.known();
            known.seen.clone().filter(|_| known.era == era)
        };
        let news = store.news(seen.as_ref(), ERASED).await?;
        if store.era() != era {
            // Where it was asked, another server may have answered.
            return Box::pin(self.refresh()).await;
        }
        self.context.clock.follow(news.database_now, began.elapsed());
        let now = self.context.clock.now();
        let mut known = self.known();
        if seen.is_none() {
            known.destinations.clear();
            known.drops.note_all();
        }
        for id in &news.changed {
            known.destinations.remove(id);
        }
        known.hushed.retain(|_, (_, until)| now < *until);
        known.erased.retain(|_, learnt| learnt.elapsed() < ERASED);
        known.erased.extend(news.erased.iter().map(|id| (*id, began)));
        known.drops.note(&news.changed);
        if seen.is_none() || !news.changed.is_empty() || !news.erased.is_empty() {
            known.told.clear();
        }
        known.seen = Some(news.snapshot);
        known.seen_at = Some(began);
        known.era = era;
        let changes = Changes::Of(news.changed.into_iter().collect(), news.erased);
        Ok(if seen.is_none() { Changes::All } else { changes })
    }

    /// Tells the database that the changes are in force here, under all numbers of this process, unless it knows.
    pub(super) async fn tell(&self, process: Vec<DispatcherId>) -> Result<(), StoreError> {
        let seen = {
            let known = self.known();
            known.seen.clone().filter(|_| known.told != process)
        };
        if let Some(seen) = seen {
            self.context.store.caught_up(&process, &seen).await?;
            self.known().told = process;
        }
        Ok(())
    }

    /// Separates what was claimed from those whose data was deleted meanwhile.
    pub(super) fn without_erased(&self, claimed: Vec<Claimed>) -> (Vec<Claimed>, Vec<Claimed>) {
        let known = self.known();
        if known.erased.is_empty() {
            return (claimed, Vec::new());
        }
        claimed.into_iter().partition(|one| !known.erased.contains_key(&one.event.id))
    }

    /// Whether the data of an event was deleted, so that it is sent no more.
    pub(super) fn is_erased(&self, event_id: EventId) -> bool {
        self.known().erased.contains_key(&event_id)
    }

    /// The receiver wants nothing for now: what waits behind its answer is not sent while that is being recorded.
    pub(super) fn hush(&self, webhook_id: WebhookId, revision: i32, effect: WebhookEffect) {
        let bridged = later(self.context.clock.now(), HUSH);
        let until = match effect {
            WebhookEffect::ParkUntil(until) => until.min(bridged),
            WebhookEffect::Disable => bridged,
        };
        self.known().hushed.insert(webhook_id, (revision, until));
    }

    /// Whether a webhook may be sent to now, as it is in this view.
    pub(super) fn takes(&self, webhook_id: WebhookId, destination: &Destination, now: DateTime<Utc>) -> bool {
        let is_hushed = |(revision, until): &(i32, _)| *revision == destination.revision && now < *until;
        destination.takes(now) && !self.known().hushed.get(&webhook_id).is_some_and(is_hushed)
    }

    /// Whether this is still how to reach a webhook, by a recent look.
    pub(super) fn stands(&self, webhook_id: WebhookId, destination: &Arc<Destination>) -> bool {
        let known = self.known();
        let is_fresh = known.seen_at.is_some_and(|at| at.elapsed() < VIEW_VALIDITY);
        is_fresh && known.destinations.get(&webhook_id).is_some_and(|present| Arc::ptr_eq(present, destination))
    }

    /// The dialect as it was at a revision; revisions never change.
    pub(super) async fn language(&self, revision: DialectRevision) -> Result<Language, ActionError> {
        let known = self.profiles.lock().unwrap_or_else(PoisonError::into_inner).get(&revision).cloned();
        if let Some(language) = known {
            return Ok(language);
        }
        let profile = read_profile(&self.context.store, revision).await?;
        let meters = self.context.telemetry.meters.dispatch.dialect(profile.name());
        let language = Language { profile: Arc::new(profile), meters };
        self.profiles.lock().unwrap_or_else(PoisonError::into_inner).insert(revision, language.clone());
        Ok(language)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_profile(store: &Store, revision: DialectRevision) -> Result<Profile, ActionError> {
    let source = store.dialect_source(revision).await?.ok_or(ActionError::NotFound("dialect revision"))?;
    Ok(Profile::restore(&source)?)
}
