//! The statements that store events with what they owe: one for events without idempotency keys, and one for any, which takes a third to
//! four fifths more of Postgres' time.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use super::{Accepted, NewEvent, Owed};
use crate::domain::event::{ContentDigest, KEY_LASTS};
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

/// Idempotency keys, side by side; of events with the same one, the first's. In their order, so that two transactions never wait for each
/// other.
struct Keys<'a> {
    tenants: Vec<TenantId>,
    texts: Vec<&'a str>,
    ids: Vec<EventId>,
    digests: Vec<ContentDigest>,
}

impl<'a> Keys<'a> {
    fn new(events: &'a [NewEvent]) -> Self {
        let keyed =
            events.iter().filter_map(|new| Some((new.event.tenant_id, new.idempotency_key.as_deref()?, &new.event)));
        let mut firsts: Vec<_> = keyed.collect();
        firsts.sort_by_key(|&(tenant_id, key, _)| (tenant_id, key));
        firsts.dedup_by_key(|&mut (tenant_id, key, _)| (tenant_id, key));
        Self {
            tenants: firsts.iter().map(|&(tenant_id, ..)| tenant_id).collect(),
            texts: firsts.iter().map(|&(_, key, _)| key).collect(),
            ids: firsts.iter().map(|(.., event)| event.id).collect(),
            digests: firsts.iter().map(|(.., event)| event.content_digest()).collect(),
        }
    }
}

/// The ids of the keyed events that are stored; those whose key was used before are not. `None`, and nothing is stored, where who is owed
/// them has changed since `seen`. What is leased is leased to `holder`.
pub(super) async fn store(
    executor: impl PgExecutor<'_>,
    events: &[NewEvent],
    owed: &Owed,
    now: DateTime<Utc>,
    holder: Option<DispatcherId>,
    seen: Option<&Snapshot>,
) -> Result<Option<HashSet<EventId>>, StoreError> {
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
) -> Result<Option<HashSet<EventId>>, StoreError> {
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
    Ok((!is_stale).then(HashSet::new))
}

/// As [`store_unkeyed`], but an event whose key another one has is left out, with what it owes. What both ask of webhooks and dialects is
/// there twice: the macros take no shared text, and a function in SQL would be planned at each call.
async fn store_keyed(
    executor: impl PgExecutor<'_>,
    events: &[NewEvent],
    owed: &Owed,
    now: DateTime<Utc>,
    holder: Option<DispatcherId>,
    seen: Option<&Snapshot>,
) -> Result<Option<HashSet<EventId>>, StoreError> {
    let columns = Columns::new(events);
    let keys = Keys::new(events);
    let is_keyed: Vec<_> = events.iter().map(|new| new.idempotency_key.is_some()).collect();
    let rows = sqlx::query!(
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
           ), fresh AS (
               INSERT INTO tidings.idempotency_keys AS known (tenant_id, key, event_id, digest, created_at)
               SELECT unnest($16::uuid[]), unnest($17::text[]), unnest($18::uuid[]), unnest($19::bytea[]), $13
               FROM stale WHERE NOT is_stale
               ON CONFLICT (tenant_id, key) DO UPDATE
                   SET event_id = excluded.event_id, digest = excluded.digest, created_at = excluded.created_at
                   WHERE known.created_at <= $20
               RETURNING event_id
           ), stored AS (
               INSERT INTO tidings.events (tenant_id, id, occurred_at, type, data, trace)
               SELECT e.tenant_id, e.id, e.occurred_at, e.type, e.data, e.trace
               FROM (SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::uuid[]) AS id, unnest($4::timestamptz[]) AS occurred_at,
                            unnest($3::text[]) AS type, unnest($5::bytea[]) AS data, unnest($6::bytea[]) AS trace,
                            unnest($15::boolean[]) AS is_keyed
                     FROM stale WHERE NOT is_stale) AS e
               WHERE NOT e.is_keyed OR e.id IN (SELECT event_id FROM fresh)
           ), owed AS (
               INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, holder, attempts)
               SELECT ($1::uuid[])[d.place], d.id, d.webhook_id, $13, d.revision,
                      CASE WHEN d.leased THEN $14::integer END, CASE WHEN d.leased THEN 1 ELSE 0 END
               FROM (SELECT unnest($7::integer[]) AS place, unnest($8::uuid[]) AS id, unnest($9::uuid[]) AS webhook_id,
                            unnest($10::integer[]) AS revision, unnest($11::boolean[]) AS leased
                     FROM stale WHERE NOT is_stale) AS d
               WHERE NOT ($15::boolean[])[d.place] OR ($2::uuid[])[d.place] IN (SELECT event_id FROM fresh)
           )
           SELECT is_stale AS "is_stale!", fresh.event_id AS "fresh?: EventId" FROM stale LEFT JOIN fresh ON true"#,
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
        &is_keyed,
        &keys.tenants as _,
        &keys.texts as _,
        &keys.ids as _,
        &keys.digests as _,
        now - KEY_LASTS,
    )
    .fetch_all(executor)
    .await?;
    let is_stale = rows.iter().any(|row| row.is_stale);
    Ok((!is_stale).then(|| rows.into_iter().filter_map(|row| row.fresh).collect()))
}

/// Who has the keys of these events, and whether with the same content; `None` where nobody has it any more.
pub(super) async fn owners<'a>(
    executor: impl PgExecutor<'_>,
    events: impl Iterator<Item = &'a NewEvent>,
) -> Result<Vec<Option<Accepted>>, StoreError> {
    let (mut tenants, mut keys, mut digests) = (Vec::new(), Vec::new(), Vec::new());
    for new in events {
        tenants.push(new.event.tenant_id);
        keys.push(new.idempotency_key.as_deref());
        digests.push(new.event.content_digest());
    }
    let rows = sqlx::query!(
        r#"SELECT known.event_id AS "event_id?: EventId", known.digest = e.digest AS is_same
           FROM (SELECT unnest($1::uuid[]) AS tenant_id, unnest($2::text[]) AS key, unnest($3::bytea[]) AS digest,
                        generate_subscripts($1::uuid[], 1) AS place) AS e
           LEFT JOIN LATERAL (
               SELECT k.event_id, k.digest FROM tidings.idempotency_keys AS k
               WHERE k.tenant_id = e.tenant_id AND k.key = e.key OFFSET 0
           ) AS known ON true
           ORDER BY e.place"#,
        &tenants as _,
        &keys as _,
        &digests as _,
    )
    .fetch_all(executor)
    .await?;
    let owner = |event: EventId, is_same| if is_same { Accepted::Duplicate(event) } else { Accepted::Conflict(event) };
    Ok(rows.into_iter().map(|row| row.event_id.map(|event| owner(event, row.is_same == Some(true)))).collect())
}
