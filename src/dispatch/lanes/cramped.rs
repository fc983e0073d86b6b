//! Lanes that could start another, had the process more room.

use std::collections::BTreeSet;

use crate::domain::ids::WebhookId;

/// Such lanes, with how many each has under way: there is room first for the one that has the fewest. What is remembered of a lane may be
/// outdated, so whoever takes one looks at it again.
#[derive(Debug, Default)]
pub(super) struct Cramped(BTreeSet<(usize, WebhookId)>);

impl Cramped {
    pub(super) fn add(&mut self, id: WebhookId, in_flight: usize) {
        self.0.insert((in_flight, id));
    }

    /// Whether one has less than `part` under way.
    pub(super) fn fits(&self, part: usize) -> bool {
        self.0.first().is_some_and(|(in_flight, _)| *in_flight < part)
    }

    /// Takes out the first that has less than `part` under way.
    pub(super) fn take(&mut self, part: usize) -> Option<WebhookId> {
        if self.fits(part) { self.0.pop_first().map(|(_, id)| id) } else { None }
    }
}
