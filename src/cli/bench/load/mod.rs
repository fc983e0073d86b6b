//! Load: streams of events, and the producers that send them.

mod bits;
mod connection;
mod driver;
mod request;

use std::time::Duration;

pub(in crate::cli) use bits::Bits;
pub(in crate::cli) use connection::Connection;
pub(in crate::cli) use driver::{Driven, Load};
pub(in crate::cli) use request::{MIN_PAYLOAD, Request, event_type};

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Behaviour {
    /// 200, at once.
    Taking,
    /// 500, at once.
    Refusing,
    /// Never.
    Hanging,
}

impl Behaviour {
    const ALL: [Self; 3] = [Self::Taking, Self::Refusing, Self::Hanging];

    /// The word in a receiver's path.
    pub(in crate::cli) const fn as_str(self) -> &'static str {
        match self {
            Self::Taking => "taken",
            Self::Refusing => "refused",
            Self::Hanging => "hanging",
        }
    }

    /// Reads the word.
    pub(in crate::cli) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behaviour| behaviour.as_str() == word)
    }
}

/// A stream of events to webhooks of its own.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Flow {
    /// Its name in the report.
    pub(in crate::cli) name: String,
    /// Tenants, which take turns.
    pub(in crate::cli) tenants: usize,
    /// Webhooks of each tenant.
    pub(in crate::cli) webhooks: usize,
    /// Each event goes to one of its tenant's webhooks, which take turns; else to all of them.
    pub(in crate::cli) is_routed: bool,
    /// How they answer.
    pub(in crate::cli) behaviour: Behaviour,
    /// Events a request.
    pub(in crate::cli) batch: usize,
    /// Each event has an idempotency key of its own.
    pub(in crate::cli) is_keyed: bool,
    /// Bytes of an event's data.
    pub(in crate::cli) payload_bytes: usize,
    /// Connections of producers, each with one request under way.
    pub(in crate::cli) connections: usize,
    /// Events a second, whatever the answers take; without it, each answer is followed by the next request.
    pub(in crate::cli) rate: Option<f64>,
}

impl Flow {
    /// Deliveries that an event is owed to.
    pub(in crate::cli) fn fan(&self) -> u32 {
        if self.is_routed { 1 } else { u32::try_from(self.webhooks).unwrap_or(u32::MAX) }
    }
}

/// When a flow ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::cli) enum Extent {
    /// After this many events, rounded up to whole requests.
    Count(u64),
    /// After this time.
    Time(Duration),
}

impl Extent {
    /// Requests that it allows.
    fn requests(self, flow: &Flow) -> u64 {
        match self {
            Self::Count(events) => events.div_ceil(flow.batch as u64),
            Self::Time(_) => u64::MAX,
        }
    }

    /// The time that it allows.
    fn time(self) -> Option<Duration> {
        match self {
            Self::Count(_) => None,
            Self::Time(time) => Some(time),
        }
    }
}
