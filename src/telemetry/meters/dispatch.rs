//! Deliveries on their way out, as this process sees them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::register::Register;
use crate::domain::delivery::DeadReason;
use crate::domain::outcome::Class;
use crate::domain::retry::Verdict;

/// What is counted of dispatching.
pub struct Dispatch {
    register: Register,
    dialects: Mutex<HashMap<String, Arc<Dialect>>>,
    handed_off: Counter,
    claimed: Counter,
    claim_duration: Histogram,
    delivered: Counter,
    retried: Counter,
    dead: Counter,
    reasons: [Counter; DeadReason::ALL.len()],
    settle_size: Histogram,
    settle_duration: Histogram,
    dropped: Counter,
    expired: Counter,
    rescued: Counter,
    postponed: Counter,
    looks: [Counter; 2],
    waiting: Gauge,
    in_flight: Gauge,
    oldest_due: Gauge,
}

/// What is counted of attempts in one dialect.
pub struct Dialect {
    outcomes: [Counter; Class::ALL.len()],
    duration: Histogram,
    latency: Histogram,
}

impl Dispatch {
    #[rustfmt::skip]
    pub(super) fn new(register: &Register) -> Self {
        let taken = |way| register.counter(
            "tidings_deliveries_taken_total",
            "Deliveries that this process took the lease on: handed over in memory at accept, or claimed from the database.",
            &[("way", way)],
        );
        let settled = |verdict| register.counter(
            "tidings_deliveries_settled_total", "Attempts settled, by what was decided.", &[("verdict", verdict)],
        );
        let dead = |reason: DeadReason| register.counter(
            "tidings_deliveries_dead_total", "Deliveries given up, by reason.", &[("reason", reason.as_str())],
        );
        let look = |result| register.counter(
            "tidings_looks_total", "Looks for due deliveries.", &[("result", result)],
        );
        Self {
            register: register.clone(),
            dialects: Mutex::default(),
            handed_off: taken("hand_off"),
            claimed: taken("claim"),
            claim_duration: register.histogram("tidings_claim_duration_seconds", "Duration of a claiming statement.", &[]),
            delivered: settled("delivered"),
            retried: settled("retry"),
            dead: settled("dead"),
            reasons: DeadReason::ALL.map(dead),
            settle_size: register.histogram("tidings_settle_batch_size", "Results in one settling statement.", &[]),
            settle_duration: register.histogram("tidings_settle_duration_seconds", "Duration of a settling statement.", &[]),
            dropped: register.counter(
                "tidings_results_dropped_total",
                "Results that were not recorded because the lease had run out: those deliveries are attempted again.", &[],
            ),
            expired: register.counter("tidings_leases_expired_total", "Times that this process's own lease ran out.", &[]),
            rescued: register.counter(
                "tidings_deliveries_rescued_total", "Deliveries freed from dispatchers that stopped renewing their lease.", &[],
            ),
            postponed: register.counter(
                "tidings_deliveries_postponed_total", "Deliveries given back because they could not be prepared; the log says why.", &[],
            ),
            looks: ["ok", "failed"].map(look),
            waiting: register.gauge("tidings_deliveries_waiting", "Leased deliveries that wait in memory for their turn.", &[]),
            in_flight: register.gauge("tidings_attempts_in_flight", "Attempts under way.", &[]),
            oldest_due: register.gauge(
                "tidings_oldest_due_delivery_age_seconds",
                "How long the delivery that has been due for longest, of webhooks that may be sent to, waits to be claimed; 0 without one.",
                &[],
            ),
        }
    }

    /// The meters of a dialect, the same for the same name: looked up once for each revision.
    pub fn dialect(&self, name: &str) -> Arc<Dialect> {
        let mut dialects = self.dialects.lock().unwrap_or_else(PoisonError::into_inner);
        let own = dialects.entry(name.to_owned());
        Arc::clone(own.or_insert_with(|| Arc::new(Dialect::new(&self.register, name))))
    }

    /// Deliveries came by hand-off.
    pub fn handed_off(&self, deliveries: usize) {
        self.handed_off.increment(deliveries as u64);
    }

    /// A statement claimed deliveries.
    pub fn claimed(&self, deliveries: usize, took: Duration) {
        self.claimed.increment(deliveries as u64);
        self.claim_duration.record(took);
    }

    /// A result was recorded.
    pub fn settled(&self, verdict: Verdict) {
        match verdict {
            Verdict::Delivered => self.delivered.increment(1),
            Verdict::RetryAt(_) => self.retried.increment(1),
            Verdict::Dead(reason) => {
                self.dead.increment(1);
                let place = DeadReason::ALL.iter().position(|own| *own == reason);
                if let Some(counter) = place.and_then(|place| self.reasons.get(place)) {
                    counter.increment(1);
                }
            }
        }
    }

    /// A settling statement ended; of some results the lease had run out.
    pub fn recorded(&self, results: usize, dropped: usize, took: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "at most 500")]
        self.settle_size.record(results as f64);
        self.settle_duration.record(took);
        self.dropped.increment(dropped as u64);
    }

    /// This process's own lease ran out.
    pub fn expired(&self) {
        self.expired.increment(1);
    }

    /// Deliveries of a dispatcher that stopped are up for claiming again.
    pub fn rescued(&self, deliveries: u64) {
        self.rescued.increment(deliveries);
    }

    /// A delivery could not be prepared.
    pub fn postponed(&self) {
        self.postponed.increment(1);
    }

    /// A look at the database ended, with this much waiting and under way here.
    pub fn looked(&self, ok: bool, waiting: usize, in_flight: usize) {
        let [good, failed] = &self.looks;
        if ok { good } else { failed }.increment(1);
        #[expect(clippy::cast_precision_loss, reason = "tens of thousands at most")]
        for (gauge, value) in [(&self.waiting, waiting), (&self.in_flight, in_flight)] {
            gauge.set(value as f64);
        }
    }

    /// How long the delivery that has been due for longest waits.
    pub fn oldest_due(&self, age: Duration) {
        self.oldest_due.set(age);
    }
}

impl Dialect {
    fn new(register: &Register, dialect: &str) -> Self {
        let outcome = |class: Class| {
            let labels = [("dialect", dialect), ("outcome", class.as_str())];
            register.counter("tidings_attempts_total", "Attempts, by dialect and outcome.", &labels)
        };
        let labels = [("dialect", dialect)];
        Self {
            outcomes: Class::ALL.map(outcome),
            duration: register.histogram(
                "tidings_attempt_duration_seconds",
                "From the start of an attempt to the end of the receiver's answer.",
                &labels,
            ),
            latency: register.histogram(
                "tidings_delivery_latency_seconds",
                "From accept to the end of the receiver's answer, of deliveries delivered by their first attempt.",
                &labels,
            ),
        }
    }

    /// An attempt ended.
    pub fn attempted(&self, class: Class, took: Duration) {
        let place = Class::ALL.iter().position(|own| *own == class);
        if let Some(counter) = place.and_then(|place| self.outcomes.get(place)) {
            counter.increment(1);
        }
        self.duration.record(took);
    }

    /// A first attempt delivered what was accepted this long ago.
    pub fn delivered_at_first(&self, since_accept: Duration) {
        self.latency.record(since_accept);
    }
}
