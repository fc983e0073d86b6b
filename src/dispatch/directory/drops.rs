//! What was dropped, and when: what was read before a webhook changed must not be kept after it.

use std::collections::HashMap;

use crate::domain::ids::WebhookId;

/// Webhooks remembered; beyond that, it is as if all had been dropped.
const MOST: usize = 10_000;

/// When webhooks were last dropped, by a count of the looks that dropped any. What one webhook's reading is worth does not depend on the
/// others: where some change all the time, the rest must still come to be known.
#[derive(Debug, Default)]
pub(super) struct Drops {
    looks: u64,
    all: u64,
    one: HashMap<WebhookId, u64>,
}

/// A moment between two looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

impl Drops {
    /// The present.
    pub(super) const fn mark(&self) -> Mark {
        Mark(self.looks)
    }

    /// These changed.
    pub(super) fn note(&mut self, webhooks: &[WebhookId]) {
        if webhooks.is_empty() {
            return;
        }
        if self.one.len() + webhooks.len() > MOST {
            return self.note_all();
        }
        self.looks += 1;
        self.one.extend(webhooks.iter().map(|id| (*id, self.looks)));
    }

    /// Any may have changed.
    pub(super) fn note_all(&mut self) {
        self.looks += 1;
        self.all = self.looks;
        self.one.clear();
    }

    /// Whether a webhook is as it was read after a mark.
    pub(super) fn spared(&self, id: WebhookId, since: Mark) -> bool {
        self.all <= since.0 && self.one.get(&id).is_none_or(|look| *look <= since.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(number: u128) -> WebhookId {
        WebhookId::from_u128(number)
    }

    #[test]
    fn a_reading_is_good_unless_its_own_webhook_changed_since() {
        let mut drops = Drops::default();
        let first = drops.mark();
        assert!(drops.spared(webhook(1), first));
        drops.note(&[]);
        drops.note(&[webhook(1), webhook(2)]);
        let second = drops.mark();
        assert!(!drops.spared(webhook(1), first) && drops.spared(webhook(3), first));
        assert!(drops.spared(webhook(1), second));
        drops.note(&[webhook(1)]);
        assert!(!drops.spared(webhook(1), second) && drops.spared(webhook(2), second));
        drops.note_all();
        assert!(!drops.spared(webhook(3), second) && drops.spared(webhook(1), drops.mark()));
    }

    #[test]
    fn more_than_are_remembered_count_as_all() {
        let mut drops = Drops::default();
        let all: Vec<_> = (0..=MOST as u128).map(webhook).collect();
        drops.note(&all[..MOST]);
        let mark = drops.mark();
        assert!(drops.spared(webhook(u128::MAX), Drops::default().mark()));
        drops.note(&all[MOST..]);
        assert!(!drops.spared(webhook(u128::MAX), mark) && drops.one.is_empty());
        assert!(drops.spared(webhook(0), drops.mark()));
    }
}
