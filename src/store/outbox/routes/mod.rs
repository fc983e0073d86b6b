//! Routes: who is owed an event of a tenant and type, as this process remembers it.
//!
//! **Invariants**
//! - What is remembered is right as of [`Plan::seen`], or of a later time: the statement that stores events compares that with the
//!   webhooks, in the same transaction, and stores nothing if one of these tenants' webhooks changed since. So an event that is accepted
//!   after a webhook was registered, by whichever process, is owed to it.
//! - A look takes what changed out of the memory before it moves `seen` on, and what was read meanwhile is not kept.
//! - Nothing is remembered from one era of connections to the next: a server that took over counts its own transactions. Nor is anything
//!   remembered for longer than the row of a deleted webhook is there to tell of it.

mod memory;

use std::collections::{HashMap, HashSet};

use super::accept::NewEvent;
use super::dispatchers::Snapshot;
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::lease::DialectRevision;
use crate::store::{Store, StoreError};

pub(super) use memory::Plan;
pub(in crate::store) use memory::Routes;
use memory::{News, Route, Table, wanted};

impl Store {
    /// Who is owed these events: from memory, where all of it is known.
    pub(super) async fn plan(&self, events: &[NewEvent]) -> Result<Plan, StoreError> {
        if self.routes.is_due() {
            let store = self.clone();
            // Without the database, storing is what fails.
            tokio::spawn(async move { drop(store.look_at_routes().await) });
        }
        match self.routes.recall(events) {
            Some(plan) => Ok(plan),
            None if self.routes.mark().seen.is_none() => self.renewed_plan(events).await,
            None => self.read_plan(events).await,
        }
    }

    /// Who is owed these events, after what was remembered proved out of date.
    pub(super) async fn renewed_plan(&self, events: &[NewEvent]) -> Result<Plan, StoreError> {
        self.look_at_routes().await?;
        self.read_plan(events).await
    }

    /// Who is owed these events, read just now, and remembered.
    async fn read_plan(&self, events: &[NewEvent]) -> Result<Plan, StoreError> {
        let mark = self.routes.mark();
        let found = self.read_routes(events).await?;
        let routes = events.iter().map(|new| wanted(&found, new).unwrap_or_default()).collect();
        self.routes.keep(&mark, found);
        Ok(Plan { routes, seen: None, era: mark.era })
    }

    /// Forgets what changed, and moves on.
    async fn look_at_routes(&self) -> Result<(), StoreError> {
        let mark = self.routes.mark();
        let news = self.route_news(mark.seen.as_ref()).await?;
        self.routes.take_over(&mark, news);
        Ok(())
    }

    async fn route_news(&self, since: Option<&Snapshot>) -> Result<News, StoreError> {
        let row = sqlx::query!(
            r#"SELECT pg_current_snapshot()::text AS "snapshot!",
                      ARRAY(SELECT DISTINCT w.tenant_id FROM tidings.webhooks AS w
                            WHERE w.changed >= pg_snapshot_xmin($1::text::pg_snapshot)
                              AND NOT pg_visible_in_snapshot(w.changed, $1::text::pg_snapshot)) AS "tenants!: Vec<TenantId>",
                      EXISTS (SELECT FROM tidings.dialects AS d
                              WHERE NOT pg_visible_in_snapshot(d.changed, $1::text::pg_snapshot)) AS "dialects!""#,
            since,
        )
        .fetch_one(&self.hot)
        .await?;
        Ok(News { snapshot: row.snapshot, tenants: row.tenants, has_other_dialects: row.dialects })
    }

    async fn read_routes(&self, events: &[NewEvent]) -> Result<Table, StoreError> {
        let kinds: HashSet<_> = events.iter().map(|new| (new.event.tenant_id, &*new.event.event_type)).collect();
        let (tenants, types): (Vec<_>, Vec<_>) = kinds.into_iter().unzip();
        let rows = sqlx::query!(
            r#"SELECT tenant_id AS "tenant_id!: TenantId", type AS "event_type!", webhook_id AS "webhook_id!: WebhookId",
                      dialect_revision AS "dialect!", is_open AS "is_open!", parked_until
               FROM tidings.routes($1, $2) ORDER BY tenant_id, type, ordinal"#,
            &tenants as _,
            &types as _,
        )
        .fetch_all(&self.hot)
        .await?;
        let mut found: HashMap<_, HashMap<_, Vec<_>>> = HashMap::new();
        // A type that nobody wants is known, too.
        for (tenant_id, event_type) in tenants.into_iter().zip(types) {
            found.entry(tenant_id).or_default().insert(event_type.to_owned(), Vec::new());
        }
        for row in rows {
            let types = found.entry(row.tenant_id).or_default();
            types.entry(row.event_type).or_default().push(Route {
                webhook_id: row.webhook_id,
                dialect: DialectRevision(row.dialect),
                is_open: row.is_open,
                parked_until: row.parked_until,
            });
        }
        let shared =
            |types: HashMap<_, Vec<_>>| types.into_iter().map(|(name, routes)| (name, routes.into())).collect();
        Ok(found.into_iter().map(|(tenant_id, types)| (tenant_id, shared(types))).collect())
    }
}
