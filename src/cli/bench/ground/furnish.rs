//! Tenants, their keys and their webhooks: what a flow of events needs.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Caller, Receivers, Tidings};
use crate::cli::Failure;
use crate::cli::bench::load::{Flow, Request, event_type};
use crate::domain::secret::Secret;

/// Callers that furnish side by side.
const CALLERS: usize = 16;

/// A flow with everything it needs.
#[derive(Debug)]
pub(in crate::cli) struct Furnished {
    /// The flow.
    pub(in crate::cli) flow: Flow,
    tenants: Vec<Tenant>,
    requests: Vec<Request>,
}

#[derive(Debug)]
struct Tenant {
    id: String,
    key: Secret,
    webhooks: Vec<String>,
}

impl Furnished {
    /// Makes the tenants and the webhooks of a flow.
    pub(in crate::cli) async fn new(
        flow: Flow,
        tidings: &Tidings,
        receivers: &Receivers,
        seed: u64,
    ) -> Result<Arc<Self>, Failure> {
        let urls =
            Arc::new((0..flow.webhooks).map(|webhook| receivers.url(flow.behaviour, webhook)).collect::<Vec<_>>());
        let mut callers = JoinSet::new();
        for number in 0..CALLERS.min(flow.tenants) {
            let share = (number..flow.tenants).step_by(CALLERS).count();
            let (caller, urls, is_routed) = (tidings.caller(), Arc::clone(&urls), flow.is_routed);
            callers.spawn(furnish(caller, share, urls, is_routed));
        }
        let mut tenants = Vec::with_capacity(flow.tenants);
        while let Some(made) = callers.join_next().await {
            tenants.append(&mut made??);
        }
        let requests = tenants.iter().map(|tenant| Request::prepare(tidings.authority(), &tenant.key, &flow, seed));
        let requests = requests.collect();
        Ok(Arc::new(Self { flow, tenants, requests }))
    }

    /// The same webhooks under another load.
    pub(in crate::cli) fn with(&self, tidings: &Tidings, seed: u64, change: impl FnOnce(&mut Flow)) -> Arc<Self> {
        let mut flow = self.flow.clone();
        change(&mut flow);
        let tenants: Vec<_> = self.tenants.iter().map(Tenant::again).collect();
        let requests = tenants.iter().map(|tenant| Request::prepare(tidings.authority(), &tenant.key, &flow, seed));
        let requests = requests.collect();
        Arc::new(Self { flow, tenants, requests })
    }

    /// A prepared request for each tenant.
    pub(in crate::cli) fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// `deactivate` or `activate`: does that to every webhook.
    pub(in crate::cli) async fn switch(&self, tidings: &Tidings, verb: &str) -> Result<(), Failure> {
        let mut caller = tidings.caller();
        for tenant in &self.tenants {
            for webhook in &tenant.webhooks {
                caller.post(&format!("/v1/webhooks/{webhook}/{verb}"), Some(&tenant.id), None).await?;
            }
        }
        Ok(())
    }

    /// Deletes the tenants, and with them everything that is owed to them.
    pub(in crate::cli) async fn remove(&self, tidings: &Tidings) -> Result<(), Failure> {
        let mut caller = tidings.caller();
        for tenant in &self.tenants {
            caller.delete(&format!("/v1/tenants/{}", tenant.id)).await?;
        }
        Ok(())
    }
}

impl Tenant {
    fn again(&self) -> Self {
        Self { id: self.id.clone(), key: self.key.clone(), webhooks: self.webhooks.clone() }
    }
}

async fn furnish(
    mut caller: Caller,
    tenants: usize,
    urls: Arc<Vec<String>>,
    is_routed: bool,
) -> Result<Vec<Tenant>, Failure> {
    let mut made = Vec::with_capacity(tenants);
    for _ in 0..tenants {
        let tenant = json!({ "name": "tidings bench", "environment": "sandbox", "default_dialect": "standard" });
        let id = text(&caller.post("/v1/tenants", None, Some(&tenant)).await?, "id")?;
        let key = json!({ "tenant_id": id, "roles": ["producer"], "description": "tidings bench" });
        let key = text(&caller.post("/v1/api-keys", None, Some(&key)).await?, "key")?.into();
        let mut webhooks = Vec::with_capacity(urls.len());
        for (number, url) in urls.iter().enumerate() {
            let events = if is_routed { event_type(number) } else { "*".to_owned() };
            let webhook = json!({ "url": url, "events": [events] });
            webhooks.push(text(&caller.post("/v1/webhooks", Some(&id), Some(&webhook)).await?, "id")?);
        }
        made.push(Tenant { id, key, webhooks });
    }
    Ok(made)
}

fn text(json: &Value, member: &str) -> Result<String, Failure> {
    let text = json.get(member).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Failure::told(format!("an answer of the API has no `{member}`: is --url a Tidings?")))
}
