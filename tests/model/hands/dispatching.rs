//! Steps of processes that dispatch: as the dispatcher takes them, and as it could when it was stopped in between.

use std::time::Duration;

use tidings::domain::attempt::Attempt;
use tidings::domain::delivery::DeadReason;
use tidings::domain::ids::{DeliveryId, WebhookId};
use tidings::domain::lease::{Claimed, Holder};
use tidings::domain::outcome::{Answer, Class, Outcome};
use tidings::domain::retry::Verdict;
use tidings::store::outbox::claim::{DueLane, LaneQuota};
use tidings::store::outbox::settle::Settlement;

use super::{Hands, Worker, failed};
use crate::model::books::{Check, Dues, GRACE, Lease, Time, same};
use crate::model::steps::{Ending, PLACES};

const LEASE: Duration = Duration::from_secs(30);

impl Worker {
    pub(super) fn number(&self) -> Holder {
        self.numbers.last().expect("a number").clone()
    }
}

fn lease_of(claimed: &Claimed) -> Lease {
    (claimed.delivery_id, claimed.attempt, claimed.holder.id().0)
}

impl Hands<'_> {
    pub(super) fn worker(&mut self, worker: u8) -> &mut Worker {
        &mut self.workers[usize::from(worker)]
    }

    pub(super) async fn enlist(&mut self) -> Holder {
        let now = self.now();
        let id = self.context.store.enlist(now, LEASE).await.expect("a number");
        self.books.leases.insert(id.0, now + LEASE);
        Holder::new(id)
    }

    /// What was leased to a process reaches its hands, or it doubts its number and goes on under a new one.
    pub(super) async fn take_over(&mut self, worker: u8, claimed: Vec<Claimed>, answer_lost: bool) {
        if answer_lost {
            let fresh = self.enlist().await;
            self.worker(worker).numbers.push(fresh);
        } else {
            self.worker(worker).held.extend(claimed);
        }
    }

    fn quotas(&self, quotas: [u8; 3]) -> Vec<(WebhookId, u8, LaneQuota)> {
        let places = self.places.into_iter().flatten().zip(quotas).zip(PLACES).filter(|((_, quota), _)| *quota > 0);
        let quota = |((webhook_id, quota), (tenant, ..)): ((WebhookId, u8), (usize, _, _))| {
            let lane = DueLane { tenant_id: self.ids[tenant], webhook_id, rate_limit: None, due_at: self.now() };
            (webhook_id, quota, LaneQuota { lane, quota: quota.into() })
        };
        places.map(quota).collect()
    }

    /// Looks, and claims also where the look has found nothing: things may change between the two.
    pub(super) async fn claim(&mut self, worker: u8, quotas: [u8; 3], answer_lost: bool) -> Check {
        let (now, store) = (self.now(), self.context.store.clone());
        let due = store.due_lanes(now).await.map_err(failed)?;
        let found = due.iter().map(|lane| (lane.webhook_id, lane.due_at)).collect();
        same("what is due", &found, &self.books.due_lanes(now))?;
        let (holder, quotas) = (self.worker(worker).number(), self.quotas(quotas));
        let asked: Vec<_> = quotas.iter().map(|(.., quota)| *quota).collect();
        let claimed = store.claim(&asked, &holder, now).await.map_err(failed)?;
        self.check_claims(&quotas, &[&claimed], now)?;
        self.take_over(worker, claimed, answer_lost).await;
        Ok(())
    }

    pub(super) async fn claim_together(&mut self, workers: [u8; 2], quota: u8) -> Check {
        let (now, store) = (self.now(), self.context.store.clone());
        let holders = workers.map(|worker| self.worker(worker).number());
        let quotas = self.quotas([quota; 3]);
        let asked: Vec<_> = quotas.iter().map(|(.., quota)| *quota).collect();
        let (first, second) =
            tokio::join!(store.claim(&asked, &holders[0], now), store.claim(&asked, &holders[1], now));
        let (first, second) = (first.map_err(failed)?, second.map_err(failed)?);
        self.check_claims(&quotas, &[&first, &second], now)?;
        self.worker(workers[0]).held.extend(first);
        self.worker(workers[1]).held.extend(second);
        Ok(())
    }

    fn check_claims(&mut self, quotas: &[(WebhookId, u8, LaneQuota)], claims: &[&Vec<Claimed>], now: Time) -> Check {
        let all: Vec<_> = claims.iter().flat_map(|claimed| claimed.iter()).collect();
        for (webhook, quota, _) in quotas {
            let own: Vec<_> = all.iter().copied().filter(|one| one.webhook_id == *webhook).collect();
            self.books.check_claim(*webhook, &vec![*quota; claims.len()], &own, now)?;
            for claimed in claims {
                let count = claimed.iter().filter(|one| one.webhook_id == *webhook).count();
                same("claimed beyond the quota", &(count > usize::from(*quota)), &false)?;
            }
        }
        let asked_for = |one: &&Claimed| quotas.iter().any(|(webhook, ..)| *webhook == one.webhook_id);
        same("claimed of other webhooks", &all.iter().filter(|one| !asked_for(one)).count(), &0)?;
        all.into_iter().try_for_each(|one| self.books.claim(one))
    }

    pub(super) async fn settle(
        &mut self,
        worker: u8,
        skip: u8,
        count: u8,
        endings: &[Ending],
        answer_lost: bool,
    ) -> Check {
        let now = self.now();
        let held = &mut self.worker(worker).held;
        let from = usize::from(skip).min(held.len());
        let until = (from + usize::from(count)).min(held.len());
        let endings = endings.iter().copied().cycle();
        let results: Vec<_> = held
            .drain(from..until)
            .zip(endings)
            .map(|(claimed, ending)| (settlement(claimed, ending, now), ending))
            .collect();
        let results = self.record(results).await?;
        if answer_lost {
            self.worker(worker).unanswered.extend(results);
        }
        Ok(())
    }

    pub(super) async fn settle_again(&mut self, worker: u8) -> Check {
        let results = std::mem::take(&mut self.worker(worker).unanswered);
        self.record(results).await.map(drop)
    }

    async fn record(&mut self, results: Vec<(Settlement, Ending)>) -> Result<Vec<(Settlement, Ending)>, String> {
        let now = self.now();
        let (settlements, endings): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let settled = self.context.store.settle(&settlements, now).await.map_err(failed)?;
        let leases = settlements.iter().map(|settlement| lease_of(&settlement.claimed));
        let results: Vec<_> = leases.zip(endings.iter().copied()).collect();
        same("what was settled", &settled.into_iter().collect(), &self.books.settle(&results, now))?;
        Ok(settlements.into_iter().zip(endings).collect())
    }

    pub(super) async fn release(&mut self, worker: u8, count: usize) -> Check {
        let held = &mut self.worker(worker).held;
        let released: Vec<_> = held.drain(..count.min(held.len())).collect();
        self.context.store.release(&released).await.map_err(failed)?;
        self.books.release(&released.iter().map(lease_of).collect::<Vec<_>>());
        Ok(())
    }

    /// Renews all numbers of a process. What it holds under one that ran out stays in its hands: it is a zombie, as far as that goes.
    pub(super) async fn renew(&mut self, worker: u8) -> Check {
        let (now, store) = (self.now(), self.context.store.clone());
        let mut kept = Vec::new();
        for holder in std::mem::take(&mut self.worker(worker).numbers) {
            let renewed = store.renew(holder.id(), now, LEASE).await.map_err(failed)?;
            same("whether the lease was renewed", &renewed, &self.books.renew(holder.id().0, now, now + LEASE))?;
            kept.extend(renewed.then_some(holder));
        }
        if kept.is_empty() {
            kept.push(self.enlist().await);
        }
        self.worker(worker).numbers = kept;
        Ok(())
    }

    pub(super) async fn retire(&mut self, worker: u8) -> Check {
        let Worker { numbers, held, .. } = self.worker(worker);
        let is_in_use = |number: &Holder| held.iter().any(|one| one.holder.id() == number.id());
        let current = numbers.len() - 1;
        let old: Vec<_> = numbers[..current].iter().filter(|number| !is_in_use(number)).map(Holder::id).collect();
        numbers.retain(|number| !old.contains(&number.id()));
        for id in old {
            let now = self.context.clock.now();
            self.context.store.discharge(id, now).await.map_err(failed)?;
            let found = self.dues().await;
            self.books.discharge(id.0, now, &found);
        }
        Ok(())
    }

    pub(super) async fn rescue(&mut self) -> Check {
        let now = self.now();
        let lapsed = self.context.store.any_lapsed(now).await.map_err(failed)?;
        same("whether a lease ran out", &lapsed, &self.books.leases.values().any(|until| *until <= now))?;
        let grace = GRACE.to_std().expect("a duration");
        let freed = self.context.store.rescue(now, grace).await.map_err(failed)?;
        let found = self.dues().await;
        same("what was freed", &freed, &self.books.rescue(now, &found))
    }

    /// When what is pending is due.
    async fn dues(&mut self) -> Dues {
        let rows: Vec<(DeliveryId, Time)> = sqlx::query_as("SELECT id, due_at FROM tidings.outbox")
            .fetch_all(&mut *self.connection)
            .await
            .expect("dues");
        rows.into_iter().collect()
    }

    pub(super) async fn close(&mut self, worker: u8) -> Check {
        self.release(worker, usize::MAX).await?;
        for number in std::mem::take(&mut self.worker(worker).numbers) {
            let now = self.context.clock.now();
            self.context.store.discharge(number.id(), now).await.map_err(failed)?;
            let found = self.dues().await;
            self.books.discharge(number.id().0, now, &found);
        }
        self.kill(worker).await
    }

    pub(super) async fn kill(&mut self, worker: u8) -> Check {
        let numbers = vec![self.enlist().await];
        *self.worker(worker) = Worker { numbers, held: Vec::new(), unanswered: Vec::new() };
        Ok(())
    }
}

fn settlement(claimed: Claimed, ending: Ending, now: Time) -> Settlement {
    let (verdict, status) = match ending {
        Ending::Success => (Verdict::Delivered, Some(204)),
        Ending::RetryAfter(seconds) => (Verdict::RetryAt(now + Duration::from_secs(seconds.into())), Some(500)),
        Ending::Terminal => (Verdict::Dead(DeadReason::TerminalStatus), Some(404)),
        Ending::Unrenderable => (Verdict::Dead(DeadReason::Unrenderable), None),
    };
    let attempt = status.map(|status| {
        let class = if status == 204 { Class::Success } else { Class::HttpStatus };
        let answer = Answer { status, headers: String::new(), body: bytes::Bytes::new(), retry_after: None };
        let outcome = Outcome { class, answer: Some(answer), error: None, duration: Duration::ZERO };
        Attempt { started_at: now, webhook_revision: 1, outcome }
    });
    Settlement { claimed, attempt, verdict, detail: None }
}
