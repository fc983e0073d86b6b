//! The statements that store events with what they owe. Without idempotency keys it is one, which takes an eighth less of Postgres' time
//! than the function that looks for them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{Accepted, NewEvent, Owed};
use crate::domain::ids::{EventId, TenantId};
use crate::domain::lease::DispatcherId;
use crate::domain::trace::TraceParent;
use crate::store::StoreError;
use crate::store::outbox::dispatchers::Snapshot;

/// Events, side by side as the statements take them.
struct Columns<'a> {
    tenants: Vec<TenantId>,
    ids: Vec<EventId>,
    types: Vec<&'a str>,
    occurred: Vec<Option<DateTime<Utc>>>,
    data: Vec<&'a [u8]>,
    /// `None` where no event has one, as mostly.
    traces: Option<Vec<Option<[u8; TraceParent::BYTES]>>>,
}

impl<'a> Columns<'a> {
    fn new(events: &'a [NewEvent]) -> Self {
        let is_traced = events.iter().any(|new| new.trace.is_some());
        Self {
            tenants: events.iter().map(|new| new.event.tenant_id).collect(),
            ids: events.iter().map(|new| new.event.id).collect(),
            types: events.iter().map(|new| new.event.event_type.as_str()).collect(),
            occurred: events.iter().map(|new| new.event.occurred_at).collect(),
            data: events.iter().map(|new| &*new.event.data).collect(),
            traces: is_traced.then(|| events.iter().map(|new| new.trace.map(TraceParent::to_bytes)).collect()),
        }
    }
}

/// What `tidings.store_events` says.
struct Stored {
    /// Nothing was stored: who is owed the events has changed.
    is_stale: bool,
    /// Of the events whose idempotency key was used before: their places, whose key it is, and whether for the same content.
    places: Option<Vec<i32>>,
    existing: Option<Vec<EventId>>,
    same_content: Option<Vec<bool>>,
}

impl Stored {
    fn known(self) -> HashMap<i32, Accepted> {
        let places = self.places.unwrap_or_default().into_iter();
        let owners = self.existing.unwrap_or_default().into_iter().zip(self.same_content.unwrap_or_default());
        places
            .zip(owners)
            .map(|(place, (event, is_same))| {
                (place, if is_same { Accepted::Duplicate(event) } else { Accepted::Conflict(event) })
            })
            .collect()
    }
}

/// Those that were known by their keys, by their places; `None`, and nothing is stored, where who is owed them has changed since `seen`.
/// What is leased is leased to `holder`.
pub(super) async fn store(
    executor: impl PgExecutor<'_>,
    events: &[NewEvent],
    owed: &Owed,
    now: DateTime<Utc>,
    holder: Option<DispatcherId>,
    seen: Option<&Snapshot>,
) -> Result<Option<HashMap<i32, Accepted>>, StoreError> {
    if events.iter().any(|new| new.idempotency_key.is_some()) {
        store_keyed(executor, events, owed, now, holder, seen).await
    } else {
        store_unkeyed(executor, events, owed, now, holder, seen).await
    }
}

/// Both parts look at `stale` for themselves: what a statement writes, it writes whoever reads of it. `OFFSET 0`: whose webhook it is, is
/// asked of the few that changed, and not which of a tenant's webhooks did.
async fn store_unkeyed(
    executor: impl PgExecutor<'_>,
    events: &[NewEvent],
    owed: &Owed,
    now: DateTime<Utc>,
    holder: Option<DispatcherId>,
    seen: Option<&Snapshot>,
) -> Result<Option<HashMap<i32, Accepted>>, StoreError> {
    let columns = Columns::new(events);
    let is_stale = sqlx::query_scalar!(
        r#"WITH stale AS MATERIALIZED (
               SELECT EXISTS (
                   SELECT FROM (
                       SELECT w.tenant_id FROM tidings.webhooks AS w
                       WHERE w.changed >= pg_snapshot_xmin(plan.seen) AND NOT pg_visible_in_snapshot(w.changed, plan.seen) OFFSET 0
                   ) AS changed WHERE changed.tenant_id = ANY ($1::uuid[])
               ) OR EXISTS (
                   SELECT FROM tidings.dialects AS d WHERE NOT pg_visible_in_snapshot(d.changed, plan.seen)
               ) AS is_stale
               FROM (SELECT $12::text::pg_snapshot AS seen OFFSET 0) AS plan
           ), stored AS (
               INSERT INTO tidings.events (tenant_id, id, occurred_at, type, data, trace)
               SELECT unnest($1::uuid[]), unnest($2::uuid[]), unnest($4::timestamptz[]), unnest($3::text[]), unnest($5::bytea[]),
                      unnest($6::bytea[])
               FROM stale WHERE NOT is_stale
           ), owed AS (
               INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, holder, attempts)
               SELECT ($1::uuid[])[d.place], d.id, d.webhook_id, $13, d.revision,
                      CASE WHEN d.leased THEN $14::integer END, CASE WHEN d.leased THEN 1 ELSE 0 END
               FROM (SELECT unnest($7::integer[]) AS place, unnest($8::uuid[]) AS id, unnest($9::uuid[]) AS webhook_id,
                            unnest($10::integer[]) AS revision, unnest($11::boolean[]) AS leased
                     FROM stale WHERE NOT is_stale) AS d
           )
           SELECT is_stale AS "is_stale!" FROM stale"#,
        &columns.tenants as _,
        &columns.ids as _,
        &columns.types as _,
        &columns.occurred as _,
        &columns.data as _,
        columns.traces as _,
        &owed.places,
        &owed.deliveries as _,
        &owed.webhooks as _,
        &owed.revisions,
        &owed.leases,
        seen,
        now,
        holder.map(|id| id.0),
    )
    .fetch_one(executor)
    .await?;
    Ok((!is_stale).then(HashMap::new))
}

async fn store_keyed(
    executor: impl PgExecutor<'_>,
    events: &[NewEvent],
    owed: &Owed,
    now: DateTime<Utc>,
    holder: Option<DispatcherId>,
    seen: Option<&Snapshot>,
) -> Result<Option<HashMap<i32, Accepted>>, StoreError> {
    let columns = Columns::new(events);
    let keys: Vec<_> = events.iter().map(|new| new.idempotency_key.as_deref()).collect();
    let stored = sqlx::query_as!(
        Stored,
        r#"SELECT is_stale AS "is_stale!", known_places AS places, known_events AS "existing: Vec<EventId>", same_content
           FROM tidings.store_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15::text::pg_snapshot)"#,
        &columns.tenants as _,
        &columns.ids as _,
        &columns.types as _,
        &columns.occurred as _,
        &columns.data as _,
        &keys as _,
        columns.traces as _,
        &owed.places,
        &owed.deliveries as _,
        &owed.webhooks as _,
        &owed.revisions,
        &owed.leases,
        now,
        holder.map(|id| id.0),
        seen,
    )
    .fetch_one(executor)
    .await?;
    Ok((!stored.is_stale).then(|| stored.known()))
}
