//! What lies around a page: other deliveries of its events, and its webhooks.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use crate::domain::ids::{DeliveryId, EventId, TenantId, WebhookId};
use crate::domain::replay::{Candidate, Made};
use crate::domain::webhook;
use crate::store::StoreError;
use crate::store::connections::Session;

/// The last delivery that a resend made, of each of these events that has one.
pub(super) async fn latest(
    connection: &mut Session,
    tenant_id: TenantId,
    events: &[EventId],
) -> Result<HashMap<EventId, DeliveryId>, StoreError> {
    let firsts: Vec<_> = events.iter().map(|event| event.first_resend()).collect();
    let lasts: Vec<_> = events.iter().map(|event| event.last_delivery()).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT latest.id AS "id!: DeliveryId"
           FROM unnest($2::uuid[], $3::uuid[]) AS event (first_resend, last)
           CROSS JOIN LATERAL (
               SELECT d.id FROM tidings.deliveries AS d
               WHERE d.tenant_id = $1 AND d.id >= event.first_resend AND d.id <= event.last ORDER BY d.id DESC LIMIT 1
           ) AS latest"#,
        tenant_id as TenantId,
        &firsts as _,
        &lasts as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|id| (id.event(), id)).collect())
}

/// Those for which another delivery stands: a later one of the same event to the same webhook, pending, or ended since `since`.
pub(super) async fn resent(
    connection: &mut Session,
    tenant_id: TenantId,
    ended: &[Candidate],
    since: DateTime<Utc>,
) -> Result<HashSet<DeliveryId>, StoreError> {
    let ids: Vec<_> = ended.iter().map(|one| one.id).collect();
    let lasts: Vec<_> = ended.iter().map(|one| one.id.event().last_delivery()).collect();
    let webhooks: Vec<_> = ended.iter().map(|one| one.webhook_id).collect();
    let found = sqlx::query_scalar!(
        r#"SELECT ended.id AS "id!: DeliveryId"
           FROM unnest($2::uuid[], $3::uuid[], $4::uuid[]) AS ended (id, last, webhook_id)
           WHERE EXISTS (SELECT FROM tidings.deliveries AS d
                         WHERE d.tenant_id = $1 AND d.id > ended.id AND d.id <= ended.last AND d.webhook_id = ended.webhook_id
                           AND (d.state = 'pending' OR d.settled_at >= $5))"#,
        tenant_id as TenantId,
        &ids as _,
        &lasts as _,
        &webhooks as _,
        since,
    )
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().collect())
}

/// Where these webhooks stand; locked, so that one deleted meanwhile takes what is resent along. Deleted ones are not there.
pub(super) async fn standings(
    connection: &mut Session,
    tenant_id: TenantId,
    webhooks: &[WebhookId],
) -> Result<HashMap<WebhookId, webhook::State>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: WebhookId", state AS "state: webhook::State" FROM tidings.webhooks
           WHERE tenant_id = $1 AND id = ANY ($2) AND deleted_at IS NULL ORDER BY id FOR SHARE"#,
        tenant_id as TenantId,
        webhooks as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.state)).collect())
}

/// Owes events once more, in the webhooks' dialects as they are now.
pub(super) async fn make(
    connection: &mut Session,
    tenant_id: TenantId,
    made: &[Made],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let ids: Vec<_> = made.iter().map(|one| one.id).collect();
    let webhooks: Vec<_> = made.iter().map(|one| one.webhook_id).collect();
    sqlx::query!(
        "INSERT INTO tidings.outbox (tenant_id, id, webhook_id, due_at, dialect_revision, attempts)
         SELECT w.tenant_id, made.id, w.id, $4, d.revision, 0
         FROM unnest($2::uuid[], $3::uuid[]) AS made (id, webhook_id)
         JOIN tidings.webhooks AS w ON w.tenant_id = $1 AND w.id = made.webhook_id
         JOIN tidings.dialects AS d ON d.name = w.dialect",
        tenant_id as TenantId,
        &ids as _,
        &webhooks as _,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}
