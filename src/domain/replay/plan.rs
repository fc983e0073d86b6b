//! Plan: what a replay does with a page of deliveries.

use std::collections::{HashMap, HashSet};

use super::{SkipReason, Skipped};
use crate::domain::delivery;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::domain::webhook;

/// A delivery that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The delivery.
    pub id: DeliveryId,
    /// Whom it is owed to.
    pub webhook_id: WebhookId,
    /// Where it stands: delivered, dead or cancelled.
    pub state: delivery::State,
    /// Whether its event is still kept.
    pub has_event: bool,
}

/// Other deliveries of the events on a page.
#[derive(Debug, Clone, Default)]
pub struct Siblings {
    /// The last delivery that a resend made, of each event that has one.
    pub latest: HashMap<EventId, DeliveryId>,
    /// Deliveries whose event has a later one to the same webhook that is pending, or came to its end since the replay began.
    pub resent: HashSet<DeliveryId>,
}

/// A delivery to be made in the place of one that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The new delivery.
    pub id: DeliveryId,
    /// Whom it is owed to.
    pub webhook_id: WebhookId,
}

/// What is done with a page.
#[derive(Debug, Default)]
pub struct Plan {
    /// Dead letters to be made pending again.
    pub revive: Vec<DeliveryId>,
    /// Deliveries to be made.
    pub make: Vec<Made>,
    /// What is passed over.
    pub skipped: Skipped,
    /// The first one for which there was no room any more; it and what follows are left for the next time.
    pub stopped_at: Option<DeliveryId>,
    /// Event and webhook of everything resent on this page.
    sent: HashSet<(EventId, WebhookId)>,
}

impl Plan {
    /// Decides about a page, newest first: resends at most `room`, and passes over what cannot be resent.
    #[must_use]
    pub fn of(
        page: &[Candidate],
        webhooks: &HashMap<WebhookId, webhook::State>,
        siblings: &Siblings,
        room: u64,
    ) -> Self {
        let mut plan = Self::default();
        let mut latest = siblings.latest.clone();
        for one in page {
            if let Some(reason) = plan.why_not(one, webhooks, siblings) {
                plan.skip(reason);
            } else if plan.resends() >= room {
                plan.stopped_at = Some(one.id);
                break;
            } else {
                plan.resend(one, &mut latest);
            }
        }
        plan
    }

    /// How many it resends.
    #[must_use]
    pub fn resends(&self) -> u64 {
        u64::try_from(self.revive.len() + self.make.len()).unwrap_or(u64::MAX)
    }

    fn skip(&mut self, reason: SkipReason) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    fn why_not(
        &self,
        one: &Candidate,
        webhooks: &HashMap<WebhookId, webhook::State>,
        siblings: &Siblings,
    ) -> Option<SkipReason> {
        if let Some(reason) = SkipReason::of_webhook(webhooks.get(&one.webhook_id).copied()) {
            return Some(reason);
        }
        if !one.has_event {
            return Some(SkipReason::EventGone);
        }
        // A dead letter is owed for itself; what came to its end is sent again once, however often it was resent before.
        let again = self.sent.contains(&(one.id.event(), one.webhook_id)) || siblings.resent.contains(&one.id);
        (one.state != delivery::State::Dead && again).then_some(SkipReason::AlreadyResent)
    }

    fn resend(&mut self, one: &Candidate, latest: &mut HashMap<EventId, DeliveryId>) {
        let event = one.id.event();
        if one.state == delivery::State::Dead {
            self.revive.push(one.id);
        } else {
            let id = latest.get(&event).map_or(Some(event.first_resend()), |latest| latest.next());
            let Some(id) = id else {
                self.skip(SkipReason::TooManyResends);
                return;
            };
            latest.insert(event, id);
            self.make.push(Made { id, webhook_id: one.webhook_id });
        }
        self.sent.insert((event, one.webhook_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use delivery::State::{Cancelled, Dead, Delivered};

    const WEBHOOK: WebhookId = WebhookId::from_u128(1);

    fn event(number: u128) -> EventId {
        EventId::from_u128(number << 20)
    }

    fn one(id: DeliveryId, state: delivery::State) -> Candidate {
        Candidate { id, webhook_id: WEBHOOK, state, has_event: true }
    }

    fn plan(page: &[Candidate], siblings: &Siblings, room: u64) -> Plan {
        Plan::of(page, &HashMap::from([(WEBHOOK, webhook::State::Active)]), siblings, room)
    }

    fn skipped(plan: &Plan) -> Vec<(SkipReason, u64)> {
        plan.skipped.clone().into_iter().collect()
    }

    #[test]
    fn the_dead_are_revived_and_the_others_get_successors() {
        let page = [
            one(event(3).delivery(1), Dead),
            one(event(2).delivery(1), Delivered),
            one(event(1).delivery(1), Cancelled),
        ];
        let siblings = Siblings { latest: HashMap::from([(event(1), event(1).first_resend())]), ..Siblings::default() };
        let plan = plan(&page, &siblings, 9);
        assert_eq!(plan.revive, [event(3).delivery(1)]);
        let made: Vec<_> = plan.make.iter().map(|made| Some(made.id)).collect();
        assert_eq!(made, [Some(event(2).first_resend()), event(1).first_resend().next()]);
        assert!(plan.stopped_at.is_none() && skipped(&plan).is_empty());
    }

    #[test]
    fn it_stops_where_there_is_no_room_and_passes_over_for_nothing() {
        let gone = Candidate { has_event: false, ..one(event(5).delivery(1), Dead) };
        let page = [gone, one(event(4).delivery(1), Dead), one(event(3).delivery(1), Dead)];
        let first = plan(&page, &Siblings::default(), 1);
        assert_eq!((first.revive.len(), first.stopped_at), (1, Some(event(3).delivery(1))));
        assert_eq!(skipped(&first), [(SkipReason::EventGone, 1)]);
        let none = plan(&page, &Siblings::default(), 0);
        assert_eq!((none.resends(), none.stopped_at), (0, Some(event(4).delivery(1))));
    }

    #[test]
    fn an_event_goes_to_a_webhook_once_in_a_replay() {
        let again = event(7).first_resend();
        let page = [one(again, Delivered), one(event(7).delivery(1), Delivered), one(event(6).delivery(1), Delivered)];
        let siblings =
            Siblings { latest: HashMap::from([(event(7), again)]), resent: HashSet::from([event(6).delivery(1)]) };
        let plan = plan(&page, &siblings, 9);
        assert_eq!((plan.make.len(), Some(plan.make[0].id)), (1, again.next()));
        assert_eq!(skipped(&plan), [(SkipReason::AlreadyResent, 2)]);
    }

    #[test]
    fn webhooks_that_cannot_receive_are_passed_over() {
        for (state, reason) in [
            (None, SkipReason::WebhookDeleted),
            (Some(webhook::State::Inactive), SkipReason::WebhookInactive),
            (Some(webhook::State::Disabled), SkipReason::WebhookDisabled),
            (Some(webhook::State::PendingVerification), SkipReason::WebhookNotVerified),
        ] {
            let webhooks = state.into_iter().map(|state| (WEBHOOK, state)).collect();
            let plan = Plan::of(&[one(event(1).delivery(1), Dead)], &webhooks, &Siblings::default(), 9);
            assert_eq!((plan.resends(), skipped(&plan)), (0, vec![(reason, 1)]));
        }
    }

    #[test]
    fn an_event_without_room_for_another_delivery_is_passed_over() {
        let full = Siblings { latest: HashMap::from([(event(1), event(1).last_delivery())]), ..Siblings::default() };
        let plan = plan(&[one(event(1).delivery(1), Delivered)], &full, 9);
        assert_eq!((plan.resends(), skipped(&plan)), (0, vec![(SkipReason::TooManyResends, 1)]));
    }
}
