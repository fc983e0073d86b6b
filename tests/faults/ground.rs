//! Everything the cycles stand on: a Postgres, processes, receivers, tenants. It stays from cycle to cycle; what a fault destroyed is
//! replaced.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::check::{TENANTS, Webhook};
use super::fleet::Fleet;
use super::postgres::Postgres;
use super::producers::{Tenant, call};
use super::proxy::Proxy;
use super::pulse::Pulse;
use super::receivers::{Receivers, Temper};
use super::records::DeliveryRow;
use super::support::keys::PLATFORM_KEY;

/// Tenants and the receivers of their webhooks.
const TENANCY: [&[Temper]; 3] = [
    &[Temper::Steady, Temper::Moody],
    &[Temper::Slow, Temper::Steady, Temper::Hostile],
    &[Temper::Flapping, Temper::Slow],
];

pub struct Ground {
    pub postgres: Postgres,
    pub fleet: Fleet,
    pub receivers: Receivers,
    pub client: Client,
    pub tenants: Arc<Vec<Tenant>>,
    pub webhooks: Vec<Webhook>,
    /// Gets nothing but poisonous events.
    pub poisoned: Webhook,
    /// Where producers find Postgres.
    pub database: Arc<Mutex<String>>,
    pub may_fill_disk: bool,
    pub pulse: Pulse,
    /// What the cycle before ended with.
    pub before: Vec<DeliveryRow>,
}

impl Ground {
    pub async fn make(folder: &Path, may_fill_disk: bool) -> Self {
        // The first in a process to speak of TLS chooses who provides it; no call here needs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().no_proxy().connect_timeout(Duration::from_secs(2)).build().expect("a client");
        let postgres = Postgres::start(folder).await;
        let receivers = Receivers::start().await;
        let fleet = Fleet::start(&postgres, folder).await;
        let (mut tenants, mut webhooks) = (Vec::new(), Vec::new());
        let mut poisoned = None;
        for (number, tempers) in TENANCY.iter().enumerate() {
            let registrar = Registrar { client: &client, fleet: &fleet, receivers: &receivers, number };
            let tenant = registrar.tenant().await;
            for temper in *tempers {
                webhooks.push(registrar.webhook(&tenant, *temper, "cycle.*").await);
            }
            if poisoned.is_none() {
                poisoned = Some(registrar.webhook(&tenant, Temper::Steady, "poison.*").await);
            }
            tenants.push(tenant);
        }
        let poisoned = poisoned.expect("a tenant");
        let database = Arc::new(Mutex::new(postgres.url()));
        let (tenants, before, pulse) = (Arc::new(tenants), Vec::new(), Pulse::start(folder));
        Self { postgres, fleet, receivers, client, tenants, webhooks, poisoned, database, may_fill_disk, pulse, before }
    }

    pub async fn launch(&mut self, slot: usize) {
        self.fleet.launch(slot, &self.postgres).await;
    }

    /// Starts Postgres where it does not run, and tells everybody where.
    pub async fn bring_back(&mut self) {
        self.postgres.bring_back().await;
        let port = self.postgres.port();
        *self.database.lock().unwrap() = self.postgres.url();
        self.each_proxy(|proxy| proxy.leads_to(port));
    }

    pub fn each_proxy(&self, act: impl Fn(&Proxy)) {
        self.fleet.slots.iter().for_each(|slot| act(&slot.proxy));
    }

    /// Waits until every delivery is settled. The rest, if it never comes to that.
    pub async fn quiet(&self, patience: Duration) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            let rows: Vec<(Uuid, Uuid, Option<i32>, i16)> =
                sqlx::query_as("SELECT id, webhook_id, holder, attempts FROM tidings.outbox LIMIT 10")
                    .fetch_all(&self.postgres.pool)
                    .await
                    .map_err(|error| format!("the outbox cannot be read: {error}"))?;
            if rows.is_empty() {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > patience {
                return Err(format!("not settled within {patience:?}: {rows:?}"));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Makes what a tenant has.
struct Registrar<'a> {
    client: &'a Client,
    fleet: &'a Fleet,
    receivers: &'a Receivers,
    number: usize,
}

impl Registrar<'_> {
    async fn make(&self, path: &str, key: &str, body: Value) -> Value {
        let made = call(self.client, self.fleet.address(0), path, key, &body).await;
        match made {
            Some((201, made)) => made,
            other => panic!("{path}: {other:?}"),
        }
    }

    async fn tenant(&self) -> Tenant {
        let body = json!({"name": format!("Tenant {}", self.number), "environment": "sandbox"});
        let tenant = self.make("/v1/tenants", PLATFORM_KEY, body).await;
        let id = tenant["id"].as_str().expect("an id").to_owned();
        let roles = ["manager", "producer", "operator", "viewer"];
        let key = json!({"tenant_id": id, "roles": roles, "description": "faults"});
        let key = self.make("/v1/api-keys", PLATFORM_KEY, key).await;
        TENANTS.lock().unwrap().insert(uuid_of(&id), self.number);
        Tenant { id, key: key["key"].as_str().expect("a key").to_owned() }
    }

    async fn webhook(&self, tenant: &Tenant, temper: Temper, events: &str) -> Webhook {
        let (receiver, url) = self.receivers.add(temper);
        let max_attempts = if temper == Temper::Hostile || events == "poison.*" { 2 } else { 40 };
        let retry = json!({"max_attempts": max_attempts, "initial_seconds": 0.1, "factor": 1.2, "max_seconds": 0.3, "jitter": 0.2});
        let body = json!({"url": url, "events": [events], "retry": retry, "timeout_seconds": 5});
        let made = self.make("/v1/webhooks", &tenant.key, body).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        Webhook { tenant: self.number, uuid: uuid_of(&id), id, receiver, max_attempts }
    }
}

fn uuid_of(id: &str) -> Uuid {
    let (_, text) = id.split_once('_').expect("a prefix");
    Uuid::from_u128(ulid::Ulid::from_string(&text.to_uppercase()).expect("a ULID").0)
}
