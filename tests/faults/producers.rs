//! Producers: careful ones with idempotency keys, careless ones without, and such as report in SQL transactions of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::fleet::Addresses;
use super::ledger::{Fate, Item, Ledger};

const SINGLES: u64 = 6;
const BATCHES: u64 = 2;
const TRANSACTIONS: u64 = 2;
/// An answer that takes longer does not come from a living process.
const CALL: Duration = Duration::from_secs(5);
/// After this a producer gives up and complains.
const PATIENCE: Duration = Duration::from_secs(30);

/// A tenant as its producers know it.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub id: String,
    pub key: String,
}

/// What a cycle's producers share.
#[derive(Clone)]
pub struct Desk {
    pub addresses: Addresses,
    pub client: Client,
    pub tenants: Arc<Vec<Tenant>>,
    pub ledger: Ledger,
    /// The type of this cycle's events.
    pub event_type: String,
    /// Postgres itself, which moves.
    pub database: Arc<std::sync::Mutex<String>>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU32>,
}

/// Producers at work.
pub struct Producers {
    tasks: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Desk {
    pub fn new(
        addresses: Addresses,
        client: Client,
        tenants: Arc<Vec<Tenant>>,
        event_type: String,
        database: Arc<std::sync::Mutex<String>>,
    ) -> Self {
        let (stop, next) = (Arc::default(), Arc::default());
        Self { addresses, client, tenants, ledger: Ledger::default(), event_type, database, stop, next }
    }

    /// Sets producers to work.
    pub fn open(&self, seed: u64) -> Producers {
        let mut tasks = JoinSet::new();
        for number in 0..SINGLES + BATCHES + TRANSACTIONS {
            let (desk, mut chance) = (self.clone(), StdRng::seed_from_u64(seed ^ (number + 1) << 32));
            tasks.spawn(async move {
                while !desk.stop.load(Ordering::Relaxed) {
                    if number < SINGLES {
                        desk.single(&mut chance).await;
                    } else if number < SINGLES + BATCHES {
                        desk.batch(&mut chance).await;
                    } else {
                        desk.transaction(&mut chance).await;
                    }
                    sleep(Duration::from_millis(chance.random_range(15..60))).await;
                }
            });
        }
        Producers { tasks, stop: Arc::clone(&self.stop) }
    }

    fn item(&self, chance: &mut StdRng) -> (usize, String, String) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", self.event_type);
        // Spelt so that whoever parses and prints it again is found out.
        let data =
            format!(r#"{{"item":"{name}", "pi":3.140,"padding":"{}"}}"#, "x".repeat(chance.random_range(0..300)));
        (chance.random_range(0..self.tenants.len()), data, name)
    }

    async fn single(&self, chance: &mut StdRng) {
        let (tenant, data, name) = self.item(chance);
        let careless = chance.random_range(0..8) == 0;
        let key = if careless { String::new() } else { format!(r#","idempotency_key":"{name}""#) };
        let body = format!(r#"{{"type":"{}","data":{data}{key}}}"#, self.event_type);
        let answer = self.report(tenant, "/v1/events", &body, careless, chance).await;
        let fate = answer.map_or(Fate::Unknown, |answer| acknowledged(&answer));
        self.ledger.add(Item { tenant, data, fate });
    }

    async fn batch(&self, chance: &mut StdRng) {
        let items: Vec<_> = (0..chance.random_range(2..12)).map(|_| self.item(chance)).collect();
        let tenant = items[0].0;
        let careless = chance.random_range(0..4) == 0;
        let event = |(_, data, name): &(usize, String, String)| {
            let key = if careless { String::new() } else { format!(r#","idempotency_key":"{name}""#) };
            format!(r#"{{"type":"{}","data":{data}{key}}}"#, self.event_type)
        };
        let body = format!(r#"{{"events":[{}]}}"#, items.iter().map(event).collect::<Vec<_>>().join(","));
        let answer = self.report(tenant, "/v1/events/batch", &body, careless, chance).await;
        for (place, (_, data, _)) in items.into_iter().enumerate() {
            let fate = answer.as_ref().map_or(Fate::Unknown, |answer| acknowledged(&answer["events"][place]));
            self.ledger.add(Item { tenant, data, fate });
        }
    }

    /// Reports until it is acknowledged; once only, where a second time would be a second event.
    async fn report(&self, tenant: usize, path: &str, body: &str, once: bool, chance: &mut StdRng) -> Option<Value> {
        let begun = Instant::now();
        loop {
            let address = {
                let addresses = self.addresses.lock().unwrap();
                addresses.get(chance.random_range(0..addresses.len().max(1))).copied()
            };
            let Some(address) = address else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let call = self.client.post(format!("http://{address}{path}")).bearer_auth(&self.tenants[tenant].key);
            let call = call.header("content-type", "application/json").timeout(CALL).body(body.to_owned());
            if let Ok(response) = call.send().await {
                let (status, again) = (response.status().as_u16(), response.headers().contains_key("retry-after"));
                match (status, response.text().await) {
                    (200 | 202, Ok(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
                    (200 | 202, Err(_)) => {}
                    (503, _) if again => self.ledger.refused(),
                    (_, text) => self.ledger.complain(format!("{path} was answered {status}: {text:?}")),
                }
            }
            if once {
                return None;
            }
            if begun.elapsed() > PATIENCE {
                self.ledger.complain(format!("{path} was not acknowledged within {PATIENCE:?}: {body}"));
                return None;
            }
            sleep(Duration::from_millis(chance.random_range(20..60))).await;
        }
    }

    /// A transaction of a producer's own, which reports one event and is committed or rolled back.
    async fn transaction(&self, chance: &mut StdRng) {
        let (tenant, data, name) = self.item(chance);
        let rolls_back = chance.random_range(0..3) == 0;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let enqueued = tokio::time::timeout(CALL, self.enqueue(tenant, &data, &name, rolls_back)).await;
            if let Ok(Ok(id)) = enqueued {
                let fate = if rolls_back { Fate::RolledBack } else { Fate::Acknowledged { id, at: Instant::now() } };
                self.ledger.add(Item { tenant, data, fate });
                return;
            }
            if rolls_back {
                // However it ended, it was not committed.
                self.ledger.add(Item { tenant, data, fate: Fate::RolledBack });
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        self.ledger.complain(format!("a transaction could not be committed within {PATIENCE:?}: {data}"));
    }

    async fn enqueue(&self, tenant: usize, data: &str, name: &str, rolls_back: bool) -> Result<String, sqlx::Error> {
        let url = self.database.lock().unwrap().clone();
        let mut connection = PgConnection::connect(&url).await?;
        let mut transaction = connection.begin().await?;
        let statement =
            "SELECT tidings.enqueue(tenant => $1, type => $2, data => $3::text::json, idempotency_key => $4)";
        let call = sqlx::query_scalar::<_, String>(statement);
        let call = call.bind(&self.tenants[tenant].id).bind(&self.event_type).bind(data).bind(name);
        let id = call.fetch_one(&mut *transaction).await?;
        if rolls_back {
            transaction.rollback().await?;
        } else {
            transaction.commit().await?;
        }
        connection.close().await?;
        Ok(id)
    }
}

impl Producers {
    /// Lets each finish what it has begun.
    pub async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a producer");
        }
    }
}

fn acknowledged(receipt: &Value) -> Fate {
    let id = receipt["id"].as_str().unwrap_or_else(|| panic!("no id in {receipt}")).to_owned();
    Fate::Acknowledged { id, at: Instant::now() }
}

/// A REST call of the suite's own.
pub async fn call(
    client: &Client,
    address: std::net::SocketAddr,
    path: &str,
    key: &str,
    body: &Value,
) -> Option<(u16, Value)> {
    let call = client.post(format!("http://{address}{path}")).bearer_auth(key).timeout(CALL).json(body);
    let response = call.send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, serde_json::from_str(&response.text().await.ok()?).unwrap_or(json!(null))))
}
