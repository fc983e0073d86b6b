//! The books and the tables, each as lines that can be compared and read.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tidings::domain::ids::{DeliveryId, EventId, WebhookId};
use uuid::Uuid;

use super::{Books, Check, Fate, Time};

/// Everything that the books tell of, in one look.
const TABLES: &str = "
    SELECT 'pending' AS kind, id, webhook_id AS other, due_at AS at, holder AS number, attempts, attempts_before AS before, '' AS word
    FROM tidings.outbox
    UNION ALL SELECT 'dead', id, webhook_id, died_at, NULL, attempts, NULL, reason::text FROM tidings.dead_letters
    UNION ALL SELECT 'cancelled', id, webhook_id, cancelled_at, NULL, attempts, NULL, cause::text FROM tidings.cancellations
    UNION ALL SELECT 'attempt', delivery_id, webhook_id, started_at, NULL, number, NULL, verdict::text FROM tidings.attempts
    UNION ALL SELECT 'event', id, NULL, NULL, NULL, NULL, NULL, convert_from(data, 'UTF8') FROM tidings.events
    UNION ALL SELECT 'webhook', id, NULL, parked_until, revision, NULL, NULL,
                     CASE WHEN deleted_at IS NULL THEN state ELSE 'deleted' END FROM tidings.webhooks
    UNION ALL SELECT 'dispatcher', NULL, NULL, lease_until, id, NULL, NULL, '' FROM tidings.dispatchers";

#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord, Clone, sqlx::FromRow)]
struct Row {
    kind: String,
    id: Option<Uuid>,
    other: Option<Uuid>,
    at: Option<DateTime<Utc>>,
    number: Option<i32>,
    attempts: Option<i16>,
    before: Option<i16>,
    word: String,
}

impl Row {
    fn of(kind: &str, word: impl Into<String>) -> Self {
        Self { kind: kind.to_owned(), word: word.into(), ..Self::default() }
    }

    fn owed(self, id: DeliveryId, webhook: WebhookId, at: Time, attempts: u16) -> Self {
        let (id, other) = (Some(Uuid::from_u128(id.as_u128())), Some(Uuid::from_u128(webhook.as_u128())));
        Self { id, other, at: Some(at), attempts: Some(attempts.cast_signed()), ..self }
    }
}

impl Books {
    /// Compares the books with the tables.
    pub async fn check(&self, connection: &mut PgConnection) -> Check {
        let found = sqlx::query_as::<_, Row>(TABLES).fetch_all(connection).await.map_err(|error| error.to_string())?;
        let (count, found) = (found.len(), found.into_iter().collect::<BTreeSet<_>>());
        let expected = self.rows();
        if found == expected && count == expected.len() {
            return Ok(());
        }
        let lines = |title: &str, rows: Vec<&Row>| {
            let lines: Vec<_> = rows.into_iter().map(|row| format!("\n    {title}: {}", self.line(row))).collect();
            lines.concat()
        };
        let surplus = lines("found", found.difference(&expected).collect());
        let missing = lines("expected", expected.difference(&found).collect());
        Err(format!("the tables are not as they should be:{surplus}{missing}"))
    }

    fn rows(&self) -> BTreeSet<Row> {
        let deliveries = self.deliveries.iter().filter_map(|(id, one)| {
            let owed = |row: Row, at| row.owed(*id, one.webhook, at, one.attempts);
            match one.fate {
                Fate::Pending { due, holder } => {
                    let pending = owed(Row::of("pending", ""), due);
                    Some(Row { number: holder, before: Some(one.before.cast_signed()), ..pending })
                }
                Fate::Dead { at, reason } => Some(owed(Row::of("dead", reason), at)),
                Fate::Cancelled { at, cause } => Some(owed(Row::of("cancelled", cause), at)),
                Fate::Delivered { .. } => None,
            }
        });
        let attempts = self.attempts.iter().map(|((id, number), (verdict, at))| {
            Row::of("attempt", *verdict).owed(*id, self.deliveries[id].webhook, *at, *number)
        });
        let events = self.events.iter().map(|(id, event)| {
            let row = Row::of("event", &event.data);
            Row { id: Some(Uuid::from_u128(id.as_u128())), ..row }
        });
        let webhooks = self.webhooks.values().map(|one| {
            let row = Row::of("webhook", if one.is_deleted { "deleted" } else { one.state.as_str() });
            let id = Some(Uuid::from_u128(one.id.as_u128()));
            Row { id, at: one.parked_until, number: Some(one.revision), ..row }
        });
        let leases = self.leases.iter().map(|(number, until)| {
            let row = Row::of("dispatcher", "");
            Row { number: Some(*number), at: Some(*until), ..row }
        });
        deliveries.chain(attempts).chain(events).chain(webhooks).chain(leases).collect()
    }

    /// A row for people, who count events rather than read their ids.
    fn line(&self, row: &Row) -> String {
        let Row { kind, id, at, number, attempts, before, word, .. } = row;
        let name = id.map(|id| {
            let id = DeliveryId::from_u128(id.as_u128());
            match self.events.get(&id.event()) {
                Some(event) => format!(" {}", name(event.place, id)),
                None => String::new(),
            }
        });
        let mut line = format!("{kind}{}", name.unwrap_or_default());
        for (title, value) in [
            ("", (!word.is_empty()).then(|| word.clone())),
            (" number", number.map(|number| number.to_string())),
            (" attempt", attempts.map(|number| number.to_string())),
            (" before", before.map(|number| number.to_string())),
            (" at", at.map(|at| at.format("%d. %H:%M:%S%.3f").to_string())),
        ] {
            line += &value.map(|value| format!("{title} {value}")).unwrap_or_default();
        }
        line
    }
}

/// `event 3`, or its delivery `event 3/1`; the deliveries that resends made are `event 3/r1` and so on.
fn name(place: usize, id: DeliveryId) -> String {
    let event: EventId = id.event();
    let ordinal = id.as_u128() - event.as_u128();
    let first_resend = event.first_resend().as_u128() - event.as_u128();
    match ordinal.checked_sub(first_resend) {
        Some(resend) => format!("event {place}/r{}", resend + 1),
        None if ordinal == 0 => format!("event {place}"),
        None => format!("event {place}/{ordinal}"),
    }
}
