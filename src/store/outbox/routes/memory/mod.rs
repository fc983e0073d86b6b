//! What a process remembers of routes; it asks nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::lease::DialectRevision;
use crate::store::connections::Era;
use crate::store::outbox::accept::NewEvent;
use crate::store::outbox::dispatchers::Snapshot;

/// After this long it is time to look at what changed: the longer ago the last look, the more changes, of other tenants too, each statement
/// has to go through.
const RENEWAL: Duration = Duration::from_secs(1);
/// Without a look for this long, all is forgotten: the row of a deleted webhook, which tells of its change, stays for a day at least.
const LONGEST: Duration = Duration::from_hours(1);
/// Routes, and tenants' types, that are remembered; beyond that all are read again, which is rare.
const MOST: usize = 50_000;

/// A webhook that is owed an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store::outbox) struct Route {
    pub(in crate::store::outbox) webhook_id: WebhookId,
    pub(in crate::store::outbox) dialect: DialectRevision,
    /// It is active and has no rate limit, so that it may be sent to without a claim.
    pub(super) is_open: bool,
    pub(super) parked_until: Option<DateTime<Utc>>,
}

impl Route {
    /// Whether a delivery may be leased at once.
    pub(in crate::store::outbox) fn takes(&self, now: DateTime<Utc>) -> bool {
        self.is_open && self.parked_until.is_none_or(|until| until <= now)
    }
}

/// Routes by tenant and type; in the order of their numbers, from 1.
pub(super) type Table = HashMap<TenantId, HashMap<String, Arc<[Route]>>>;

/// Who is owed an event, where that is known.
pub(super) fn wanted(table: &Table, new: &NewEvent) -> Option<Arc<[Route]>> {
    table.get(&new.event.tenant_id)?.get(&new.event.event_type).cloned()
}

/// For each event of a batch, who is owed it.
#[derive(Debug)]
pub(in crate::store::outbox) struct Plan {
    pub(in crate::store::outbox) routes: Vec<Arc<[Route]>>,
    /// What a change must be later than to matter; `None` where all was read for this batch.
    pub(in crate::store::outbox) seen: Option<Snapshot>,
    /// The era of connections that it is good for.
    pub(in crate::store::outbox) era: u64,
}

/// What changed since a look.
pub(super) struct News {
    pub(super) snapshot: Snapshot,
    /// Whose webhooks changed.
    pub(super) tenants: Vec<TenantId>,
    pub(super) has_other_dialects: bool,
}

/// How the memory stood at a moment: what is asked of the database after it is kept only if nothing was forgotten since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seen: Option<Snapshot>,
    pub(super) era: u64,
    changes: u64,
}

/// The memory.
#[derive(Debug)]
pub(in crate::store) struct Routes {
    known: Mutex<Known>,
    era: Era,
}

#[derive(Debug, Default)]
struct Known {
    /// The era that this was learnt in.
    era: u64,
    table: Table,
    /// Routes and types in `table`.
    size: usize,
    seen: Option<Snapshot>,
    seen_at: Option<Instant>,
    /// When it was last said that it is time to look.
    due_at: Option<Instant>,
    /// Counts what was forgotten.
    changes: u64,
}

impl Routes {
    pub(in crate::store) fn new(era: &Era) -> Self {
        Self { known: Mutex::default(), era: era.clone() }
    }

    /// `None` where something of it is not known.
    pub(super) fn recall(&self, events: &[NewEvent]) -> Option<Plan> {
        let known = self.known();
        let seen = Some(known.seen.clone()?);
        let routes = events.iter().map(|new| wanted(&known.table, new)).collect::<Option<_>>()?;
        Some(Plan { routes, seen, era: known.era })
    }

    pub(super) fn mark(&self) -> Mark {
        let known = self.known();
        Mark { seen: known.seen.clone(), era: known.era, changes: known.changes }
    }

    /// Whether it is time to look; says so once in [`RENEWAL`].
    pub(super) fn is_due(&self) -> bool {
        let mut known = self.known();
        let is_due = known.seen_at.max(known.due_at).is_some_and(|at| at.elapsed() >= RENEWAL);
        if is_due {
            known.due_at = Some(Instant::now());
        }
        is_due
    }

    /// Remembers what was read after a mark, unless something was forgotten meanwhile: what was read may be older than that. Nor where
    /// nothing was seen yet: the first look would vouch for it without knowing what changed since.
    pub(super) fn keep(&self, mark: &Mark, table: Table) {
        let mut known = self.known();
        if mark.seen.is_none() || known.changes != mark.changes {
            return;
        }
        for (tenant_id, types) in table {
            for (event_type, routes) in types {
                known.keep(tenant_id, event_type, routes);
            }
        }
    }

    /// Forgets what changed since a mark, and moves on; unless another look was faster, which may have seen more.
    pub(super) fn take_over(&self, mark: &Mark, news: News) {
        let mut known = self.known();
        if known.seen != mark.seen || known.changes != mark.changes {
            return;
        }
        if news.has_other_dialects {
            known.forget();
        }
        for tenant_id in &news.tenants {
            known.drop_tenant(*tenant_id);
        }
        known.seen = Some(news.snapshot);
        known.seen_at = Some(Instant::now());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let era = self.era.now();
        if known.is_past(era, Instant::now()) {
            known.forget();
            (known.era, known.seen, known.seen_at) = (era, None, None);
        }
        known
    }
}

impl Known {
    fn is_past(&self, era: u64, now: Instant) -> bool {
        self.era != era || self.seen_at.is_some_and(|at| now.duration_since(at) >= LONGEST)
    }

    fn keep(&mut self, tenant_id: TenantId, event_type: String, routes: Arc<[Route]>) {
        if self.size >= MOST {
            self.table.clear();
            self.size = 0;
        }
        self.size += 1 + routes.len();
        let before = self.table.entry(tenant_id).or_default().insert(event_type, routes);
        self.size -= before.map_or(0, |before| 1 + before.len());
    }

    fn drop_tenant(&mut self, tenant_id: TenantId) {
        let types = self.table.remove(&tenant_id).unwrap_or_default();
        self.size -= types.values().map(|routes| 1 + routes.len()).sum::<usize>();
        self.changes += 1;
    }

    fn forget(&mut self) {
        self.table.clear();
        self.size = 0;
        self.changes += 1;
    }
}

#[cfg(test)]
mod tests;
