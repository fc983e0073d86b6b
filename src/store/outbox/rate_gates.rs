//! Rate limits: how many requests of a webhook may begin now, whichever process sends them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::claim::LaneQuota;
use crate::domain::ids::{TenantId, WebhookId};
use crate::store::{Store, StoreError};

/// Quotas of webhooks with a limit, side by side as the statements take them.
struct Columns {
    tenants: Vec<TenantId>,
    webhooks: Vec<WebhookId>,
    rates: Vec<i32>,
    counts: Vec<i32>,
}

impl Columns {
    fn new(quotas: &[LaneQuota]) -> Self {
        Self {
            tenants: quotas.iter().map(|quota| quota.lane.tenant_id).collect(),
            webhooks: quotas.iter().map(|quota| quota.lane.webhook_id).collect(),
            rates: quotas.iter().map(|quota| quota.lane.rate_limit.unwrap_or(i32::MAX)).collect(),
            counts: quotas.iter().map(|quota| i32::from(quota.quota)).collect(),
        }
    }
}

impl Store {
    /// Takes up to each quota's number of requests out of its webhook's limit and says how many each may begin.
    pub async fn pass_gates(
        &self,
        quotas: &[LaneQuota],
        now: DateTime<Utc>,
    ) -> Result<HashMap<WebhookId, u16>, StoreError> {
        let Columns { tenants, webhooks, rates, counts } = Columns::new(quotas);
        let rows = sqlx::query!(
            r#"SELECT webhook_id AS "webhook_id!: WebhookId", tidings.pass_gate(tenant_id, webhook_id, rate, wanted, $5) AS "passed!"
               FROM (SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[])
                         AS asked (tenant_id, webhook_id, rate, wanted) ORDER BY webhook_id) AS asked"#,
            &tenants as _,
            &webhooks as _,
            &rates,
            &counts,
            now,
        )
        .fetch_all(&self.hot)
        .await?;
        Ok(rows.into_iter().map(|row| (row.webhook_id, u16::try_from(row.passed).unwrap_or(0))).collect())
    }

    /// Gives back what was let through and not used: the quotas are the unused numbers. The gates are locked in the order in which
    /// [`Store::pass_gates`] locks them, so that nobody waits for somebody who waits for them.
    pub async fn return_passes(&self, quotas: &[LaneQuota]) -> Result<(), StoreError> {
        let Columns { tenants, webhooks, rates, counts } = Columns::new(quotas);
        sqlx::query!(
            "WITH unused AS MATERIALIZED (
                 SELECT asked.* FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[])
                     AS asked (tenant_id, webhook_id, rate, count)
                 JOIN tidings.rate_gates AS gate USING (tenant_id, webhook_id)
                 ORDER BY webhook_id FOR UPDATE OF gate
             )
             UPDATE tidings.rate_gates AS gate SET open_at = gate.open_at - unused.count * interval '1 second' / unused.rate
             FROM unused WHERE gate.tenant_id = unused.tenant_id AND gate.webhook_id = unused.webhook_id",
            &tenants as _,
            &webhooks as _,
            &rates,
            &counts,
        )
        .execute(&self.hot)
        .await?;
        Ok(())
    }
}
