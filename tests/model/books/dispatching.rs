//! The books, where processes that dispatch change them: what may be claimed, by whom, and who may settle it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use tidings::domain::ids::{DeliveryId, WebhookId};
use tidings::domain::lease::Claimed;

use super::{Books, Check, Delivery, Dues, Fate, GRACE, Lease, Time, same};
use crate::model::steps::Ending;

impl Books {
    /// What nobody holds of a webhook, by the time that it is due.
    fn waiting(&self, webhook: WebhookId) -> Vec<(Time, DeliveryId)> {
        let waits = |(id, one): (&DeliveryId, &Delivery)| match one.fate {
            Fate::Pending { due, holder: None } if one.webhook == webhook => Some((due, *id)),
            _ => None,
        };
        let mut waiting: Vec<_> = self.deliveries.iter().filter_map(waits).collect();
        waiting.sort();
        waiting
    }

    /// The webhooks with something to claim, and since when.
    pub fn due_lanes(&self, now: Time) -> BTreeMap<WebhookId, Time> {
        let sendable = self.webhooks.values().filter(|webhook| webhook.may_be_sent_to(now));
        let oldest = sendable.filter_map(|webhook| Some((webhook.id, self.waiting(webhook.id).first()?.0)));
        oldest.filter(|(_, due)| *due <= now).collect()
    }

    /// Checks what was claimed by one or more at the same time, each with this quota of the webhook: all that is due, as far as the
    /// quotas go, the longest due first.
    pub fn check_claim(&self, webhook: WebhookId, quotas: &[u8], claimed: &[&Claimed], now: Time) -> Check {
        let lane = &self.webhooks[&webhook];
        let due: Vec<_> = self.waiting(webhook).into_iter().filter(|(due, _)| *due <= now).collect();
        let most = if lane.may_be_sent_to(now) { due.len() } else { 0 };
        let wanted = quotas.iter().map(|quota| usize::from(*quota)).sum::<usize>().min(most);
        let since = |one: &&Claimed| due.iter().find(|(_, id)| *id == one.delivery_id).map(|(since, _)| *since);
        let mut found: Vec<_> = claimed.iter().map(since).collect();
        found.sort();
        let expected: Vec<_> = due.iter().take(wanted).map(|(since, _)| Some(*since)).collect();
        let different: BTreeSet<_> = claimed.iter().map(|one| one.delivery_id).collect();
        same("what was claimed is due since", &found, &expected)?;
        same("deliveries claimed once", &different.len(), &claimed.len())
    }

    /// Enters what was claimed, and checks that it came with all that belongs to it.
    pub fn claim(&mut self, claimed: &Claimed) -> Check {
        let delivery = self.deliveries.get_mut(&claimed.delivery_id).ok_or("a claimed delivery that nobody is owed")?;
        let Fate::Pending { holder, .. } = &mut delivery.fate else { return Err("claimed, and not pending".into()) };
        *holder = Some(claimed.holder.id().0);
        delivery.attempts += 1;
        self.check_leased(claimed)
    }

    pub fn check_leased(&self, claimed: &Claimed) -> Check {
        let (delivery, event) = (&self.deliveries[&claimed.delivery_id], &self.events[&claimed.delivery_id.event()]);
        let numbers = (claimed.attempt, claimed.attempts_before, claimed.lapses);
        same("attempts of what was leased", &numbers, &(delivery.attempts, delivery.before, delivery.lapses))?;
        same("webhook of what was leased", &claimed.webhook_id, &delivery.webhook)?;
        same("event of what was leased", &claimed.event.id, &claimed.delivery_id.event())?;
        same("tenant of what was leased", &claimed.tenant_id, &event.tenant)?;
        same("data of what was leased", &&*claimed.event.data, &event.data.as_bytes())
    }

    fn held(&mut self, (id, attempt, holder): Lease) -> Option<&mut Delivery> {
        let is_held = |one: &&mut Delivery| {
            one.attempts == attempt && matches!(one.fate, Fate::Pending { holder: Some(by), .. } if by == holder)
        };
        self.deliveries.get_mut(&id).filter(is_held)
    }

    /// Returns those whose lease was still held. A process that slept through its rescue and claims again before it has noticed can have
    /// two results under one lease: in one batch, that which ends the delivery counts.
    pub fn settle(&mut self, results: &[(Lease, Ending)], now: Time) -> BTreeSet<DeliveryId> {
        let mut settled = BTreeSet::new();
        let is_end = |(_, ending): &&(Lease, Ending)| !matches!(ending, Ending::RetryAfter(_));
        let (ends, retries): (Vec<&(Lease, Ending)>, Vec<_>) = results.iter().partition(is_end);
        for (lease, ending) in ends.into_iter().chain(retries) {
            let (id, attempt, _) = *lease;
            let is_new = !self.settled.contains(lease);
            let last = self.attempts.range((id, 0)..=(id, u16::MAX)).next_back().map_or(0, |((_, number), _)| *number);
            let Some(delivery) = self.held(*lease).filter(|_| is_new) else { continue };
            let (fate, verdict) = match ending {
                Ending::Success => (Fate::Delivered { at: now }, Some("delivered")),
                Ending::RetryAfter(seconds) => {
                    (Fate::Pending { due: now + TimeDelta::seconds((*seconds).into()), holder: None }, Some("retry"))
                }
                Ending::Terminal => (Fate::Dead { at: now, reason: "terminal_status" }, Some("dead")),
                Ending::Unrenderable => (Fate::Dead { at: now, reason: "unrenderable" }, None),
            };
            delivery.fate = fate;
            delivery.lapses = 0;
            match verdict {
                None => {
                    delivery.unsent = attempt - last;
                    delivery.attempts = last;
                }
                Some(verdict) => drop(self.attempts.insert((id, attempt), (verdict, now))),
            }
            self.settled.insert(*lease);
            settled.insert(id);
        }
        settled
    }

    pub fn release(&mut self, leases: &[Lease]) {
        for lease in leases {
            if let Some(delivery) = self.held(*lease) {
                delivery.attempts -= 1;
                delivery.free();
            }
        }
    }

    pub fn renew(&mut self, number: i32, now: Time, until: Time) -> bool {
        let lease = self.leases.get_mut(&number).filter(|lease| **lease > now);
        lease.map(|lease| *lease = until).is_some()
    }

    /// Returns how many were freed.
    pub fn rescue(&mut self, now: Time, found: &Dues) -> u64 {
        let alive: BTreeSet<_> =
            self.leases.iter().filter(|(_, until)| **until > now).map(|(number, _)| *number).collect();
        self.leases.retain(|_, until| *until > now - GRACE);
        self.free(now, found, |holder| !alive.contains(&holder))
    }

    pub fn discharge(&mut self, number: i32, now: Time, found: &Dues) {
        self.leases.remove(&number);
        self.free(now, found, |holder| holder == number);
    }

    /// Takes the attempts back. What lapsed before is due one after the other, what lapsed most often last. Among equals the order is left
    /// to chance, and taken from what was found.
    fn free(&mut self, now: Time, found: &Dues, whose: impl Fn(i32) -> bool) -> u64 {
        let theirs = self.deliveries.iter_mut().filter_map(|(id, one)| match one.fate {
            Fate::Pending { holder: Some(by), due } if whose(by) => Some((one.lapses, due, *id, one)),
            _ => None,
        });
        let mut theirs: Vec<_> = theirs.collect();
        theirs.sort_by_key(|(lapses, _, id, _)| (*lapses, found.get(id)));
        let lapsed_before = i64::try_from(theirs.iter().filter(|(lapses, ..)| *lapses > 0).count()).expect("few");
        // Rounded to microseconds, as the database has them.
        let after = |turn: i64| TimeDelta::microseconds((6_000_000 * turn + lapsed_before) / (2 * lapsed_before));
        let mut turns = (0..).map(after);
        for (lapses, due, _, delivery) in &mut theirs {
            let mut due = *due;
            if *lapses > 0 {
                due = due.max(now) + turns.next().unwrap_or_default();
            }
            delivery.attempts -= 1;
            delivery.lapses += 1;
            delivery.fate = Fate::Pending { due, holder: None };
        }
        theirs.len() as u64
    }
}
