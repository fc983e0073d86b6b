//! Dead letters: deliveries given up, until somebody resends or deletes them.

use chrono::{DateTime, Utc};

use super::Span;
use crate::domain::delivery::DeadReason;
use crate::domain::ids::{DeliveryId, TenantId, WebhookId};
use crate::domain::outcome::Class;
use crate::store::{Store, StoreError};

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The delivery's id, and its own.
    pub id: DeliveryId,
    /// The webhook it was owed to.
    pub webhook_id: WebhookId,
    /// The type of its event; `None` where the event is gone.
    pub event_type: Option<String>,
    /// The name of its dialect.
    pub dialect: String,
    /// Why it was given up.
    pub reason: DeadReason,
    /// More about the reason.
    pub detail: Option<String>,
    /// Attempts made.
    pub attempts: i16,
    /// When it was given up.
    pub died_at: DateTime<Utc>,
    /// When the last attempt was made, if any was.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// What came of it.
    pub last_outcome: Option<Class>,
    /// The HTTP status it got.
    pub last_status: Option<i16>,
}

/// Which dead letters to list.
#[derive(Debug, Clone, Default)]
pub struct DeadLetterFilter {
    /// Of these times, after this cursor.
    pub span: Span,
    /// Owed to this webhook.
    pub webhook_id: Option<WebhookId>,
    /// Of events of this type.
    pub event_type: Option<String>,
    /// Given up for this reason.
    pub reason: Option<DeadReason>,
}

/// Reads a page along an index; `$only` is part of the text so that each text keeps the plan that suits it.
macro_rules! page {
    ($only:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            DeadLetter,
            r#"WITH page AS (
                   SELECT * FROM tidings.dead_letters AS d
                   WHERE tenant_id = $1 AND id >= $2 AND id < $3 AND ($5::text IS NULL OR reason = $5::text::tidings.dead_reason)
                     AND ($6::text IS NULL OR $6 = (SELECT e.type FROM tidings.events AS e
                                                    WHERE e.tenant_id = $1 AND e.id = tidings.event_of(d.id)))"#
                + $only
                + r#"ORDER BY id DESC LIMIT $4
               )
               SELECT page.id AS "id: DeliveryId", page.webhook_id AS "webhook_id: WebhookId", e.type AS "event_type?",
                      r.name AS dialect, page.reason AS "reason: DeadReason", page.detail, page.attempts, page.died_at,
                      last.started_at AS "last_attempt_at?", last.outcome AS "last_outcome?: Class", last.status AS "last_status?"
               FROM page
               JOIN tidings.dialect_revisions AS r ON r.id = page.dialect_revision
               LEFT JOIN tidings.events AS e ON e.tenant_id = $1 AND e.id = tidings.event_of(page.id)
               LEFT JOIN tidings.attempts AS last
                   ON last.tenant_id = $1 AND last.delivery_id = page.id AND last.number = page.attempts
               ORDER BY page.id DESC"#,
            $($argument),+
        )
    };
}

impl Store {
    /// A tenant's dead letters, newest event first, at most `limit`.
    pub async fn list_dead_letters(
        &self,
        tenant_id: TenantId,
        filter: &DeadLetterFilter,
        limit: i64,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let _turn = if filter.event_type.is_some() { Some(self.search(tenant_id).await?) } else { None };
        if let Some(event_type) = &filter.event_type
            && self.is_rare(tenant_id, filter.span, event_type).await?
        {
            return self.list_dead_letters_of_type(tenant_id, filter, event_type, limit).await;
        }
        let (first, end) = (filter.span.first(), filter.span.end());
        let reason = filter.reason.map(DeadReason::as_str);
        let event_type = filter.event_type.as_deref();
        let letters = match filter.webhook_id {
            None => {
                page!(" ", tenant_id as TenantId, first, end, limit, reason, event_type).fetch_all(&self.pool).await?
            }
            Some(webhook_id) => {
                page!(
                    " AND webhook_id = $7 ",
                    tenant_id as TenantId,
                    first,
                    end,
                    limit,
                    reason,
                    event_type,
                    webhook_id as WebhookId
                )
                .fetch_all(&self.pool)
                .await?
            }
        };
        Ok(letters)
    }

    /// By way of the events, for a type that has few.
    async fn list_dead_letters_of_type(
        &self,
        tenant_id: TenantId,
        filter: &DeadLetterFilter,
        event_type: &str,
        limit: i64,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let letters = sqlx::query_as!(
            DeadLetter,
            r#"SELECT d.id AS "id: DeliveryId", d.webhook_id AS "webhook_id: WebhookId", e.type AS "event_type?",
                      r.name AS dialect, d.reason AS "reason: DeadReason", d.detail, d.attempts, d.died_at,
                      last.started_at AS "last_attempt_at?", last.outcome AS "last_outcome?: Class", last.status AS "last_status?"
               FROM tidings.events AS e
               CROSS JOIN LATERAL (
                   SELECT * FROM tidings.dead_letters AS own
                   WHERE own.tenant_id = $1 AND own.id > e.id AND own.id <= tidings.delivery_id(e.id, 1048575)
                     AND own.id >= $2 AND own.id < $3 AND ($6::text IS NULL OR own.reason = $6::text::tidings.dead_reason)
                     AND ($7::uuid IS NULL OR own.webhook_id = $7)
                   ORDER BY own.id DESC LIMIT $4
               ) AS d
               JOIN tidings.dialect_revisions AS r ON r.id = d.dialect_revision
               LEFT JOIN tidings.attempts AS last
                   ON last.tenant_id = $1 AND last.delivery_id = d.id AND last.number = d.attempts
               WHERE e.tenant_id = $1 AND e.type = $5 AND e.id >= tidings.event_of($2) AND e.id < $3
               ORDER BY e.id DESC, d.id DESC LIMIT $4"#,
            tenant_id as TenantId,
            filter.span.first(),
            filter.span.end(),
            limit,
            event_type,
            filter.reason.map(DeadReason::as_str),
            filter.webhook_id as Option<WebhookId>,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(letters)
    }

    /// One dead letter, where the tenant has it.
    pub async fn dead_letter(&self, tenant_id: TenantId, id: DeliveryId) -> Result<Option<DeadLetter>, StoreError> {
        let letter = sqlx::query_as!(
            DeadLetter,
            r#"SELECT d.id AS "id: DeliveryId", d.webhook_id AS "webhook_id: WebhookId", e.type AS "event_type?",
                      r.name AS dialect, d.reason AS "reason: DeadReason", d.detail, d.attempts, d.died_at,
                      last.started_at AS "last_attempt_at?", last.outcome AS "last_outcome?: Class", last.status AS "last_status?"
               FROM tidings.dead_letters AS d
               JOIN tidings.dialect_revisions AS r ON r.id = d.dialect_revision
               LEFT JOIN tidings.attempts AS last
                   ON last.tenant_id = $1 AND last.delivery_id = d.id AND last.number = d.attempts
               LEFT JOIN tidings.events AS e ON e.tenant_id = $1 AND e.id = tidings.event_of(d.id)
               WHERE d.tenant_id = $1 AND d.id = $2"#,
            tenant_id as TenantId,
            id as DeliveryId,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(letter)
    }

    /// Gives a dead letter up for good: its delivery is cancelled. `false` where there was none.
    pub async fn delete_dead_letter(
        &self,
        tenant_id: TenantId,
        id: DeliveryId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let cancelled = sqlx::query!(
            "WITH deleted AS (
                 DELETE FROM tidings.dead_letters WHERE tenant_id = $1 AND id = $2 RETURNING *
             )
             INSERT INTO tidings.cancellations (tenant_id, id, webhook_id, cancelled_at, dialect_revision, cause, attempts)
             SELECT tenant_id, id, webhook_id, $3, dialect_revision, 'operator', attempts FROM deleted",
            tenant_id as TenantId,
            id as DeliveryId,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(cancelled.rows_affected() == 1)
    }
}
