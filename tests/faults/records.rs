//! What the database says of a cycle.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// The bits of a delivery's id that are its own; the others are its event's.
const OWN_BITS: u128 = 0xf_ffff;

#[derive(Debug, sqlx::FromRow)]
pub struct EventRow {
    pub tenant: Uuid,
    pub id: Uuid,
    pub data: String,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeliveryRow {
    pub id: Uuid,
    pub webhook_id: Uuid,
    pub state: String,
    pub attempts: i16,
    pub reason: Option<String>,
}

#[derive(Debug, sqlx::FromRow)]
pub struct AttemptRow {
    pub delivery_id: Uuid,
    pub started_at: DateTime<Utc>,
    pub verdict: String,
    pub number: i16,
    pub status: Option<i16>,
}

/// A cycle's events with all that is stored of them.
#[derive(Debug, Default)]
pub struct Records {
    pub events: Vec<EventRow>,
    pub deliveries: Vec<DeliveryRow>,
    pub attempts: HashMap<Uuid, Vec<AttemptRow>>,
}

impl Records {
    /// Reads what is stored of the events of this type that were accepted since then.
    pub async fn read(pool: &PgPool, event_type: &str, since: DateTime<Utc>) -> Self {
        let events: Vec<EventRow> = sqlx::query_as(
            "SELECT tenant_id AS tenant, id, convert_from(data, 'UTF8') AS data FROM tidings.events
             WHERE tenant_id = ANY (SELECT id FROM tidings.tenants) AND id >= tidings.first_id_at($1) AND type = $2 ORDER BY id",
        )
        .bind(since - TimeDelta::seconds(5))
        .bind(event_type)
        .fetch_all(pool)
        .await
        .expect("events");
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Self::default() };
        let (first, last) = (first.id, Uuid::from_u128(last.id.as_u128() | OWN_BITS));
        let own: HashSet<Uuid> = events.iter().map(|event| event.id).collect();
        let mut found = deliveries(pool, first, last).await;
        found.retain(|row| own.contains(&event_of(row.id)));
        let rows: Vec<AttemptRow> = sqlx::query_as(
            "SELECT delivery_id, started_at, verdict::text AS verdict, number, status FROM tidings.attempts
             WHERE tenant_id = ANY (SELECT id FROM tidings.tenants) AND delivery_id BETWEEN $1 AND $2 ORDER BY started_at, number",
        )
        .bind(first)
        .bind(last)
        .fetch_all(pool)
        .await
        .expect("attempts");
        let mut attempts: HashMap<Uuid, Vec<AttemptRow>> = HashMap::new();
        for row in rows {
            attempts.entry(row.delivery_id).or_default().push(row);
        }
        Self { events, deliveries: found, attempts }
    }

    pub fn attempts_of(&self, delivery: &DeliveryRow) -> &[AttemptRow] {
        self.attempts.get(&delivery.id).map_or(&[], |attempts| attempts)
    }
}

/// The states of these deliveries.
pub async fn deliveries(pool: &PgPool, from: Uuid, to: Uuid) -> Vec<DeliveryRow> {
    let statement = "SELECT id, webhook_id, state, attempts, reason FROM tidings.deliveries
                     WHERE tenant_id = ANY (SELECT id FROM tidings.tenants) AND id BETWEEN $1 AND $2 ORDER BY id, state";
    sqlx::query_as(statement).bind(from).bind(to).fetch_all(pool).await.expect("deliveries")
}

/// The event of a delivery.
pub fn event_of(delivery: Uuid) -> Uuid {
    Uuid::from_u128(delivery.as_u128() & !OWN_BITS)
}

/// An event's id as receivers and producers know it.
pub fn event_name(id: Uuid) -> String {
    format!("evt_{}", ulid::Ulid(id.as_u128()).to_string().to_lowercase())
}
