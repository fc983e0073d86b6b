//! The audience of a tenant's events: every webhook, and what decides whether and how it would get one.

use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::lease::DialectRevision;
use crate::domain::secret::Sealed;
use crate::domain::webhook::State;
use crate::store::{Store, StoreError};

/// Whom an event would go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// Webhooks that are owed it come first, and older ones before younger.
    pub subscribers: Vec<Subscriber>,
    /// How many are owed it, whether or not they are among these.
    pub owed: usize,
}

/// A webhook as a dry run looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// The webhook.
    pub id: WebhookId,
    /// Where to.
    pub url: String,
    /// The patterns it subscribes to.
    pub events: Vec<String>,
    /// Where it stands.
    pub state: State,
    /// Whether its receiver ever passed the challenge.
    pub verified: bool,
    /// The name of its dialect.
    pub dialect: String,
    /// The dialect revision that new deliveries are accepted under.
    pub dialect_revision: DialectRevision,
    /// The event types its dialect lists; `None` means any.
    pub dialect_event_types: Option<Vec<String>>,
    /// Its custom headers, sealed.
    pub headers: Option<Sealed>,
    /// Their names.
    pub header_names: Vec<String>,
}

impl Store {
    /// A tenant's webhooks as an event of this type finds them, at most `limit`.
    pub async fn audience(&self, tenant_id: TenantId, event_type: &str, limit: i64) -> Result<Audience, StoreError> {
        let rows = sqlx::query!(
            r#"WITH owed AS MATERIALIZED (SELECT webhook_id FROM tidings.routes(ARRAY[$1::uuid], ARRAY[$3::text]))
               SELECT w.id AS "id: WebhookId", w.url, w.events, w.state AS "state: State", w.verified_at IS NOT NULL AS "verified!",
                      w.dialect, d.revision AS dialect_revision, d.event_types, w.header_names, sent.headers_sealed AS "headers_sealed?",
                      sent.headers_key_id AS "headers_key_id?", (SELECT count(*) FROM owed) AS "owed!"
               FROM tidings.webhooks AS w
               JOIN tidings.dialects AS d ON d.name = w.dialect
               LEFT JOIN LATERAL (
                   SELECT r.headers_sealed, r.headers_key_id FROM tidings.webhook_revisions AS r
                   WHERE r.tenant_id = w.tenant_id AND r.webhook_id = w.id AND r.revision <= w.revision
                   ORDER BY r.revision DESC LIMIT 1
               ) AS sent ON true
               WHERE w.tenant_id = $1 AND w.deleted_at IS NULL
               ORDER BY w.id NOT IN (SELECT webhook_id FROM owed), w.id LIMIT $2"#,
            tenant_id as TenantId,
            limit,
            event_type,
        )
        .fetch_all(&self.pool)
        .await?;
        let owed = rows.first().map_or(0, |row| usize::try_from(row.owed).unwrap_or_default());
        let subscribers = rows.into_iter().map(|row| Subscriber {
            id: row.id,
            url: row.url,
            events: row.events,
            state: row.state,
            verified: row.verified,
            dialect: row.dialect,
            dialect_revision: DialectRevision(row.dialect_revision),
            dialect_event_types: row.event_types,
            header_names: row.header_names,
            headers: row
                .headers_key_id
                .zip(row.headers_sealed)
                .map(|(key_id, ciphertext)| Sealed { key_id, ciphertext }),
        });
        Ok(Audience { subscribers: subscribers.collect(), owed })
    }
}
