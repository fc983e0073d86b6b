//! Check: whether a tenant's catalogue takes events.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::view::{Catalogue, Catalogues};
use crate::actions::{ActionError, Fault};
use crate::domain::event::Event;
use crate::domain::ids::TenantId;
use crate::domain::schema::{Schema, values};
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
    let all = events.iter().map(|new| &new.event).enumerate();
    let checked = hold(&catalogue, all.clone(), place).await;
    if checked.is_ok() || events.iter().all(|new| new.idempotency_key.is_none()) {
        return checked;
    }
    let repetitions = store.repetitions(tenant_id, events, now).await?;
    hold(&catalogue, all.filter(|(index, _)| !repetitions.contains(index)), place).await
}

async fn hold(
    catalogue: &Catalogue,
    events: impl Iterator<Item = (usize, &Arc<Event>)> + Clone,
    place: impl Fn(usize) -> String + Send + 'static,
) -> Result<Deprecation, ActionError> {
    prepare(catalogue, events.clone()).await;
    let sorted = Sorted::of(catalogue, events, &place);
    let Sorted { deprecation, mut faults, to_check, steps } = sorted;
    let check = move || {
        for (index, event, schema) in to_check {
            let misfits = schema.check(&event.data);
            faults.extend(misfits.into_iter().map(|misfit| {
                Fault::new(format!("{}/data{}", place(index), misfit.pointer), misfit.code, misfit.detail)
            }));
            if faults.len() >= MAX_FAULTS {
                break;
            }
        }
        faults.truncate(MAX_FAULTS);
        faults
    };
    let faults = if steps <= STEPS_AT_ONCE {
        check()
    } else {
        // Nothing that could not be checked is taken.
        let unchecked =
            || vec![Fault::new("", "unchecked", "the check of the data was interrupted: repeat the request")];
        tokio::task::spawn_blocking(check).await.unwrap_or_else(|_| unchecked())
    };
    if faults.is_empty() { Ok(deprecation) } else { Err(ActionError::Invalid(faults)) }
}

/// Makes those schemas ready that were not used before, beside the threads that serve others too: a large one takes up to seconds.
async fn prepare(catalogue: &Catalogue, events: impl Iterator<Item = (usize, &Arc<Event>)>) {
    let rules = events.filter_map(|(_, event)| catalogue.rule(&event.event_type));
    let raw: Vec<_> = rules.filter(|rule| !rule.is_ready()).map(Arc::clone).collect();
    if !raw.is_empty() {
        // What hinders it here hinders whoever uses the schema.
        drop(tokio::task::spawn_blocking(move || raw.iter().for_each(|rule| drop(rule.schema()))).await);
    }
}

/// Events as far as their types alone decide.
struct Sorted {
    deprecation: Deprecation,
    faults: Vec<Fault>,
    to_check: Vec<(usize, Arc<Event>, Arc<Schema>)>,
    steps: usize,
}

impl Sorted {
    fn of<'a>(
        catalogue: &Catalogue,
        events: impl Iterator<Item = (usize, &'a Arc<Event>)>,
        place: &impl Fn(usize) -> String,
    ) -> Self {
        let mut sorted =
            Self { deprecation: Deprecation::default(), faults: Vec::new(), to_check: Vec::new(), steps: 0 };
        for (index, event) in events {
            let Some(rule) = catalogue.rule(&event.event_type) else {
                let detail = format!(
                    "is not in the tenant's catalogue: add it with PUT /v1/event-types/{}, or use one that is",
                    event.event_type
                );
                sorted.faults.push(Fault::new(format!("{}/type", place(index)), "unknown_event_type", detail));
                continue;
            };
            let earliest = [sorted.deprecation.deprecated_at, rule.deprecated_at].into_iter().flatten().min();
            sorted.deprecation.deprecated_at = earliest;
            let Some(schema) = rule.schema() else { continue };
            sorted.steps = sorted.steps.saturating_add(schema.weight().saturating_mul(values(&event.data)));
            if sorted.steps > MAX_STEPS {
                let detail = "has too many values to be checked against the schema of its type in one request: send less at once, or simplify the schema";
                sorted.faults.push(Fault::new(format!("{}/data", place(index)), "too_complex", detail));
                break;
            }
            sorted.to_check.push((index, Arc::clone(event), schema));
        }
        sorted
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
        let is_ready = || catalogue.rule("a").expect("a rule").is_ready();
        let event = Event {
            tenant_id: TenantId::from_u128(1),
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
            let mut preparing = pin!(prepare(&catalogue, events.iter().enumerate()));
            assert_eq!((preparing.as_mut().now_or_never(), is_ready()), (None, false), "who would do it is busy");
            release.send(()).expect("it waits");
            preparing.await;
            assert!(is_ready());
            busy.await.expect("ended").expect("released");
        });
    }
}
