//! Spans of ids: every narrowing of a list that needs no column.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::ids::EventId;

/// Chance and ordinal: the bits of an id below its time.
const BITS_BELOW_TIME: u32 = 80;

/// Ids from the first to before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: u128,
    end: u128,
}

impl Default for Span {
    fn default() -> Self {
        Self { first: 0, end: u128::MAX }
    }
}

impl Span {
    /// Only ids made at this time or later.
    #[must_use]
    pub fn from(self, time: DateTime<Utc>) -> Self {
        Self { first: self.first.max(first_id_at(time)), ..self }
    }

    /// Only ids made before this time.
    #[must_use]
    pub fn to(self, time: DateTime<Utc>) -> Self {
        Self { end: self.end.min(first_id_at(time)), ..self }
    }

    /// Only ids below this one: where the next page begins.
    #[must_use]
    pub fn before(self, id: u128) -> Self {
        Self { end: self.end.min(id), ..self }
    }

    /// Only the deliveries of this event.
    #[must_use]
    pub fn of_event(self, event: EventId) -> Self {
        let after_last = event.last_delivery().as_u128().saturating_add(1);
        Self { first: self.first.max(event.as_u128()), end: self.end.min(after_last) }
    }

    pub(in crate::store) const fn first(self) -> Uuid {
        Uuid::from_u128(self.first)
    }

    pub(in crate::store) const fn end(self) -> Uuid {
        Uuid::from_u128(self.end)
    }
}

/// As the database's function of this name; the time is cut to milliseconds, as in ids.
fn first_id_at(time: DateTime<Utc>) -> u128 {
    const LATEST: u128 = (1 << (128 - BITS_BELOW_TIME)) - 1;
    u128::try_from(time.timestamp_millis()).unwrap_or(0).min(LATEST) << BITS_BELOW_TIME
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).unwrap_or_default()
    }

    fn holds(span: Span, id: u128) -> bool {
        (span.first..span.end).contains(&id)
    }

    #[test]
    fn a_time_names_the_first_id_made_then() {
        let span = Span::default().from(at(1_000)).to(at(2_000));
        let (first, last) = (EventId::new(at(1_000), 0), EventId::new(at(1_999), u128::MAX));
        assert!(holds(span, first.as_u128()) && holds(span, last.last_delivery().as_u128()));
        assert!(!holds(span, EventId::new(at(999), u128::MAX).as_u128()));
        assert!(!holds(span, EventId::new(at(2_000), 0).as_u128()));
        let all = Span::default().from(DateTime::<Utc>::MIN_UTC).to(DateTime::<Utc>::MAX_UTC);
        assert!(holds(all, first.as_u128()));
    }

    #[test]
    fn an_event_and_a_cursor_narrow_further() {
        let event = EventId::new(at(5), 1 << 30);
        let span = Span::default().of_event(event);
        assert!(holds(span, event.delivery(1).as_u128()) && holds(span, event.last_delivery().as_u128()));
        assert!(!holds(span, EventId::new(at(6), 0).delivery(1).as_u128()));
        let rest = span.before(event.delivery(2).as_u128());
        assert!(holds(rest, event.delivery(1).as_u128()) && !holds(rest, event.delivery(2).as_u128()));
    }
}
