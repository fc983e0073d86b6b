//! What is behind a pool: connections that nobody uses, and who waits for one.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection, Executor};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::era::Era;
use super::hosts::{Greeted, Hosts};
use super::session::{Condition, Live};
use super::{ANSWER, SILENCE};

/// Between two tries to connect to a server that is not there yet.
const AGAIN: Duration = Duration::from_millis(50);
/// What a server says that is starting up or full: it may let us in soon.
const NOT_YET: [&str; 2] = ["57P03", "53300"];

/// After how long a connection that nobody used is asked whether it is well.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Trust(pub(in crate::store) Duration);

/// What the clones of a pool share.
pub(super) struct Shared {
    /// Where the connections are made: they live as long as this runtime, whichever one they are asked for in.
    pub(super) runtime: Handle,
    pub(super) hosts: Hosts,
    pub(super) most: u32,
    /// For a connection.
    pub(super) wait: Duration,
    pub(super) trust: Trust,
    /// A permit for each connection in somebody's hands, or being made.
    pub(super) room: Arc<Semaphore>,
    pub(super) rest: Mutex<Rest>,
    pub(super) era: Era,
    pub(super) closed: CancellationToken,
}

/// A connection, and its place in the pool.
pub(super) type Held = (Live, OwnedSemaphorePermit);

/// Connections that nobody uses, or else who waits for one.
#[derive(Default)]
pub(super) struct Rest {
    pub(super) idle: Vec<Live>,
    waiting: VecDeque<oneshot::Sender<Result<Held, sqlx::Error>>>,
    /// Connections that are being made, one for each who began to wait.
    making: usize,
}

impl Rest {
    /// Tells who has waited longest and waits still; `Some` where nobody does.
    fn tell(&mut self, mut news: Result<Held, sqlx::Error>) -> Option<Result<Held, sqlx::Error>> {
        while let Some(first) = self.waiting.pop_front() {
            match first.send(news) {
                Ok(()) => return None,
                Err(unwanted) => news = unwanted,
            }
        }
        Some(news)
    }

    /// How many wait still.
    fn waiting(&mut self) -> usize {
        self.waiting.retain(|one| !one.is_closed());
        self.waiting.len()
    }
}

impl Shared {
    /// A connection in good order for who has a place: an idle one, or else the first that comes back or is made.
    pub(super) async fn take(
        self: &Arc<Self>,
        mut place: OwnedSemaphorePermit,
        until: Instant,
    ) -> Result<Held, sqlx::Error> {
        loop {
            let next = match self.idle_one().await {
                Ok(live) => return Ok((live, place)),
                Err(next) => next,
            };
            self.runtime.spawn(Arc::clone(self).make(place, until));
            let (live, its_place) = next.await.map_err(|_| sqlx::Error::PoolClosed)??;
            if live.era == self.era.now() {
                return Ok((live, its_place));
            }
            place = its_place;
        }
    }

    /// An idle connection that may be believed to be well, or else the next one that there is.
    async fn idle_one(&self) -> Result<Live, oneshot::Receiver<Result<Held, sqlx::Error>>> {
        loop {
            let mut live = {
                let mut rest = self.rest();
                let Some(live) = rest.idle.pop() else {
                    let (sender, next) = oneshot::channel();
                    rest.waiting.push_back(sender);
                    rest.making += 1;
                    return Err(next);
                };
                live
            };
            if live.era != self.era.now() {
                continue;
            }
            if live.idle_since.elapsed() < self.trust.0 {
                return Ok(live);
            }
            match timeout(ANSWER, live.connection.ping()).await {
                Ok(Ok(())) => return Ok(live),
                _ => self.distrust(live.era),
            }
        }
    }

    /// Makes a connection, for whoever has waited longest by the time it is there. Where that fails, one waiter is told, but only if more
    /// wait than connections are still being made.
    async fn make(self: Arc<Self>, place: OwnedSemaphorePermit, until: Instant) {
        let made = tokio::select! {
            made = timeout_at(until, self.connect(&self.hosts, || self.rest().waiting() > 0)) => {
                made.unwrap_or(Err(sqlx::Error::PoolTimedOut))
            }
            () = self.closed.cancelled() => Err(sqlx::Error::PoolClosed),
        };
        self.rest().making -= 1;
        match made {
            Ok(live) => self.hand_on(live, place),
            Err(error) => {
                let mut rest = self.rest();
                if rest.waiting() > rest.making {
                    drop(rest.tell(Err(error)));
                }
            }
        }
    }

    /// A new connection to the primary; while somebody wants it, one that is not there yet is waited for.
    pub(super) async fn connect(&self, hosts: &Hosts, is_wanted: impl Fn() -> bool) -> Result<Live, sqlx::Error> {
        loop {
            let before = self.era.now();
            match hosts.greet(self.era.host()).await {
                Ok(greeted) => {
                    let era = self.era.turns_to(&greeted, before);
                    let Greeted { connection, backend, server, .. } = greeted;
                    let (condition, idle_since) = (Condition::default(), Instant::now());
                    return Ok(Live { connection, server, backend, condition, era, idle_since });
                }
                Err(error) if comes_back(&error) && !self.closed.is_cancelled() && is_wanted() => sleep(AGAIN).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a connection back from whoever had it.
    pub(super) fn take_back(self: &Arc<Self>, live: Live, place: Option<OwnedSemaphorePermit>) {
        if live.condition.broken {
            return self.distrust(live.era);
        }
        // Nobody wants one apart any more.
        let Some(place) = place else { return };
        if !live.condition.busy && !live.condition.in_transaction {
            self.keep(live, place);
        } else {
            self.runtime.spawn(Arc::clone(self).put_in_order(live, place));
        }
    }

    /// Waits for the end of a statement that nobody waits for any more, and undoes a transaction.
    async fn put_in_order(self: Arc<Self>, mut live: Live, place: OwnedSemaphorePermit) {
        let order = async {
            live.connection.ping().await?;
            if live.condition.in_transaction {
                live.connection.execute(sqlx::raw_sql("ROLLBACK")).await?;
            }
            Ok::<_, sqlx::Error>(())
        };
        if let Ok(Ok(())) = timeout(SILENCE, order).await {
            live.condition = Condition::default();
            self.keep(live, place);
        }
    }

    fn keep(&self, live: Live, place: OwnedSemaphorePermit) {
        if live.era == self.era.now() {
            self.hand_on(live, place);
        }
    }

    /// Gives a connection to who has waited longest, or leaves it for the next who comes.
    fn hand_on(&self, mut live: Live, place: OwnedSemaphorePermit) {
        live.idle_since = Instant::now();
        let mut rest = self.rest();
        if let Some(Ok((live, _place))) = rest.tell(Ok((live, place)))
            && !self.closed.is_cancelled()
        {
            rest.idle.push(live);
        }
    }

    /// One connection of an era was lost: its sisters are not to be trusted either.
    fn distrust(&self, era: u64) {
        self.era.ends(era);
        let now = self.era.now();
        self.rest().idle.retain(|live| live.era == now);
    }

    pub(super) fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a server may let us in soon.
pub(super) fn comes_back(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| NOT_YET.contains(&&*code)),
        _ => false,
    }
}
