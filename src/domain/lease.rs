//! Leases: the right to settle one attempt.
//!
//! A dispatching process renews one lease for itself in the database; each delivery it claimed names it as holder. While the
//! process renews, no other may touch those deliveries; when it stops, they are up for claiming again, under another holder's number. A
//! claim counts an attempt, and a lease that ends without a result takes that back; holder and attempt together tell a lease from any
//! later one.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::event::Event;
use super::ids::{DeliveryId, TenantId, WebhookId};
use super::trace::TraceParent;

/// A dispatcher sends under a view of the webhooks for so long, and no longer. Whoever changed one and waits for longer than that knows that
/// none sends under what it was.
pub const VIEW_VALIDITY: Duration = Duration::from_secs(1);

/// A dispatching process, as the database numbers it. A process whose lease ran out comes back under another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DispatcherId(pub i32);

/// A dispatcher's number as it stands on what it claimed. As long as a clone exists, something claimed under the number may
/// still be on its way in this process.
#[derive(Debug, Clone)]
pub struct Holder {
    id: DispatcherId,
    in_use: Arc<()>,
}

impl Holder {
    /// The first clone.
    #[must_use]
    pub fn new(id: DispatcherId) -> Self {
        Self { id, in_use: Arc::new(()) }
    }

    /// The number.
    #[must_use]
    pub const fn id(&self) -> DispatcherId {
        self.id
    }

    /// Whether there is no other clone: nothing in this process was claimed under the number.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        Arc::strong_count(&self.in_use) == 1
    }
}

/// A dialect as it was at one time; deliveries keep the one they were accepted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DialectRevision(pub i32);

/// A claimed delivery: whoever has this value may make one attempt and settle it. Holder and attempt are what the database knows
/// the lease by.
#[derive(Debug)]
pub struct Claimed {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Where it goes.
    pub webhook_id: WebhookId,
    /// How it is written.
    pub dialect: DialectRevision,
    /// Who may settle it.
    pub holder: Holder,
    /// The attempt's number, from 1 over the delivery's whole life.
    pub attempt: u16,
    /// Attempts made before the last resend.
    pub attempts_before: u16,
    /// How many times in a row its lease ended without a result.
    pub lapses: u16,
    /// What is delivered.
    pub event: Arc<Event>,
    /// The trace that the event belongs to.
    pub trace: Option<TraceParent>,
    /// When the lease was taken.
    pub claimed_at: DateTime<Utc>,
}

/// A delivery whose lease ended this many times in a row without a result is given up: it may be what its processes died of.
pub const MOST_LAPSES: u16 = 5;

impl Claimed {
    /// The attempt's number since the delivery was accepted or last resent: the one that the retry schedule counts.
    #[must_use]
    pub const fn scheduled_attempt(&self) -> u16 {
        self.attempt.saturating_sub(self.attempts_before)
    }
}
