//! The hands: each step as Tidings does it, with its answer held against the books.

mod dispatching;
mod operating;
mod producing;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tidings::actions::Context;
use tidings::domain::clock::Clock;
use tidings::domain::ids::{TenantId, WebhookId};
use tidings::domain::lease::{Claimed, Holder};
use tidings::domain::webhook::State;
use tidings::store::outbox::settle::Settlement;

use super::books::{Books, Check, Time, Webhook};
use super::steps::{Ending, PLACES, Step, WORKERS};
use crate::support::World;
use crate::support::world::Tenant;

/// The clock of a sequence runs ahead of the database's by this, so that what SQL reports is due at once.
const AHEAD: TimeDelta = TimeDelta::minutes(10);

/// Empties what a sequence before has left.
const EMPTY: &str = "
    DELETE FROM tidings.outbox; DELETE FROM tidings.dead_letters; DELETE FROM tidings.cancellations;
    DELETE FROM tidings.attempts; DELETE FROM tidings.events; DELETE FROM tidings.idempotency_keys;
    DELETE FROM tidings.erasures; DELETE FROM tidings.dispatchers; DELETE FROM tidings.replays;
    DELETE FROM tidings.webhook_revisions; DELETE FROM tidings.tenants";

/// What the tests of one run share: a database that every sequence finds empty.
pub struct Bench {
    world: World,
    connection: PgConnection,
}

impl Bench {
    pub async fn new() -> Self {
        let world = World::new().await;
        let connection = PgConnection::connect(&world.database_url).await.expect("the database");
        Self { world, connection }
    }

    /// Takes the steps one by one; says which one went wrong, and how.
    pub async fn play(&mut self, steps: &[Step]) -> Check {
        sqlx::raw_sql(EMPTY).execute(&mut self.connection).await.expect("empty tables");
        let now = self.world.context.store.database_now().await.expect("a clock") + AHEAD;
        let context = Context { clock: Clock::steered(now), ..self.world.context.clone() };
        let tenants = [self.world.tenant().await, self.world.tenant().await];
        let ids = tenants.each_ref().map(|tenant| tenant.id.parse().expect("an id"));
        let connection = &mut self.connection;
        let mut hands = Hands {
            context,
            connection,
            tenants,
            ids,
            books: Books::default(),
            workers: Vec::new(),
            places: [None; 3],
            reported: 0,
            replay: None,
        };
        hands.prepare().await;
        for (number, step) in (1..).zip(steps) {
            hands.context.clock.advance(step.wait());
            let taken = match hands.take(step).await {
                Ok(()) => hands.books.check(hands.connection).await,
                wrong => wrong,
            };
            taken.map_err(|wrong| format!("step {number}, {step:?}: {wrong}"))?;
        }
        Ok(())
    }
}

/// A process that dispatches, as far as its hands go.
#[derive(Debug)]
struct Worker {
    /// Its numbers; the last is the one to claim under, the others are on their way out.
    numbers: Vec<Holder>,
    /// What it has claimed and not settled, whether or not the lease is still its own.
    held: Vec<Claimed>,
    /// Results of which it does not know whether they were recorded.
    unanswered: Vec<(Settlement, Ending)>,
}

struct Hands<'a> {
    context: Context,
    connection: &'a mut PgConnection,
    tenants: [Tenant<'a>; 2],
    ids: [TenantId; 2],
    books: Books,
    workers: Vec<Worker>,
    /// The webhook that is or was registered last in each place.
    places: [Option<WebhookId>; 3],
    /// Events reported so far.
    reported: u128,
    replay: Option<(TenantId, tidings::domain::ids::ReplayId)>,
}

impl Hands<'_> {
    async fn prepare(&mut self) {
        for place in 0..PLACES.len() {
            self.register(place).await;
        }
        for _ in 0..WORKERS {
            let holder = self.enlist().await;
            self.workers.push(Worker { numbers: vec![holder], held: Vec::new(), unanswered: Vec::new() });
        }
    }

    async fn take(&mut self, step: &Step) -> Check {
        match step {
            Step::Accept { facts, to, crowded, all_or_nothing, answer_lost } => {
                self.accept(facts, *to, *crowded, *all_or_nothing, *answer_lost).await
            }
            Step::Enqueue { fact, commit } => self.enqueue(fact, *commit).await,
            Step::Claim { worker, quotas, answer_lost } => self.claim(*worker, *quotas, *answer_lost).await,
            Step::ClaimTogether { workers, quota } => self.claim_together(*workers, *quota).await,
            Step::Settle { worker, skip, count, endings, answer_lost } => {
                self.settle(*worker, *skip, *count, endings, *answer_lost).await
            }
            Step::SettleAgain { worker } => self.settle_again(*worker).await,
            Step::Release { worker, count } => self.release(*worker, (*count).into()).await,
            Step::Renew { worker } => self.renew(*worker).await,
            Step::Retire { worker } => self.retire(*worker).await,
            Step::Rescue => self.rescue().await,
            Step::Close { worker } => self.close(*worker).await,
            Step::Kill { worker } => self.kill(*worker).await,
            Step::Wait { .. } => Ok(()),
            Step::Deactivate { place } => self.deactivate(*place).await,
            Step::Activate { place, skip_backlog } => self.activate(*place, *skip_backlog).await,
            Step::Gone { place, stale } => self.gone(*place, *stale).await,
            Step::Park { place, seconds, stale } => self.park(*place, *seconds, *stale).await,
            Step::Delete { place } => self.delete(*place).await,
            Step::Register { place } => {
                if self.webhook(*place).is_none() {
                    self.register((*place).into()).await;
                }
                Ok(())
            }
            Step::Resend { delivery } => self.resend(*delivery).await,
            Step::ResendDeadLetter { letter } => self.resend_dead_letter(*letter).await,
            Step::DeleteDeadLetter { letter } => self.delete_dead_letter(*letter).await,
            Step::Erase { event } => self.erase(*event).await,
            Step::Replay { tenant, dead_letters, place, rate } => {
                self.start_replay(*tenant, *dead_letters, *place, *rate).await
            }
            Step::Page => self.page().await,
        }
    }

    fn now(&self) -> Time {
        self.context.clock.now()
    }

    /// The webhook in a place, unless it was deleted.
    fn webhook(&self, place: u8) -> Option<&Webhook> {
        let id = self.places[usize::from(place)]?;
        self.books.webhooks.get(&id).filter(|webhook| !webhook.is_deleted)
    }

    async fn register(&mut self, place: usize) {
        let (tenant, pattern, has_limit) = PLACES[place];
        let mut body = json!({"url": "http://127.0.0.1:9/", "events": [pattern]});
        if has_limit {
            body["rate_limit"] = json!(1_000);
        }
        let made = self.tenants[tenant].webhook_with(body).await;
        let id: WebhookId = made["id"].as_str().expect("an id").parse().expect("an id");
        let webhook = Webhook {
            tenant: self.ids[tenant],
            id,
            pattern,
            has_limit,
            state: State::Active,
            parked_until: None,
            revision: 1,
            active_since: 1,
            is_deleted: false,
        };
        self.books.webhooks.insert(id, webhook);
        self.places[place] = Some(id);
    }

    /// The `number`th of some things, counted around.
    fn nth<T: Ord + Copy>(things: impl ExactSizeIterator<Item = T>, number: u8) -> Option<T> {
        let (count, mut things) = (things.len(), things);
        (count > 0).then(|| things.nth(usize::from(number) % count)).flatten()
    }
}

/// What went wrong in the database, as a sequence tells it.
fn failed(error: impl std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let texts: Vec<_> = std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect();
    texts.join(": ")
}

fn ids_of(claimed: &[Claimed]) -> BTreeSet<tidings::domain::ids::DeliveryId> {
    claimed.iter().map(|one| one.delivery_id).collect()
}
