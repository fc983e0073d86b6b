//! Check: whether a tenant's catalogue takes events.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::shelf::{Compiled, Shelf, Slot};
use super::view::{Catalogue, Catalogues};
use crate::actions::{ActionError, Fault};
use crate::domain::event::Event;
use crate::domain::ids::TenantId;
use crate::domain::schema::values;
use crate::store::Store;
use crate::store::outbox::accept::NewEvent;

/// Steps of checking that the events of one request may take; a few seconds of one core.
const MAX_STEPS: usize = 100_000_000;
/// Steps that are taken on the thread that serves others too; half a millisecond or so.
const STEPS_AT_ONCE: usize = 20_000;
/// Faults that are told at most.
const MAX_FAULTS: usize = 100;

/// What the catalogue says of events that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deprecation {
    /// Since when a type among them is deprecated; of several, the earliest.
    pub deprecated_at: Option<DateTime<Utc>>,
}

/// Holds the events of a request to their tenant's catalogue, but for those that repeat what was accepted before: their type may have
/// changed since. `place` makes the JSON pointer of an event from its index.
pub async fn check(
    catalogues: &Catalogues,
    store: &Store,
    tenant_id: TenantId,
    events: &[NewEvent],
    now: DateTime<Utc>,
    place: impl Fn(usize) -> String + Copy + Send + 'static,
) -> Result<Deprecation, ActionError> {
    let Some(catalogue) = catalogues.of(tenant_id).await? else { return Ok(Deprecation::default()) };
    let shelf = catalogues.shelf();
    let all = events.iter().map(|new| &new.event).enumerate();
    let checked = hold(shelf, &catalogue, tenant_id, all.clone(), place).await;
    if checked.is_ok() || events.iter().all(|new| new.idempotency_key.is_none()) {
        return checked;
    }
    let repetitions = store.repetitions(tenant_id, events, now).await?;
    hold(shelf, &catalogue, tenant_id, all.filter(|(index, _)| !repetitions.contains(index)), place).await
}

async fn hold(
    shelf: &Arc<Shelf>,
    catalogue: &Catalogue,
    tenant_id: TenantId,
    events: impl Iterator<Item = (usize, &Arc<Event>)>,
    place: impl Fn(usize) -> String + Send + 'static,
) -> Result<Deprecation, ActionError> {
    let (deprecation, mut check) = sorted(catalogue, events, place);
    check.run(STEPS_AT_ONCE, Slot::ready);
    let faults = if check.rest.is_empty() {
        check.faults
    } else {
        // Nothing that could not be checked is taken.
        let unchecked =
            || vec![Fault::new("", "unchecked", "the check of the data was interrupted: repeat the request")];
        // What is large, or not ready, is done beside the threads that serve others too: compiling takes up to seconds.
        let turn = shelf.turn(tenant_id).await;
        let shelf = Arc::clone(shelf);
        let beside = move || {
            let _turn = turn;
            check.run(MAX_STEPS, |slot| shelf.get(slot));
            if check.rest.is_empty() { check.faults } else { unchecked() }
        };
        tokio::task::spawn_blocking(beside).await.unwrap_or_else(|_| unchecked())
    };
    if faults.is_empty() { Ok(deprecation) } else { Err(ActionError::Invalid(faults)) }
}

/// What the types of events decide by themselves, and the check of the rest.
fn sorted<'a, P: Fn(usize) -> String>(
    catalogue: &Catalogue,
    events: impl Iterator<Item = (usize, &'a Arc<Event>)>,
    place: P,
) -> (Deprecation, Check<P>) {
    let mut deprecation = Deprecation::default();
    let mut check = Check { faults: Vec::new(), rest: VecDeque::new(), steps: 0, place };
    for (index, event) in events {
        let Some(rule) = catalogue.rule(&event.event_type) else {
            let detail = format!(
                "is not in the tenant's catalogue: add it with PUT /v1/event-types/{}, or use one that is",
                event.event_type
            );
            check.fault(index, "/type", "unknown_event_type", detail);
            continue;
        };
        deprecation.deprecated_at = [deprecation.deprecated_at, rule.deprecated_at].into_iter().flatten().min();
        if let Some(slot) = &rule.schema {
            check.rest.push_back((index, Arc::clone(event), Arc::clone(slot)));
        }
    }
    (deprecation, check)
}

/// A check of events' data, and how far it is. It has one schema at a time, so that it holds no more memory than one takes.
struct Check<P> {
    faults: Vec<Fault>,
    /// What is still to be checked.
    rest: VecDeque<(usize, Arc<Event>, Arc<Slot>)>,
    steps: usize,
    place: P,
}

impl<P: Fn(usize) -> String> Check<P> {
    /// Goes on until it is done, a schema is not to be had, or it would take more than so many steps.
    fn run(&mut self, most: usize, schema: impl Fn(&Slot) -> Option<Arc<Compiled>>) {
        while let Some((index, event, slot)) = self.rest.front().filter(|_| self.faults.len() < MAX_FAULTS) {
            let (index, event) = (*index, Arc::clone(event));
            match schema(slot) {
                Some(compiled) => {
                    let steps = compiled.schema.weight().saturating_mul(values(&event.data));
                    let steps = self.steps.saturating_add(steps);
                    if steps > MAX_STEPS {
                        let detail = "has too many values to be checked against the schema of its type in one request: send less at once, or simplify the schema";
                        self.fault(index, "/data", "too_complex", detail);
                        break;
                    } else if steps > most {
                        return;
                    }
                    self.steps = steps;
                    for misfit in compiled.schema.check(&event.data) {
                        self.fault(index, &format!("/data{}", misfit.pointer), misfit.code, misfit.detail);
                    }
                }
                None if slot.is_unusable() => {}
                None => return,
            }
            self.rest.pop_front();
        }
        self.rest.clear();
        self.faults.truncate(MAX_FAULTS);
    }

    fn fault(&mut self, index: usize, member: &str, code: &'static str, detail: impl Into<String>) {
        self.faults.push(Fault::new(format!("{}{member}", (self.place)(index)), code, detail));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;

    use bytes::Bytes;
    use futures_util::FutureExt;
    use tokio::runtime::Builder;
    use tokio::task::spawn_blocking;

    use super::super::view::renewed;
    use super::*;
    use crate::domain::ids::EventId;
    use crate::store::event_types::TypeRule;

    #[test]
    fn a_schema_is_made_ready_beside_the_threads_that_serve() {
        let rule = TypeRule { name: "a".into(), schema: Some("{}".into()), deprecated_at: None };
        let catalogue = renewed(&Catalogue::default(), vec![rule]);
        let slot = catalogue.rule("a").and_then(|rule| rule.schema.clone()).expect("a schema");
        let is_ready = || slot.ready().is_some();
        let (shelf, tenant_id) = (Arc::new(Shelf::default()), TenantId::from_u128(1));
        let event = Event {
            tenant_id,
            id: EventId::new(DateTime::UNIX_EPOCH, 0),
            event_type: "a".into(),
            occurred_at: None,
            data: Bytes::from_static(b"1"),
        };
        let events = [Arc::new(event)];
        let runtime = Builder::new_current_thread().max_blocking_threads(1).build().expect("a runtime");
        runtime.block_on(async {
            let (release, released) = mpsc::channel();
            let busy = spawn_blocking(move || released.recv());
            let all = events.iter().enumerate();
            let mut held = pin!(hold(&shelf, &catalogue, tenant_id, all, |_| String::new()));
            assert!(held.as_mut().now_or_never().is_none() && !is_ready(), "who would do it is busy");
            release.send(()).expect("it waits");
            held.await.expect("it fits");
            assert!(is_ready());
            let again = hold(&shelf, &catalogue, tenant_id, events.iter().enumerate(), |_| String::new());
            assert!(again.now_or_never().is_some(), "at once");
            busy.await.expect("ended").expect("released");
        });
    }
}
