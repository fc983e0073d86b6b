//! What the tests of this module share: events, and a target that sends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::apart::Apart;
use super::{Desk, HandOffTarget, NewEvent, QUEUE};
use crate::domain::clock::Clock;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};
use crate::domain::lease::Claimed;
use crate::store::outbox::accept::HandOff;
use crate::store::{Config, Store};
use crate::telemetry::meters::Meters;

pub(super) fn event() -> NewEvent {
    let event = Arc::new(Event {
        tenant_id: TenantId::new(DateTime::UNIX_EPOCH, 1),
        id: EventId::new(DateTime::UNIX_EPOCH, 1),
        event_type: "order.paid".into(),
        occurred_at: None,
        data: Bytes::from_static(b"1"),
    });
    NewEvent { event, idempotency_key: None, trace: None }
}

/// So many wait, and it begins with some every time it is asked, down to `stuck`. It notes how many wait when a statement begins.
pub(super) struct Sending {
    at_a_time: usize,
    waiting: AtomicUsize,
    stuck: AtomicUsize,
    asked: AtomicUsize,
    at_first: OnceLock<usize>,
}

impl Sending {
    pub(super) fn new(waiting: usize, stuck: usize) -> Arc<Self> {
        Self::at_a_time(1, waiting, stuck)
    }

    pub(super) fn at_a_time(at_a_time: usize, waiting: usize, stuck: usize) -> Arc<Self> {
        Arc::new(Self {
            at_a_time,
            waiting: waiting.into(),
            stuck: stuck.into(),
            asked: AtomicUsize::new(0),
            at_first: OnceLock::new(),
        })
    }

    /// So many more wait.
    pub(super) fn hand_over(&self, deliveries: usize) {
        self.waiting.fetch_add(deliveries, Ordering::Relaxed);
    }

    /// So many wait from now on, all of them stuck.
    pub(super) fn free(&self, stuck: usize) {
        self.stuck.store(stuck, Ordering::Relaxed);
        self.waiting.store(stuck, Ordering::Relaxed);
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl HandOffTarget for Sending {
    fn offer(&self) -> Option<HandOff> {
        let _ = self.at_first.set(self.waiting.load(Ordering::Relaxed));
        None
    }

    fn waiting(&self) -> usize {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let stuck = self.stuck.load(Ordering::Relaxed);
        let next = |waiting: usize| Some(waiting.saturating_sub(self.at_a_time).max(stuck));
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).expect("a number")
    }

    fn take(&self, _: Vec<Claimed>) {}

    fn doubt(&self) {}
}

/// How many of so many that wait still do when the first statement begins, for what is in the queue.
pub(super) async fn waiting_at_first<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    waiting: usize,
    fill: impl AsyncFnOnce(&mpsc::Sender<T>),
    flush: impl FnOnce(Desk, mpsc::Receiver<T>) -> F,
) -> usize {
    let target = Sending::new(waiting, 0);
    // Nobody is there: what a statement needs comes after the offer.
    let store = Store::connect("postgres://127.0.0.1:1/none", &Config::default()).expect("a URL");
    let clock = Clock::steered(DateTime::UNIX_EPOCH);
    let desk = Desk {
        store,
        clock,
        target: Some(Arc::clone(&target) as _),
        meters: Meters::default(),
        apart: Apart::default(),
    };
    let (way_in, queue) = mpsc::channel(QUEUE);
    fill(&way_in).await;
    let flush = tokio::spawn(flush(desk, queue));
    let begun = async {
        while target.at_first.get().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), begun).await.expect("a statement begins");
    flush.abort();
    target.at_first.get().copied().expect("a statement")
}
