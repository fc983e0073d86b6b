//! Describe: what a tenant says of an event type, and taking it back.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::Catalogues;
use super::shelf::Shelf;
use crate::actions::{ActionError, Context, Fault};
use crate::domain::event::{MAX_TYPE_CHARS, is_event_type, is_operational};
use crate::domain::event_type::EventType;
use crate::domain::ids::TenantId;
use crate::domain::schema::{Misfit, Schema, values};
use crate::store::event_types::Described;

/// Types in a catalogue at most.
const MAX_TYPES: i64 = 1_000;
const MAX_DESCRIPTION_CHARS: usize = 10_000;
/// A schema must be compiled, and the example checked, within this time.
const COMPILE_TIME: Duration = Duration::from_secs(2);
/// Steps that checking an example may take.
const MAX_STEPS: usize = 10_000_000;

/// What is said of an event type.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// For people.
    pub description: String,
    /// A JSON Schema for the data, as JSON text.
    pub schema: Option<String>,
    /// Data as such an event may have it, as JSON text.
    pub example: Option<String>,
    /// Producers are told that the type is on its way out.
    pub deprecated: bool,
}

/// Describes an event type, in place of what was said before; `true` where it is new. In force in this process when it returns.
pub async fn describe(
    context: &Context,
    catalogues: &Catalogues,
    tenant_id: TenantId,
    name: &str,
    said: Description,
) -> Result<(EventType, bool), ActionError> {
    let faults = faults(catalogues.shelf(), tenant_id, name, said.clone()).await;
    if !faults.is_empty() {
        return Err(ActionError::Invalid(faults));
    }
    let described = event_type(name, said, context.clock.now());
    let came = context.store.describe_event_type(tenant_id, &described, MAX_TYPES).await?;
    catalogues.refresh().await?;
    match came {
        Described::NoTenant => Err(ActionError::NotFound("tenant")),
        Described::Full => {
            let detail = format!("a catalogue has at most {MAX_TYPES} types: delete one that is not used any more");
            Err(ActionError::conflict("catalogue_full", detail))
        }
        Described::Added | Described::Replaced => {
            let stored = context.store.event_type(tenant_id, name).await?.unwrap_or(described);
            Ok((stored, came == Described::Added))
        }
    }
}

/// Takes an event type out of the catalogue; without its last type, a catalogue is none. In force in this process when it returns.
pub async fn forget(
    context: &Context,
    catalogues: &Catalogues,
    tenant_id: TenantId,
    name: &str,
) -> Result<(), ActionError> {
    let was_there = context.store.forget_event_type(tenant_id, name).await?;
    catalogues.refresh().await?;
    if was_there { Ok(()) } else { Err(ActionError::NotFound("event type")) }
}

fn event_type(name: &str, said: Description, now: DateTime<Utc>) -> EventType {
    EventType {
        name: name.to_owned(),
        description: said.description,
        schema: said.schema,
        example: said.example,
        deprecated_at: said.deprecated.then_some(now),
        created_at: now,
        updated_at: now,
        number: 0,
    }
}

async fn faults(shelf: &Shelf, tenant_id: TenantId, name: &str, said: Description) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_event_type(name) {
        let detail = format!("in the path must be 1 to {MAX_TYPE_CHARS} of the characters A-Z a-z 0-9 _ . : -");
        faults.push(Fault::new("/name", "invalid_event_type", detail));
    } else if is_operational(name) {
        let detail =
            "in the path is a type of Tidings' own, which is in no catalogue: webhooks may name it all the same";
        faults.push(Fault::new("/name", "reserved_event_type", detail));
    }
    let unfit = |c: char| c.is_control() && c != '\n' && c != '\t';
    if said.description.chars().count() > MAX_DESCRIPTION_CHARS || said.description.chars().any(unfit) {
        let detail = format!("must be at most {MAX_DESCRIPTION_CHARS} characters, without control characters");
        faults.push(Fault::new("/description", "invalid_text", detail));
    }
    let (Some(schema), example) = (said.schema, said.example) else { return faults };
    let turn = shelf.turn(tenant_id).await;
    let work = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        schema_faults(&schema, example.as_deref())
    });
    match tokio::time::timeout(COMPILE_TIME, work).await {
        Ok(Ok(found)) => faults.extend(found),
        Ok(Err(_)) | Err(_) => {
            faults.push(Fault::new("/schema", "too_complex", "takes too long to be made ready: simplify it"));
        }
    }
    faults
}

fn schema_faults(schema: &str, example: Option<&str>) -> Vec<Fault> {
    let at =
        |member: &str, misfit: Misfit| Fault::new(format!("{member}{}", misfit.pointer), misfit.code, misfit.detail);
    let schema = match Schema::compile(schema) {
        Ok(schema) => schema,
        Err(misfit) => return vec![at("/schema", misfit)],
    };
    let Some(example) = example else { return Vec::new() };
    if schema.weight().saturating_mul(values(example.as_bytes())) > MAX_STEPS {
        let detail = "has too many values to be checked against the schema: give a smaller one";
        return vec![Fault::new("/example", "too_complex", detail)];
    }
    schema.check(example.as_bytes()).into_iter().map(|misfit| at("/example", misfit)).collect()
}
