//! The catalogues as this process knows them.
//!
//! One look a second at most asks the database which catalogues changed, however many tenants there are: so a tenant without one
//! costs a look into a map, and nothing is asked for it. What changed is read again when it is next needed; a schema whose text stayed
//! the same is not compiled anew.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tracing::warn;

use super::shelf::{Shelf, Slot};
use crate::domain::ids::TenantId;
use crate::store::event_types::TypeRule;
use crate::store::outbox::dispatchers::Snapshot;
use crate::store::{Store, StoreError};

/// A view is good for this long.
pub const VALIDITY: Duration = Duration::from_secs(1);
/// One that is older than this is renewed while it is still used.
const RENEWAL: Duration = Duration::from_millis(500);
/// Bytes of catalogues that are kept, their schemas' texts included; beyond that the largest are read again when they are next needed.
/// Twice what one takes at most.
const MOST: usize = 128 * 1024 * 1024;
/// Bytes that a type takes, but for its texts.
const TYPE_BYTES: usize = 512;

/// A tenant's event types.
#[derive(Debug, Default)]
pub struct Catalogue {
    rules: HashMap<String, Arc<Rule>>,
    /// Bytes that it takes.
    size: usize,
}

/// What is asked of events of a type.
#[derive(Debug)]
pub struct Rule {
    /// Since when the type is on its way out.
    pub deprecated_at: Option<DateTime<Utc>>,
    pub(super) schema: Option<Arc<Slot>>,
}

impl Catalogue {
    /// What is asked of a type; `None` where the catalogue does not have it.
    #[must_use]
    pub fn rule(&self, event_type: &str) -> Option<&Arc<Rule>> {
        self.rules.get(event_type)
    }
}

/// The catalogues of all tenants. Clones share them.
#[derive(Debug, Clone)]
pub struct Catalogues(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    shelf: Arc<Shelf>,
    known: RwLock<Known>,
    /// Whoever changes what is known holds this, so a later look is never overwritten by an earlier one.
    looking: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// Tenants that have a catalogue.
    tenants: HashMap<TenantId, Entry>,
    seen: Option<Snapshot>,
    /// The era of connections that it was seen in: who took over may count transactions anew that it had not heard of.
    era: u64,
    seen_at: Option<Instant>,
    /// When a look last failed.
    failed_at: Option<Instant>,
}

#[derive(Debug, Default, Clone)]
struct Entry {
    /// As last read.
    catalogue: Arc<Catalogue>,
    /// It has not changed since.
    is_current: bool,
}

impl Known {
    fn age(&self) -> Option<Duration> {
        self.seen_at.map(|at| at.elapsed())
    }

    /// Lets go of others' catalogues, the largest first, until there is room for one of this size.
    fn make_room(&mut self, size: usize, of: TenantId) {
        let mut others: Vec<_> = self.tenants.iter_mut().filter(|(id, _)| **id != of).map(|(_, entry)| entry).collect();
        let mut kept: usize = others.iter().map(|entry| entry.catalogue.size).sum();
        if size + kept <= MOST {
            return;
        }
        others.sort_unstable_by_key(|entry| entry.catalogue.size);
        while size + kept > MOST
            && let Some(largest) = others.pop()
        {
            kept -= largest.catalogue.size;
            *largest = Entry::default();
        }
    }
}

impl Catalogues {
    /// A view of what is in this database; it looks when it is first asked.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let (known, looking) = (RwLock::default(), Mutex::default());
        Self(Arc::new(Shared { store, shelf: Arc::default(), known, looking }))
    }

    /// The compiled schemas of all catalogues.
    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.0.shelf
    }

    /// A tenant's catalogue; `None` where it has none, and takes every type.
    pub async fn of(&self, tenant_id: TenantId) -> Result<Option<Arc<Catalogue>>, StoreError> {
        let (age, entry) = self.recall(tenant_id);
        let entry = match age {
            Some(age) if age < RENEWAL => entry,
            Some(age) if age < VALIDITY => {
                self.renew_beside();
                entry
            }
            _ => {
                self.catch_up().await?;
                self.recall(tenant_id).1
            }
        };
        match entry {
            None => Ok(None),
            Some(entry) if entry.is_current => Ok(Some(entry.catalogue)),
            Some(_) => self.read(tenant_id).await,
        }
    }

    /// Takes over what was changed until now; after it, a change that was committed before is in force here.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _looking = self.0.looking.lock().await;
        self.look().await
    }

    /// Looks, unless somebody just did. Where the database cannot be asked, what is known is used until it can: storing the event, which
    /// asks the same database, is what fails then. One request waits for that, not each in turn.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let _looking = self.0.looking.lock().await;
        let (is_known, is_settled) = {
            let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
            let is_recent = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < RENEWAL);
            let is_known = known.seen_at.is_some();
            (is_known, is_recent(known.seen_at) || (is_known && is_recent(known.failed_at)))
        };
        if is_settled {
            return Ok(());
        }
        match self.look().await {
            Err(error) if is_known => {
                warn!(error = &error as &dyn std::error::Error, "changes of event types are not seen for now");
                self.0.known.write().unwrap_or_else(PoisonError::into_inner).failed_at = Some(Instant::now());
                Ok(())
            }
            looked => looked,
        }
    }

    fn recall(&self, tenant_id: TenantId) -> (Option<Duration>, Option<Entry>) {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        (known.age(), known.tenants.get(&tenant_id).cloned())
    }

    /// Looks while others go on with the view there is; one look at a time.
    fn renew_beside(&self) {
        if self.0.looking.try_lock().is_err() {
            return;
        }
        let this = self.clone();
        tokio::spawn(async move {
            let Ok(_looking) = this.0.looking.try_lock() else { return };
            if let Err(error) = this.look().await {
                warn!(error = &error as &dyn std::error::Error, "changes of event types are not seen for now");
            }
        });
    }

    /// With `looking` held.
    async fn look(&self) -> Result<(), StoreError> {
        let store = &self.0.store;
        let (began, mut era) = (Instant::now(), store.era());
        let (seen, news) = loop {
            let seen = {
                let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
                known.seen.clone().filter(|_| known.era == era)
            };
            let news = store.catalogue_news(seen.as_ref()).await?;
            let was = std::mem::replace(&mut era, store.era());
            if was == era {
                break (seen, news);
            }
        };
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none() {
            known.tenants.clear();
        }
        for (tenant_id, is_there) in news.changed {
            if is_there {
                known.tenants.entry(tenant_id).or_default().is_current = false;
            } else {
                known.tenants.remove(&tenant_id);
            }
        }
        known.seen = Some(news.snapshot);
        known.era = era;
        known.seen_at = Some(began);
        Ok(())
    }

    /// Reads a catalogue that changed, unless somebody just did.
    async fn read(&self, tenant_id: TenantId) -> Result<Option<Arc<Catalogue>>, StoreError> {
        let _looking = self.0.looking.lock().await;
        let Some(entry) = self.recall(tenant_id).1 else { return Ok(None) };
        if entry.is_current {
            return Ok(Some(entry.catalogue));
        }
        let rules = self.0.store.type_rules(tenant_id).await?;
        if rules.is_empty() {
            // Its last type was taken out since the last look; the next one will say so.
            return Ok(None);
        }
        let catalogue = Arc::new(renewed(&entry.catalogue, rules));
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.make_room(catalogue.size, tenant_id);
        known.tenants.insert(tenant_id, Entry { catalogue: Arc::clone(&catalogue), is_current: true });
        Ok(Some(catalogue))
    }
}

/// A catalogue from what was read, with the schemas of the one before as far as they are the same.
pub(super) fn renewed(before: &Catalogue, rules: Vec<TypeRule>) -> Catalogue {
    let mut size = 0;
    let rule = |TypeRule { name, schema, deprecated_at }: TypeRule| {
        size += TYPE_BYTES + name.len() + schema.as_ref().map_or(0, String::len);
        let slot = |text: String| {
            let same = before.rule(&name).and_then(|rule| rule.schema.as_ref()).filter(|slot| slot.text() == text);
            same.map_or_else(|| Arc::new(Slot::new(text.clone())), Arc::clone)
        };
        let schema = schema.map(slot);
        (name, Arc::new(Rule { deprecated_at, schema }))
    };
    let rules = rules.into_iter().map(rule).collect();
    Catalogue { rules, size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_make_room() {
        let mut known = Known::default();
        for (number, eighths) in [(1, 3), (2, 1), (3, 4), (4, 2)] {
            let catalogue = Arc::new(Catalogue { size: MOST / 8 * eighths, ..Catalogue::default() });
            known.tenants.insert(TenantId::from_u128(number), Entry { catalogue, is_current: true });
        }
        known.make_room(MOST / 8 * 3, TenantId::from_u128(4));
        let mut current: Vec<_> =
            known.tenants.iter().filter(|(_, entry)| entry.is_current).map(|(id, _)| *id).collect();
        current.sort_unstable();
        assert_eq!(current, [1, 2, 4].map(TenantId::from_u128));
    }

    #[test]
    fn a_schema_is_compiled_again_only_where_it_changed() {
        let rule = |name: &str, schema: &str| TypeRule {
            name: name.to_owned(),
            schema: Some(schema.to_owned()),
            deprecated_at: None,
        };
        let shelf = Shelf::default();
        let first = renewed(&Catalogue::default(), vec![rule("a", r#"{"type":"null"}"#), rule("b", "{}")]);
        let compiled = |catalogue: &Catalogue, name| {
            let slot = catalogue.rule(name).expect(name).schema.clone().expect("a schema");
            shelf.get(&slot).expect("usable")
        };
        let (a, b) = (compiled(&first, "a"), compiled(&first, "b"));
        let second = renewed(&first, vec![rule("a", r#"{"type":"null"}"#), rule("b", r#"{"type":"null"}"#)]);
        assert!(Arc::ptr_eq(&a, &compiled(&second, "a")) && !Arc::ptr_eq(&b, &compiled(&second, "b")));
        assert_eq!(compiled(&second, "b").schema.check(b"1").len(), 1);
    }
}
