//! The books, where operators change them: webhooks, resends, deletions, replays.

use std::collections::HashSet;

use chrono::TimeDelta;
use tidings::domain::delivery::State as DeliveryState;
use tidings::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use tidings::domain::replay::{Filter, Pace, Progress, SkipReason, Source, State as ReplayState};
use tidings::domain::webhook::State;

use super::{Books, Delivery, Fate, Time};

/// Resends within this time are one.
const ONE_RESEND: TimeDelta = TimeDelta::seconds(2);

#[derive(Debug, Clone)]
pub struct Replay {
    pub tenant: TenantId,
    pub source: Source,
    pub webhook: Option<WebhookId>,
    pub pace: Pace,
    pub begun: Time,
    pub state: ReplayState,
    pub progress: Progress,
    /// Only ids below this are still to be looked at.
    pub below: Option<DeliveryId>,
}

impl Books {
    /// Ends what a webhook is still owed; what is held only where the webhook is gone. Returns how many.
    pub fn cancel(&mut self, webhook: WebhookId, cause: &'static str, held_too: bool, now: Time) -> u64 {
        let ends = |one: &&mut Delivery| {
            one.webhook == webhook && matches!(one.fate, Fate::Pending { holder, .. } if held_too || holder.is_none())
        };
        let cancelled = self.deliveries.values_mut().filter(ends);
        cancelled.map(|one| one.fate = Fate::Cancelled { at: now, cause }).map(|()| 1).sum()
    }

    /// Deletes the data of an event; returns how many deliveries were cancelled.
    pub fn erase(&mut self, id: EventId, now: Time) -> i64 {
        let event = self.events.get_mut(&id).expect("an event");
        event.erased_at.get_or_insert(now);
        "null".clone_into(&mut event.data);
        self.keys.values_mut().filter(|key| key.event == id).for_each(|key| key.content = None);
        let owed = |one: &&mut Delivery| matches!(one.fate, Fate::Pending { .. } | Fate::Dead { .. });
        let ended = self.deliveries.range_mut(id.delivery(1)..=id.last_delivery()).map(|(_, one)| one).filter(owed);
        ended.map(|one| one.fate = Fate::Cancelled { at: now, cause: "data_deleted" }).map(|()| 1).sum()
    }

    pub fn dead_letters(&self) -> Vec<DeliveryId> {
        let dead = self.deliveries.iter().filter(|(_, one)| matches!(one.fate, Fate::Dead { .. }));
        dead.map(|(id, _)| *id).collect()
    }

    /// Gives up a dead letter.
    pub fn delete_dead_letter(&mut self, id: DeliveryId, now: Time) {
        self.deliveries.get_mut(&id).expect("a delivery").fate = Fate::Cancelled { at: now, cause: "operator" };
    }

    /// Returns the delivery that will be attempted, or the code of the refusal.
    pub fn resend(&mut self, id: DeliveryId, now: Time) -> Result<DeliveryId, String> {
        let delivery = &self.deliveries[&id];
        if self.events[&id.event()].erased_at.is_some() {
            return Err("event_data_deleted".to_owned());
        }
        if let Some(reason) = self.why_not(delivery.webhook) {
            return Err(reason.as_str().to_owned());
        }
        match delivery.fate {
            Fate::Pending { .. } | Fate::Dead { .. } => {
                self.bring_back(id, now);
                Ok(id)
            }
            Fate::Delivered { .. } | Fate::Cancelled { .. } => {
                let webhook = delivery.webhook;
                Ok(self.resent_just_before(id.event(), webhook, now).unwrap_or_else(|| self.succeed(id, now)))
            }
        }
    }

    fn resent_just_before(&self, event: EventId, webhook: WebhookId, now: Time) -> Option<DeliveryId> {
        let stands = |one: &Delivery| match one.fate {
            Fate::Pending { .. } => true,
            Fate::Delivered { at } => at > now - ONE_RESEND,
            Fate::Dead { .. } | Fate::Cancelled { .. } => false,
        };
        let resends = self.deliveries.range(event.first_resend()..=event.last_delivery()).rev();
        resends.filter(|(_, one)| one.webhook == webhook && stands(one)).map(|(id, _)| *id).next()
    }

    /// A dead one is pending, with fresh attempts; a pending one is due, unless it is being attempted.
    fn bring_back(&mut self, id: DeliveryId, now: Time) {
        let delivery = self.deliveries.get_mut(&id).expect("a delivery");
        match &mut delivery.fate {
            Fate::Pending { due, holder: None } => *due = now.min(*due),
            Fate::Dead { .. } => {
                // A number under which nothing was sent is used up all the same.
                delivery.attempts += std::mem::take(&mut delivery.unsent);
                delivery.before = delivery.attempts;
                delivery.lapses = 0;
                delivery.fate = Fate::Pending { due: now, holder: None };
            }
            _ => {}
        }
    }

    /// Another delivery of the same event.
    fn succeed(&mut self, id: DeliveryId, now: Time) -> DeliveryId {
        let (event, webhook) = (id.event(), self.deliveries[&id].webhook);
        let last = self.deliveries.range(event.first_resend()..=event.last_delivery()).next_back();
        let next = last.map_or(event.first_resend(), |(last, _)| last.next().expect("room"));
        let fate = Fate::Pending { due: now, holder: None };
        self.deliveries.insert(next, Delivery { webhook, attempts: 0, before: 0, unsent: 0, lapses: 0, fate });
        next
    }

    fn why_not(&self, webhook: WebhookId) -> Option<SkipReason> {
        let webhook = &self.webhooks[&webhook];
        match webhook.state {
            _ if webhook.is_deleted => Some(SkipReason::WebhookDeleted),
            State::Active => None,
            State::Inactive => Some(SkipReason::WebhookInactive),
            State::Disabled => Some(SkipReason::WebhookDisabled),
            State::PendingVerification => Some(SkipReason::WebhookNotVerified),
        }
    }

    /// Starts a replay, which counts at once.
    pub fn start(&mut self, tenant: TenantId, source: Source, filter: &Filter, rate: u32, now: Time) {
        let mut replay = Replay {
            tenant,
            source,
            webhook: filter.webhook_id,
            pace: Pace { rate, open_at: now },
            begun: now,
            state: ReplayState::Running,
            progress: Progress { counted: true, ..Progress::default() },
            below: None,
        };
        replay.progress.total = u64::try_from(self.candidates(&replay).len()).expect("few");
        self.replay = Some(replay);
    }

    /// What a replay has still to look at, newest first.
    fn candidates(&self, replay: &Replay) -> Vec<DeliveryId> {
        let matches = |(id, one): &(&DeliveryId, &Delivery)| {
            let state = match one.fate {
                Fate::Dead { .. } => DeliveryState::Dead,
                Fate::Pending { .. } => DeliveryState::Pending,
                Fate::Delivered { .. } | Fate::Cancelled { .. } => DeliveryState::Delivered,
            };
            let is_source = state == DeliveryState::Dead || replay.source == Source::Deliveries;
            is_source
                && one.ended_at().is_some_and(|at| at <= replay.begun)
                && replay.webhook.is_none_or(|only| only == one.webhook)
                && self.events[&id.event()].tenant == replay.tenant
                && replay.below.is_none_or(|below| **id < below)
        };
        self.deliveries.iter().rev().filter(matches).map(|(id, _)| *id).collect()
    }

    /// Resends as many as there is room for.
    pub fn page(&mut self, now: Time) {
        let Some(mut replay) = self.replay.take() else { return };
        if replay.state == ReplayState::Running {
            self.resend_page(&mut replay, now);
        }
        self.replay = Some(replay);
    }

    fn resend_page(&mut self, replay: &mut Replay, now: Time) {
        let (room, mut resent) = (replay.pace.room(now), 0);
        let mut sent = HashSet::new();
        let mut stopped_at = None;
        for id in self.candidates(replay) {
            if let Some(reason) = self.why_not_again(id, replay.begun, &sent) {
                replay.progress.skip(reason, 1);
                continue;
            }
            if resent >= room {
                stopped_at = Some(id);
                break;
            }
            let delivery = &self.deliveries[&id];
            sent.insert((id.event(), delivery.webhook));
            match delivery.fate {
                Fate::Dead { .. } => self.bring_back(id, now),
                _ => _ = self.succeed(id, now),
            }
            resent += 1;
        }
        replay.progress.resent += resent;
        replay.pace = replay.pace.spend(resent, now);
        replay.below = stopped_at.map(|id| id.next().expect("room"));
        if stopped_at.is_none() {
            replay.progress.close();
            replay.state = ReplayState::Completed;
        }
    }

    fn why_not_again(&self, id: DeliveryId, begun: Time, sent: &HashSet<(EventId, WebhookId)>) -> Option<SkipReason> {
        let delivery = &self.deliveries[&id];
        if let Some(reason) = self.why_not(delivery.webhook) {
            return Some(reason);
        }
        if self.events[&id.event()].erased_at.is_some() {
            return Some(SkipReason::EventGone);
        }
        let mut later = self.deliveries.range(id..=id.event().last_delivery()).skip(1);
        let stands = |one: &Delivery| one.webhook == delivery.webhook && one.ended_at().is_none_or(|at| at >= begun);
        let is_resent = later.any(|(_, one)| stands(one)) || sent.contains(&(id.event(), delivery.webhook));
        (is_resent && !matches!(delivery.fate, Fate::Dead { .. })).then_some(SkipReason::AlreadyResent)
    }
}
