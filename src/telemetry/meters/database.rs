//! What the database holds, and the connections to it: read when somebody scrapes, at most every [`FRESH_FOR`].

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::Gauge;

use super::register::Register;

/// However many scrape, the database is asked no more often than this.
const FRESH_FOR: Duration = Duration::from_secs(10);

/// What the database holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Pending deliveries.
    pub backlog: i64,
    /// Dead letters.
    pub dead_letters: i64,
    /// Active webhooks that are not parked.
    pub active: i64,
    /// Active webhooks whose receivers asked for quiet.
    pub parked: i64,
    /// Webhooks that Tidings disabled.
    pub disabled: i64,
    /// Webhooks that a person deactivated.
    pub inactive: i64,
    /// Webhooks that wait for their receiver to pass the challenge.
    pub unverified: i64,
    /// Dispatchers whose lease is good.
    pub dispatchers: i64,
}

/// Connections of one pool.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    /// Which one.
    pub name: &'static str,
    /// Open ones.
    pub open: u32,
    /// Open ones that nobody uses.
    pub idle: u32,
    /// How many there may be.
    pub most: u32,
    /// How long it took to get one; `None` where none came in time.
    pub acquired_in: Option<Duration>,
}

/// What is known of the database.
pub struct Database {
    register: Register,
    read_at: Mutex<Option<Instant>>,
    up: Gauge,
    backlog: Gauge,
    dead_letters: Gauge,
    webhooks: [Gauge; 5],
    dispatchers: Gauge,
}

impl Database {
    pub(super) fn new(register: &Register) -> Self {
        let gauge = |name, help| register.gauge(name, help, &[]);
        let webhooks = |state| {
            let help = "Webhooks by state; parked are active ones whose receivers asked for quiet.";
            register.gauge("tidings_webhooks", help, &[("state", state)])
        };
        Self {
            register: register.clone(),
            read_at: Mutex::default(),
            up: gauge("tidings_database_up", "Whether the database answered when it was last asked for these numbers."),
            backlog: gauge(
                "tidings_backlog_deliveries",
                "Pending deliveries, due now or later; exact while they are few, else as Postgres estimates.",
            ),
            dead_letters: gauge(
                "tidings_dead_letters",
                "Dead letters; exact while they are few, else as Postgres estimates.",
            ),
            webhooks: ["active", "parked", "disabled", "inactive", "pending_verification"].map(webhooks),
            dispatchers: gauge("tidings_dispatchers", "Processes whose lease is good, on all hosts."),
        }
    }

    /// Whether it is time to read anew; whoever is told so does.
    pub fn is_due(&self) -> bool {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = read_at.is_none_or(|at| at.elapsed() >= FRESH_FOR);
        if due {
            *read_at = Some(Instant::now());
        }
        due
    }

    /// What was read; `None` where the database did not answer.
    pub fn read(&self, holdings: Option<Holdings>) {
        self.up.set(f64::from(u8::from(holdings.is_some())));
        let Some(holdings) = holdings else { return };
        let Holdings { backlog, dead_letters, active, parked, disabled, inactive, unverified, dispatchers } = holdings;
        let webhooks = self.webhooks.iter().zip([active, parked, disabled, inactive, unverified]);
        let others = [(&self.backlog, backlog), (&self.dead_letters, dead_letters), (&self.dispatchers, dispatchers)];
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        for (gauge, value) in webhooks.chain(others) {
            gauge.set(value as f64);
        }
    }

    /// How a pool is used.
    pub fn pool(&self, pool: Pool) {
        let Pool { name, open, idle, most, acquired_in } = pool;
        let connections = |state, value| {
            let help = "Connections to the database, by pool.";
            let labels = [("pool", name), ("state", state)];
            self.register.gauge("tidings_database_connections", help, &labels).set(f64::from(value));
        };
        connections("used", open.saturating_sub(idle));
        connections("idle", idle);
        let of_pool = |name, help, value| self.register.gauge(name, help, &[("pool", pool.name)]).set(value);
        of_pool("tidings_database_connections_limit", "Connections that the pool may have.", f64::from(most));
        let waited = acquired_in.map_or(f64::INFINITY, |time| time.as_secs_f64());
        of_pool(
            "tidings_database_acquire_seconds",
            "How long it took to get a connection of the pool when last tried; +Inf where none came in time.",
            waited,
        );
    }
}
