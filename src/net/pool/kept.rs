//! What is kept, and what becomes of that which nobody wants.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::{unconstrained, yield_now};
use tokio::time::{Instant, sleep};

use super::closing::Closing;
use super::http1::Http1;
use super::http2::{Http2, Place};
use crate::net::target::Origin;

/// Shared connections are dropped when no request came for this long: before load balancers, which commonly wait 60 s, drop them
/// under one.
const SHARED_TIMEOUT: Duration = Duration::from_secs(50);
/// Idle connections kept for one origin: as many as one process has requests under way by default, since many webhooks
/// may lead to one host.
const IDLE_PER_ORIGIN: usize = 1_024;
/// Shared connections kept for one origin: together they bear about as many requests.
const SHARED_PER_ORIGIN: usize = 32;
/// How often those that nobody wants are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// What is kept, for whoever drops what became useless.
pub(in crate::net) struct Kept {
    origins: Mutex<Origins>,
    /// The greatest age of a connection that takes a request.
    max_age: Duration,
    closing: Closing,
}

#[derive(Default)]
struct Origins {
    connections: HashMap<Origin, Connections>,
    is_swept: bool,
}

/// To one origin.
#[derive(Default)]
struct Connections {
    /// The one that was used last is used next, so that what is not needed becomes old.
    idle: Vec<Idle>,
    /// The first that bears another request is used next, so that what is not needed becomes idle.
    shared: Vec<Shared>,
}

struct Idle {
    connection: Box<Http1>,
    since: Instant,
}

struct Shared {
    connection: Http2,
    /// When it last got a request.
    used: Instant,
}

impl Kept {
    /// Nothing yet; what comes is used until it is this old.
    pub(super) fn new(max_age: Duration, closing: Closing) -> Arc<Self> {
        Arc::new(Self { origins: Mutex::default(), max_age, closing })
    }

    /// A connection that nobody else has.
    pub(super) fn own(&self, origin: &Origin) -> Option<Box<Http1>> {
        let now = Instant::now();
        loop {
            let mut idle = self.origins().connections.get_mut(origin)?.idle.pop()?;
            if idle.is_good(now, self.max_age) {
                return Some(idle.connection);
            }
            idle.connection.close(&self.closing);
        }
    }

    /// Takes one back, unless it is of no use to the next request.
    pub(super) fn keep(self: &Arc<Self>, origin: &Origin, connection: Box<Http1>) {
        let since = Instant::now();
        let mut idle = Idle { connection, since };
        if !idle.is_good(since, self.max_age) {
            return idle.connection.close(&self.closing);
        }
        let mut origins = self.origins();
        let Some(connections) = origins.connections.get_mut(origin) else {
            let connections = Connections { idle: vec![idle], shared: Vec::new() };
            origins.connections.insert(origin.clone(), connections);
            return self.have_swept(&mut origins);
        };
        if connections.idle.len() < IDLE_PER_ORIGIN {
            connections.idle.push(idle);
            self.have_swept(&mut origins);
        }
    }

    /// A place on a connection that others have, too.
    pub(super) fn shared(&self, origin: &Origin) -> Option<Place> {
        let now = Instant::now();
        let mut origins = self.origins();
        let shared = &mut origins.connections.get_mut(origin)?.shared;
        shared.iter_mut().filter(|shared| shared.is_good(now, self.max_age)).find_map(|shared| {
            let place = shared.connection.spare_place()?;
            shared.used = now;
            Some(place)
        })
    }

    /// Lets others have a connection, too.
    pub(super) fn share(self: &Arc<Self>, origin: &Origin, connection: Http2) {
        let now = Instant::now();
        let mut origins = self.origins();
        let shared = &mut origins.connections.entry(origin.clone()).or_default().shared;
        shared.retain(|shared| shared.is_good(now, self.max_age));
        // One too many serves the request that it was made for.
        if shared.len() < SHARED_PER_ORIGIN {
            shared.push(Shared { connection, used: now });
        }
        self.have_swept(&mut origins);
    }

    /// Has what becomes useless dropped, for as long as anything is kept.
    fn have_swept(self: &Arc<Self>, origins: &mut Origins) {
        if !std::mem::replace(&mut origins.is_swept, true) {
            // Thousands may have ended, which must not exhaust the task's share of a turn before they are seen to have.
            tokio::spawn(unconstrained(sweep(Arc::downgrade(self))));
        }
    }

    /// How many connections wait for a request, or take one more.
    #[cfg(test)]
    pub(in crate::net) fn count(&self) -> usize {
        let origins = self.origins();
        origins.connections.values().map(|one| one.idle.len() + one.shared.len()).sum()
    }

    fn origins(&self) -> MutexGuard<'_, Origins> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what is of no use to the next request; `false` where nothing is left.
    pub(in crate::net) async fn sweep(&self) -> bool {
        let origins: Vec<_> = self.origins().connections.keys().cloned().collect();
        // One by one: nobody waits while thousands are looked at.
        for origin in origins {
            self.tidy(&origin);
            yield_now().await;
        }
        let mut origins = self.origins();
        origins.is_swept = !origins.connections.is_empty();
        origins.is_swept
    }

    /// Drops what is of no use to the next request to an origin.
    pub(super) fn tidy(&self, origin: &Origin) {
        for idle in self.useless(origin) {
            idle.connection.close(&self.closing);
        }
    }

    fn useless(&self, origin: &Origin) -> Vec<Idle> {
        let now = Instant::now();
        let mut origins = self.origins();
        let Some(connections) = origins.connections.get_mut(origin) else { return Vec::new() };
        let useless = connections.idle.extract_if(.., |idle| !idle.is_good(now, self.max_age)).collect();
        connections.shared.retain(|shared| shared.is_good(now, self.max_age));
        if connections.idle.is_empty() && connections.shared.is_empty() {
            origins.connections.remove(origin);
        }
        useless
    }
}

async fn sweep(kept: Weak<Kept>) {
    loop {
        sleep(SWEEP).await;
        let Some(kept) = kept.upgrade() else { return };
        if !kept.sweep().await {
            return;
        }
    }
}

impl Idle {
    fn is_good(&mut self, now: Instant, max_age: Duration) -> bool {
        let Http1 { max_idle, since, .. } = *self.connection;
        now - self.since < max_idle && now - since <= max_age && self.connection.is_ready()
    }
}

impl Shared {
    fn is_good(&self, now: Instant, max_age: Duration) -> bool {
        self.connection.is_good() && now - self.connection.since <= max_age && now - self.used <= SHARED_TIMEOUT
    }
}
