//! Steps of producers: over REST and in SQL.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::{Connection, PgConnection};
use tidings::domain::event::Event;
use tidings::domain::ids::{EventId, WebhookId};
use tidings::store::outbox::accept::{Accepted, HandOff, NewEvent};
use uuid::Uuid;

use super::{Hands, failed, ids_of};
use crate::model::books::{Check, New, Time, same};
use crate::model::steps::{Fact, TYPES};

/// The SQLSTATE that a key means which was used for other content.
const UNIQUE_VIOLATION: &str = "23505";

impl Hands<'_> {
    fn new_event(&mut self, fact: &Fact, at: Time) -> New {
        self.reported += 1;
        New {
            tenant: self.ids[usize::from(fact.tenant)],
            // Chance has 60 bits here.
            id: EventId::new(at, self.reported << 20),
            kind: TYPES[usize::from(fact.kind)],
            data: format!("{{\"n\":{}}}", fact.data),
            key: fact.key.map(|key| format!("key-{key}")),
        }
    }

    pub(super) async fn accept(
        &mut self,
        facts: &[Fact],
        to: Option<u8>,
        crowded: Option<u8>,
        all_or_nothing: bool,
        answer_lost: bool,
    ) -> Check {
        let now = self.now();
        let new: Vec<_> = facts.iter().map(|fact| self.new_event(fact, now)).collect();
        let crowded: Vec<WebhookId> = crowded.and_then(|place| self.places[usize::from(place)]).into_iter().collect();
        let holder = to.map(|worker| self.worker(worker).number());
        let hand_off = holder.clone().map(|holder| HandOff { holder, crowded: crowded.clone(), expectant: None });
        let events: Vec<_> = new.iter().map(as_accepted).collect();
        let store = &self.context.store;
        let (accepted, claimed) = if all_or_nothing {
            store.accept_all_or_nothing(&events, now, hand_off.as_ref()).await.map_err(failed)?
        } else {
            store.accept(&events, now, hand_off.as_ref()).await.map_err(failed)?
        };
        let number = holder.map(|holder| holder.id().0);
        let crowded = if to.is_some() { &crowded[..] } else { &[] };
        let expected = self.books.accept(&new, now, number, crowded, all_or_nothing);
        same("what became of the events", &accepted, &expected.0)?;
        same("what was handed over", &ids_of(&claimed), &expected.1)?;
        claimed.iter().try_for_each(|one| self.books.check_leased(one))?;
        if let Some(worker) = to {
            self.take_over(worker, claimed, answer_lost).await;
        }
        Ok(())
    }

    pub(super) async fn enqueue(&mut self, fact: &Fact, commit: bool) -> Check {
        let new = self.new_event(fact, self.now());
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        let reported = report(&mut transaction, &new).await?;
        if commit && reported.answer.is_ok() {
            transaction.commit().await.map_err(failed)?;
        } else {
            transaction.rollback().await.map_err(failed)?;
        }
        let before = self.books.clone();
        let checked = self.check_reported(new, &reported);
        if !commit {
            self.books = before;
        }
        checked
    }

    fn check_reported(&mut self, new: New, Reported { answer, at }: &Reported) -> Check {
        let known = answer.as_ref().ok().copied().filter(|id| self.books.events.contains_key(id));
        let found = match (answer, known) {
            (Err(code), _) if code == UNIQUE_VIOLATION => "a conflict".to_owned(),
            (Err(code), _) => format!("SQLSTATE {code}"),
            (Ok(_), Some(known)) => format!("repeats {known}"),
            (Ok(_), None) => "stored".to_owned(),
        };
        let id = answer.as_ref().ok().copied().filter(|_| known.is_none()).unwrap_or(new.id);
        let (accepted, _) = self.books.accept(&[New { id, ..new }], *at, None, &[], true);
        let expected = match accepted[0] {
            Accepted::Stored { .. } => "stored".to_owned(),
            Accepted::Duplicate(known) => format!("repeats {known}"),
            Accepted::Conflict(_) => "a conflict".to_owned(),
        };
        same("what became of the event", &found, &expected)
    }
}

/// What SQL said to a producer.
struct Reported {
    /// The event's id, or the SQLSTATE of the refusal.
    answer: Result<EventId, String>,
    /// When it was reported, by the database's clock.
    at: Time,
}

async fn report(connection: &mut PgConnection, new: &New) -> Result<Reported, String> {
    let clock = "SELECT clock_timestamp()";
    let begun: Time = sqlx::query_scalar(clock).fetch_one(&mut *connection).await.map_err(failed)?;
    let enqueue = "SELECT tidings.enqueue(tenant => $1, type => $2, data => $3::json, idempotency_key => $4)";
    let answer = sqlx::query_scalar::<_, String>(enqueue)
        .bind(new.tenant.to_string())
        .bind(new.kind)
        .bind(&new.data)
        .bind(new.key.as_deref())
        .fetch_one(&mut *connection)
        .await;
    let id: EventId = match answer {
        Ok(id) => id.parse().map_err(failed)?,
        Err(sqlx::Error::Database(error)) => {
            return Ok(Reported { answer: Err(error.code().unwrap_or_default().into_owned()), at: begun });
        }
        Err(error) => return Err(failed(error)),
    };
    let due =
        "SELECT min(due_at) FROM tidings.outbox WHERE id BETWEEN $1 AND $2 AND due_at BETWEEN $3 AND clock_timestamp()";
    let due: Option<Time> = sqlx::query_scalar(due)
        .bind(Uuid::from_u128(id.delivery(1).as_u128()))
        .bind(Uuid::from_u128(id.last_delivery().as_u128()))
        .bind(begun)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    Ok(Reported { answer: Ok(id), at: due.unwrap_or(begun) })
}

fn as_accepted(new: &New) -> NewEvent {
    let event = Event {
        tenant_id: new.tenant,
        id: new.id,
        event_type: new.kind.to_owned(),
        occurred_at: None,
        data: Bytes::from(new.data.clone()),
    };
    NewEvent { event: Arc::new(event), idempotency_key: new.key.clone(), trace: None }
}
