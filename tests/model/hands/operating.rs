//! Steps of operators, and of receivers that speak about their webhook.

use std::time::Duration;

use tidings::actions::ActionError;
use tidings::actions::replays::{self, Request};
use tidings::actions::resend::{resend_dead_letter, resend_delivery};
use tidings::domain::ids::{DeliveryId, WebhookId};
use tidings::domain::replay::{Filter, Source, State as ReplayState, Word};
use tidings::domain::retry::WebhookEffect;
use tidings::domain::webhook::{self, State};
use tidings::store::history::deliveries::Delivery;
use tidings::store::replays::Worked;

use super::{Hands, failed};
use crate::model::books::{Check, same};

impl Hands<'_> {
    /// Reads a webhook, as every change of one does first.
    async fn read(&self, place: u8) -> Result<Option<webhook::Webhook>, String> {
        let Some(webhook) = self.webhook(place) else { return Ok(None) };
        let found = self.context.store.webhook(webhook.tenant, webhook.id).await.map_err(failed)?;
        let mut found = found.ok_or("a webhook is not there")?;
        found.updated_at = self.now();
        Ok(Some(found))
    }

    fn change(&mut self, id: WebhookId, state: State) {
        let webhook = self.books.webhooks.get_mut(&id).expect("a webhook");
        let comes_back = state == State::Active && !webhook.is_active();
        webhook.state = state;
        webhook.revision += if comes_back { 2 } else { 1 };
        if comes_back {
            webhook.active_since = webhook.revision;
        }
    }

    pub(super) async fn deactivate(&mut self, place: u8) -> Check {
        let Some(mut webhook) = self.read(place).await? else { return Ok(()) };
        webhook.deactivate();
        same("saved", &self.context.store.save_webhook(&mut webhook).await.map_err(failed)?, &true)?;
        self.change(webhook.id, State::Inactive);
        Ok(())
    }

    pub(super) async fn activate(&mut self, place: u8, skip_backlog: bool) -> Check {
        let Some(mut webhook) = self.read(place).await? else { return Ok(()) };
        webhook.activate();
        if self.webhook(place).is_some_and(|webhook| !webhook.is_active()) {
            // Whoever activates it does not wait for what its receiver asked for.
            self.books.webhooks.get_mut(&webhook.id).expect("a webhook").parked_until = None;
        }
        self.change(webhook.id, State::Active);
        if !skip_backlog {
            return same("saved", &self.context.store.save_webhook(&mut webhook).await.map_err(failed)?, &true);
        }
        let skipped = self.context.store.save_webhook_without_backlog(&mut webhook).await.map_err(failed)?;
        let expected = self.books.cancel(webhook.id, "backlog_skipped", false, self.now());
        same("what was skipped", &skipped, &Some(expected))
    }

    pub(super) async fn gone(&mut self, place: u8, stale: bool) -> Check {
        let Some(webhook) = self.webhook(place).cloned() else { return Ok(()) };
        let revision = webhook.revision - i32::from(stale);
        let effect = WebhookEffect::Disable;
        let affected =
            self.context.store.affect_webhook(webhook.tenant, webhook.id, revision, effect, self.now()).await;
        affected.map_err(failed)?;
        if webhook.heeds(revision) {
            self.change(webhook.id, State::Disabled);
        }
        Ok(())
    }

    pub(super) async fn park(&mut self, place: u8, seconds: u8, stale: bool) -> Check {
        let Some(webhook) = self.webhook(place).cloned() else { return Ok(()) };
        let until = self.now() + Duration::from_secs(seconds.into());
        let (revision, effect) = (webhook.revision - i32::from(stale), WebhookEffect::ParkUntil(until));
        let affected =
            self.context.store.affect_webhook(webhook.tenant, webhook.id, revision, effect, self.now()).await;
        affected.map_err(failed)?;
        if webhook.heeds(revision) {
            let parked = &mut self.books.webhooks.get_mut(&webhook.id).expect("a webhook").parked_until;
            *parked = Some(parked.map_or(until, |earlier| earlier.max(until)));
        }
        Ok(())
    }

    pub(super) async fn delete(&mut self, place: u8) -> Check {
        let Some(webhook) = self.webhook(place).cloned() else { return Ok(()) };
        let (now, store) = (self.now(), &self.context.store);
        same("deleted", &store.delete_webhook(webhook.tenant, webhook.id, None, now).await.map_err(failed)?, &true)?;
        let rest = store.cancel_rest(webhook.tenant, &[webhook.id], now).await.map_err(failed)?;
        same("what was left over", &rest, &0)?;
        self.books.webhooks.get_mut(&webhook.id).expect("a webhook").is_deleted = true;
        self.books.cancel(webhook.id, "webhook_deleted", true, now);
        Ok(())
    }

    pub(super) async fn resend(&mut self, number: u8) -> Check {
        let Some(id) = Self::nth(self.books.deliveries.keys().copied(), number) else { return Ok(()) };
        let tenant = self.books.events[&id.event()].tenant;
        let resent = resend_delivery(&self.context, tenant, id).await;
        self.check_resend(id, resent)
    }

    pub(super) async fn resend_dead_letter(&mut self, number: u8) -> Check {
        let Some(id) = Self::nth(self.books.dead_letters().into_iter(), number) else { return Ok(()) };
        let tenant = self.books.events[&id.event()].tenant;
        let resent = resend_dead_letter(&self.context, tenant, id).await;
        self.check_resend(id, resent)
    }

    fn check_resend(&mut self, id: DeliveryId, resent: Result<Delivery, ActionError>) -> Check {
        let resent = match resent {
            Ok(delivery) => Ok(delivery.id),
            Err(ActionError::Conflict { code, .. }) => Err(code.to_owned()),
            Err(other) => return Err(failed(other)),
        };
        let now = self.now();
        same("what is resent", &resent, &self.books.resend(id, now))
    }

    pub(super) async fn delete_dead_letter(&mut self, number: u8) -> Check {
        let Some(id) = Self::nth(self.books.dead_letters().into_iter(), number) else { return Ok(()) };
        let (tenant, now) = (self.books.events[&id.event()].tenant, self.now());
        let deleted = self.context.store.delete_dead_letter(tenant, id, now).await.map_err(failed)?;
        self.books.delete_dead_letter(id, now);
        same("whether a dead letter was given up", &deleted, &true)
    }

    pub(super) async fn erase(&mut self, number: u8) -> Check {
        let Some(id) = Self::nth(self.books.events.keys().copied(), number) else { return Ok(()) };
        let (tenant, now) = (self.books.events[&id].tenant, self.now());
        let erased =
            self.context.store.erase(tenant, id, now).await.map_err(failed)?.ok_or("the event is not there")?;
        same("what was cancelled", &erased.cancelled, &self.books.erase(id, now))?;
        same("when it was erased", &Some(erased.deleted_at), &self.books.events[&id].erased_at)
    }

    pub(super) async fn start_replay(&mut self, tenant: u8, dead_letters: bool, place: Option<u8>, rate: u32) -> Check {
        if let Some((tenant, id)) = self.replay.take()
            && self.books.replay.as_ref().is_some_and(|replay| replay.state == ReplayState::Running)
        {
            replays::say(&self.context, tenant, id, Word::Cancel).await.map_err(failed)?;
        }
        let tenant = self.ids[usize::from(tenant)];
        let source = if dead_letters { Source::DeadLetters } else { Source::Deliveries };
        let webhook_id = place.and_then(|place| self.places[usize::from(place)]);
        let filter = Filter { webhook_id, ..Filter::default() };
        let now = self.now();
        self.books.start(tenant, source, &filter, rate, now);
        let request = Request { source, filter, rate_per_second: rate };
        let started = replays::start(&self.context, tenant, request).await.map_err(failed)?;
        self.replay = Some((tenant, started.id));
        self.check_replay().await
    }

    pub(super) async fn page(&mut self) -> Check {
        let Some((tenant, id)) = self.replay else { return Ok(()) };
        let now = self.now();
        while self.context.store.work_on_replay(tenant, id, now).await.map_err(failed)? == Worked::MoreAtOnce {}
        self.books.page(now);
        self.check_replay().await
    }

    async fn check_replay(&self) -> Check {
        let (Some((tenant, id)), Some(expected)) = (self.replay, &self.books.replay) else { return Ok(()) };
        let found = replays::find(&self.context, tenant, id).await.map_err(failed)?;
        same("the replay's progress", &found.progress, &expected.progress)?;
        same("the replay's state", &found.state, &expected.state)
    }
}
