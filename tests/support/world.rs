//! A whole Tidings in this process: the API on a real socket, a dispatcher, and a clock that stands still until it is moved.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, Utc};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tidings::actions::Context;
use tidings::actions::accept::{Acceptor, HandOffTarget};
use tidings::api::{self, Api, Front};
use tidings::console;
use tidings::dialect::Dialects;
use tidings::dispatch::{self, Dispatcher};
use tidings::domain::clock::Clock;
use tidings::domain::secret::{MasterKey, MasterKeys};
use tidings::net::{self, Sender};
use tidings::store::dialects::DialectText;
use tidings::store::{self, Store};
use tidings::telemetry::{self, Telemetry};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{database, described};

pub use super::keys::{MASTER_KEY, PLATFORM_KEY};

/// Master keys, of which the first seals.
pub fn keys(texts: &[&str]) -> MasterKeys {
    let mut keys = texts.iter().map(|text| MasterKey::from_base64(text).expect("a key"));
    let sealing = keys.next().expect("a key that seals");
    MasterKeys::new(sealing, keys).expect("different keys")
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The body, after the status was found to be this.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The `code` of a problem with this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        let problem = self.expect(status);
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        problem["code"].as_str().expect("a code").to_owned()
    }
}

pub struct World {
    pub clock: Clock,
    pub context: Context,
    pub dispatcher: Arc<Dispatcher>,
    pub pool: PgPool,
    pub database_url: String,
    pub address: SocketAddr,
    /// The API without its socket.
    pub router: Router,
    client: reqwest::Client,
    /// One looks at a time: what a look has claimed and not yet queued is nowhere to be seen by another.
    looking: Arc<Mutex<()>>,
    /// Operations that were called, by their ids, and the statuses they answered.
    seen: std::sync::Mutex<BTreeSet<(String, u16)>>,
}

/// One tenant with a key that may do everything a tenant's key may.
#[derive(Clone)]
pub struct Tenant<'a> {
    pub world: &'a World,
    pub id: String,
    pub key: String,
}

impl World {
    /// A world with the built-in dialects.
    pub async fn new() -> Self {
        Self::with(Dialects::builtin().expect("the built-in dialects")).await
    }

    pub async fn with(dialects: Dialects) -> Self {
        let database_url = database::fresh().await;
        Self::on(database_url, dialects, Clock::steered, Telemetry::default(), keys(&[MASTER_KEY])).await
    }

    /// A process with other master keys, on a database that may be another's.
    pub async fn with_keys(database_url: &str, keys: MasterKeys) -> Self {
        let dialects = Dialects::builtin().expect("the built-in dialects");
        Self::on(database_url.to_owned(), dialects, Clock::steered, Telemetry::default(), keys).await
    }

    /// A world whose clock runs.
    pub async fn in_real_time() -> Self {
        let dialects = Dialects::builtin().expect("the built-in dialects");
        Self::on(database::fresh().await, dialects, Clock::running, Telemetry::default(), keys(&[MASTER_KEY])).await
    }

    /// A world that is watched as configured.
    pub async fn watched(config: &telemetry::Config) -> Self {
        let telemetry = Telemetry::new(config).expect("telemetry");
        let keeping = telemetry.clone();
        tokio::spawn(async move { keeping.keep(CancellationToken::new()).await });
        let dialects = Dialects::builtin().expect("the built-in dialects");
        Self::on(database::fresh().await, dialects, Clock::steered, telemetry, keys(&[MASTER_KEY])).await
    }

    /// Another process, so to speak, on the same database.
    pub async fn beside(&self) -> Self {
        self.beside_with(Dialects::clone(&self.context.dialects)).await
    }

    /// Another process, whose dialects are others.
    pub async fn beside_with(&self, dialects: Dialects) -> Self {
        let keys = self.context.master_keys.clone();
        Self::on(self.database_url.clone(), dialects, Clock::steered, Telemetry::default(), keys).await
    }

    async fn on(
        database_url: String,
        dialects: Dialects,
        clock: fn(DateTime<Utc>) -> Clock,
        telemetry: Telemetry,
        master_keys: MasterKeys,
    ) -> Self {
        let settings = store::Config { connections: 4, hot_connections: 6, ..store::Config::default() };
        let store = Store::connect(&database_url, &settings).expect("a URL");
        let texts: Vec<_> = dialects
            .iter()
            .map(|profile| DialectText {
                name: profile.name(),
                source: profile.revision_source(),
                event_types: profile.event_types(),
            })
            .collect();
        store.publish_dialects(&texts).await.expect("dialects");
        let clock = clock(store.database_now().await.expect("a clock"));
        let egress = net::Config {
            allow: ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network")).into(),
            ..net::Config::default()
        };
        let context = Context {
            store,
            clock: clock.clone(),
            dialects: Arc::new(dialects),
            master_keys,
            sender: Sender::new(&egress).expect("a sender"),
            telemetry,
        };
        let dispatcher = Dispatcher::start(context.clone(), dispatch::Config::default()).await.expect("a dispatcher");
        dispatcher.tick().await.expect("a first look");
        let target = Arc::new(Arc::clone(&dispatcher)) as Arc<dyn HandOffTarget>;
        let acceptor = Acceptor::start(&context, Some(target), &TaskTracker::new());
        let server = api::Config { platform_key: Some(SecretString::from(PLATFORM_KEY)), ..api::Config::default() };
        let api = Api::new(context.clone(), acceptor, &server);
        let front = Front::new(api.clone());
        let front = front.clone().with_pages(console::pages(api, front));
        let router = Router::new().fallback(move |request| async move { front.answer(request).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = router.clone();
        tokio::spawn(async move { axum::serve(listener, serving).await });
        let pool = PgPool::connect(&database_url).await.expect("the database");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self {
            clock,
            context,
            dispatcher,
            pool,
            database_url,
            address,
            router,
            client,
            looking: Arc::default(),
            seen: std::sync::Mutex::default(),
        }
    }

    /// Moves the clock and delivers all that is due then.
    pub async fn after(&self, time: Duration) {
        self.clock.advance(time);
        self.drain().await;
    }

    /// Delivers all that is due, 20 seconds at most.
    pub async fn drain(&self) {
        let _looking = self.looking.lock().await;
        let drained = tokio::time::timeout(Duration::from_secs(20), self.dispatcher.drain()).await;
        drained.expect("nothing hangs").expect("the database answers");
    }

    /// One look at the database, which also lets what was handed over in memory be sent.
    pub async fn look(&self) {
        self.dispatcher.tick().await.expect("a look");
    }

    /// Ends the dispatcher in order.
    pub async fn close(&self) {
        let told = CancellationToken::new();
        told.cancel();
        Arc::clone(&self.dispatcher).run(told).await;
    }

    /// One look at the replays.
    pub async fn replay(&self) {
        self.dispatcher.replay().await.expect("a look at the replays");
    }

    /// Keeps looking for due deliveries, as `run` does, until the world ends.
    pub fn run(&self) {
        let (dispatcher, looking) = (Arc::clone(&self.dispatcher), Arc::clone(&self.looking));
        tokio::spawn(async move {
            loop {
                let look = looking.lock().await;
                let _ = dispatcher.tick().await;
                drop(look);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.client.execute(request).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, text: response.text().await.expect("a text") };
        if let Some(operation) = described::check(&method, &path, &answer) {
            self.seen.lock().expect("a list").insert((operation, status));
        }
        answer
    }

    /// Every operation that was called, with each status that it answered.
    pub fn seen(&self) -> BTreeSet<(String, u16)> {
        self.seen.lock().expect("a list").clone()
    }

    /// A call with the platform key.
    pub async fn platform(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.request(method, path).bearer_auth(PLATFORM_KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request).await
    }

    /// A new sandbox tenant.
    pub async fn tenant(&self) -> Tenant<'_> {
        self.tenant_with("sandbox", "standard").await
    }

    pub async fn tenant_with(&self, environment: &str, dialect: &str) -> Tenant<'_> {
        let body = json!({"name": "Acme", "environment": environment, "default_dialect": dialect});
        let id = self.platform(Method::POST, "/v1/tenants", Some(body)).await.expect(201)["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let key = self.key(&id, &["manager", "producer", "operator", "viewer"]).await;
        Tenant { world: self, id, key }
    }

    /// A new key of a tenant.
    pub async fn key(&self, tenant_id: &str, roles: &[&str]) -> String {
        let body = json!({"tenant_id": tenant_id, "roles": roles, "description": "test"});
        let made = self.platform(Method::POST, "/v1/api-keys", Some(body)).await.expect(201);
        made["key"].as_str().expect("a key").to_owned()
    }

    /// One value of the database.
    pub async fn value<T>(&self, statement: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(statement).fetch_one(&self.pool).await.expect(statement)
    }

    /// Rows of a table.
    pub async fn count(&self, table: &str) -> i64 {
        let statement = format!("SELECT count(*) FROM tidings.{table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(&self.pool).await.expect("a count")
    }
}

impl Tenant<'_> {
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = self.world.request(method, path).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.world.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Registers a webhook for all events and returns the answer.
    pub async fn webhook(&self, url: &str) -> Value {
        self.webhook_with(json!({"url": url, "events": ["*"]})).await
    }

    pub async fn webhook_with(&self, body: Value) -> Value {
        self.post("/v1/webhooks", body).await.expect(201)
    }

    /// Reports an event and returns its id.
    pub async fn event(&self, event_type: &str, data: Value) -> String {
        let accepted = self.post("/v1/events", json!({"type": event_type, "data": data})).await.expect(202);
        accepted["id"].as_str().expect("an id").to_owned()
    }

    /// Reports events of one type, 1,000 at most, as one batch.
    pub async fn events(&self, event_type: &str, count: usize) {
        let events: Vec<_> = (0..count).map(|number| json!({"type": event_type, "data": {"n": number}})).collect();
        self.post("/v1/events/batch", json!({"events": events})).await.expect(202);
    }

    /// The state of a delivery, and whatever else is told of it.
    pub async fn delivery_of(&self, event_id: &str) -> Value {
        let event = self.get(&format!("/v1/events/{event_id}")).await.expect(200);
        let id = event["deliveries"][0]["id"].as_str().expect("a delivery").to_owned();
        self.get(&format!("/v1/deliveries/{id}")).await.expect(200)
    }

    /// The attempts of a delivery, newest first.
    pub async fn attempts(&self, delivery: &Value) -> Vec<Value> {
        let path = format!("/v1/deliveries/{}/attempts?page[size]=100", delivery["id"].as_str().expect("an id"));
        self.get(&path).await.expect(200)["data"].as_array().expect("a list").clone()
    }

    /// The only dead letter.
    pub async fn dead_letter(&self) -> Value {
        let letters = self.get("/v1/dead-letters").await.expect(200);
        let letters = letters["data"].as_array().expect("a list");
        assert_eq!(letters.len(), 1, "one dead letter");
        letters[0].clone()
    }

    /// Reports an event from its JSON text, whose bytes matter.
    pub async fn raw_event(&self, body: &str) -> Answer {
        let request = self
            .world
            .request(Method::POST, "/v1/events")
            .bearer_auth(&self.key)
            .header("content-type", "application/json")
            .body(body.to_owned());
        self.world.send(request).await
    }
}
