//! Events reported to processes that come and go, and what became of them at the receiver.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Receiver;
use super::world::PLATFORM_KEY;

/// Calls under way at once.
const REPORTERS: usize = 32;

/// The REST API of processes on one database, as a client sees it that turns to another one when one is gone.
#[derive(Clone)]
pub struct Api {
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
    client: Client,
}

impl Api {
    pub fn new(addresses: &[SocketAddr]) -> Self {
        // The first in a process to speak of TLS chooses who provides it; no call here needs it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
        Self { addresses: Arc::new(Mutex::new(addresses.to_vec())), client }
    }

    /// From now on, these are there.
    pub fn moves_to(&self, addresses: &[SocketAddr]) {
        *self.addresses.lock().unwrap() = addresses.to_vec();
    }

    /// The status and the JSON of an answer; an error where there is none.
    pub async fn try_call(
        &self,
        turn: usize,
        method: Method,
        path: &str,
        key: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), reqwest::Error> {
        let address = {
            let addresses = self.addresses.lock().unwrap();
            addresses[turn % addresses.len()]
        };
        let mut request = self.client.request(method, format!("http://{address}{path}")).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
    }

    pub async fn post(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        self.try_call(0, Method::POST, path, key, Some(body)).await.expect("an answer")
    }

    pub async fn patch(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        self.try_call(0, Method::PATCH, path, key, Some(body)).await.expect("an answer")
    }

    pub async fn get(&self, path: &str, key: &str) -> (u16, Value) {
        self.try_call(0, Method::GET, path, key, None).await.expect("an answer")
    }

    /// A sandbox tenant's key that may do everything.
    pub async fn tenant(&self) -> String {
        let tenant = json!({"name": "Acme", "environment": "sandbox"});
        let (status, tenant) = self.post("/v1/tenants", PLATFORM_KEY, &tenant).await;
        assert_eq!(status, 201, "{tenant}");
        let roles = ["manager", "producer", "operator", "viewer"];
        let key = json!({"tenant_id": tenant["id"], "roles": roles, "description": "test"});
        let (status, key) = self.post("/v1/api-keys", PLATFORM_KEY, &key).await;
        assert_eq!(status, 201, "{key}");
        key["key"].as_str().expect("a key").to_owned()
    }

    /// Registers a webhook for everything and returns the answer.
    pub async fn webhook(&self, key: &str, url: &str) -> Value {
        let (status, webhook) = self.post("/v1/webhooks", key, &json!({"url": url, "events": ["*"]})).await;
        assert_eq!(status, 201, "{webhook}");
        webhook
    }
}

/// Reports events until each was acknowledged once. An event whose call is cut off is reported again under the same
/// idempotency key, as a careful producer does.
pub struct Load {
    reporters: JoinSet<()>,
    acknowledged: Arc<AtomicUsize>,
}

impl Load {
    pub fn start(api: &Api, key: &str, events: usize) -> Self {
        let (next, acknowledged) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut reporters = JoinSet::new();
        for reporter in 0..REPORTERS {
            let (api, key) = (api.clone(), key.to_owned());
            let (next, acknowledged) = (Arc::clone(&next), Arc::clone(&acknowledged));
            reporters.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        return;
                    }
                    report(&api, &key, number, reporter).await;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { reporters, acknowledged }
    }

    /// Waits until so many events were acknowledged.
    pub async fn reaches(&self, events: usize) {
        while self.acknowledged.load(Ordering::Relaxed) < events {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until all were.
    pub async fn ends(mut self) {
        while let Some(reported) = self.reporters.join_next().await {
            reported.expect("everything reported");
        }
    }
}

async fn report(api: &Api, key: &str, number: usize, reporter: usize) {
    let event = json!({"type": "load.event", "data": {"number": number}, "idempotency_key": format!("n{number}")});
    let patience = Instant::now() + Duration::from_mins(1);
    for turn in reporter.. {
        match api.try_call(turn, Method::POST, "/v1/events", key, Some(&event)).await {
            Ok((200 | 202, _)) => return,
            Ok((503, _)) | Err(_) => {}
            Ok((status, problem)) => panic!("event {number}: {status} {problem}"),
        }
        assert!(Instant::now() < patience, "event {number} is never acknowledged");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// How often each event arrived at each path.
#[derive(Debug, Default)]
pub struct Tally {
    pub distinct: usize,
    pub duplicates: usize,
    /// Of those that arrived twice, the longest time between the first and the last.
    pub longest: Duration,
}

/// Counts what arrived; waits until so many different ones have, or for this long.
pub async fn arrivals(receiver: &Receiver, distinct: usize, patience: Duration) -> Tally {
    let end = Instant::now() + patience;
    loop {
        let tally = count(receiver);
        if tally.distinct >= distinct || Instant::now() >= end {
            return tally;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn count(receiver: &Receiver) -> Tally {
    let received = receiver.received();
    let mut first: HashMap<(String, String), Instant> = HashMap::new();
    let mut tally = Tally::default();
    for one in &received {
        let seen = *first.entry((one.path.clone(), one.header("webhook-id").to_owned())).or_insert(one.at);
        tally.longest = tally.longest.max(one.at - seen);
    }
    tally.distinct = first.len();
    tally.duplicates = received.len() - first.len();
    tally
}
