//! Failover: another server becomes the primary, and Tidings goes on by itself. What was acknowledged is delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::support::Receiver;
use crate::support::cluster::Cluster;
use crate::support::load::{Api, arrivals};
use crate::support::process::{Served, settings};
use crate::support::receiver::Received;
use crate::support::world::PLATFORM_KEY;

const SECOND: Duration = Duration::from_secs(1);
/// How soon after a promotion the first event is delivered.
const SOON: Duration = Duration::from_secs(5);
/// Between two events of a producer.
const PACE: Duration = Duration::from_millis(40);
const LEASE: Duration = Duration::from_secs(10);

/// One cluster at a time: they measure time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Two processes on a cluster, and producers of every kind, who repeat what was not acknowledged.
struct Scene {
    cluster: Cluster,
    served: Vec<Served>,
    api: Api,
    key: String,
    tenant: String,
    receiver: Receiver,
    producers: JoinSet<()>,
    reported: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Scene {
    async fn set() -> Self {
        let cluster = Cluster::start().await;
        let url = cluster.url();
        let settings = [settings(&url), vec![("dispatch.lease_seconds", "10")]].concat();
        let served = vec![Served::start(&["--migrate"], &settings).await, Served::start(&[], &settings).await];
        let api = Api::new(&served.iter().map(|one| one.address).collect::<Vec<_>>());
        let (status, tenant) =
            api.post("/v1/tenants", PLATFORM_KEY, &json!({"name": "Acme", "environment": "sandbox"})).await;
        assert_eq!(status, 201, "{tenant}");
        let roles =
            json!({"tenant_id": tenant["id"], "roles": ["manager", "producer", "viewer"], "description": "test"});
        let (status, key) = api.post("/v1/api-keys", PLATFORM_KEY, &roles).await;
        assert_eq!(status, 201, "{key}");
        let (key, tenant) = (text(&key["key"]), text(&tenant["id"]));
        let receiver = Receiver::start().await;
        api.webhook(&key, &receiver.url).await;
        let (producers, reported, ended) = (JoinSet::new(), Arc::default(), Arc::default());
        Self { cluster, served, api, key, tenant, receiver, producers, reported, ended }
    }

    /// Events one by one, in batches of ten, and in SQL, until told to end.
    fn produce(&mut self) {
        for producer in 0..6 {
            let (api, key, ended, reported) =
                (self.api.clone(), self.key.clone(), Arc::clone(&self.ended), Arc::clone(&self.reported));
            self.producers.spawn(async move {
                for turn in 0.. {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let event = |place: usize| json!({"type": "a", "data": {}, "idempotency_key": format!("r{producer}-{turn}-{place}")});
                    let (path, body, count) = if producer == 0 {
                        ("/v1/events/batch", json!({"events": (0..10).map(event).collect::<Vec<_>>()}), 10)
                    } else {
                        ("/v1/events", event(0), 1)
                    };
                    acknowledged(&api, path, &key, &body).await;
                    reported.fetch_add(count, Ordering::Relaxed);
                    sleep(PACE).await;
                }
            });
        }
        for producer in 0..2 {
            let urls = [0, 1, 2].map(|node| self.cluster.url_of(node));
            let (tenant, ended, reported) = (self.tenant.clone(), Arc::clone(&self.ended), Arc::clone(&self.reported));
            self.producers.spawn(async move {
                for turn in 0.. {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    enqueued(&urls, &tenant, &format!("s{producer}-{turn}")).await;
                    reported.fetch_add(1, Ordering::Relaxed);
                    sleep(PACE).await;
                }
            });
        }
    }

    /// Now that there is a primary again, deliveries go on within five seconds, and what is reported now follows behind the backlog.
    async fn goes_on(&self) {
        let since = Instant::now();
        let arrives = |wanted: &dyn Fn(&Received) -> bool| self.receiver.received().iter().any(wanted);
        while !arrives(&|one| one.at > since) {
            assert!(since.elapsed() < SOON, "nothing is delivered\n{}", self.served[0].process.text());
            sleep(Duration::from_millis(10)).await;
        }
        println!("the first delivery came {:?} after the promotion", since.elapsed());
        let probe = json!({"type": "probe", "data": {}});
        let (_, accepted) = acknowledged(&self.api, "/v1/events", &self.key, &probe).await;
        self.reported.fetch_add(1, Ordering::Relaxed);
        let id = text(&accepted["id"]);
        while !arrives(&|one| one.header("webhook-id") == id) {
            assert!(since.elapsed() < SOON + LEASE, "{id} is not delivered\n{}", self.served[0].process.text());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the producers, waits for the last delivery, and holds what arrived against what was acknowledged.
    async fn check(&mut self, primary: usize, faults: usize) {
        self.ended.store(true, Ordering::Relaxed);
        while let Some(ended) = self.producers.join_next().await {
            ended.expect("every event was acknowledged");
        }
        let reported = self.reported.load(Ordering::Relaxed);
        let tally = arrivals(&self.receiver, reported, LEASE + 10 * SECOND).await;
        println!("{reported} events, {tally:?}");
        assert_eq!(tally.distinct, reported, "every acknowledged event arrives, and no other");
        // What was under way at a fault: 32 to one webhook from each of two processes.
        assert!(tally.duplicates <= faults * 64, "{tally:?}");
        assert!(tally.longest <= LEASE + SOON, "duplicates fall into the window of the fault: {tally:?}");
        // Each process has one lease; one that it doubts goes when nothing is under way under it any more.
        let (outbox, leases) = ("SELECT count(*) FROM tidings.outbox", "SELECT count(*) FROM tidings.dispatchers");
        let patience = Instant::now() + LEASE + SOON;
        while self.cluster.value(primary, outbox).await > 0 || self.cluster.value(primary, leases).await != 2 {
            assert!(Instant::now() < patience, "everything is settled in the end");
            sleep(Duration::from_millis(100)).await;
        }
        let delivered = "SELECT count(*) FROM tidings.attempts WHERE verdict = 'delivered'";
        assert_eq!(usize::try_from(self.cluster.value(primary, delivered).await).expect("few"), reported);
    }

    async fn end(self) {
        for served in self.served {
            let ended = timeout(30 * SECOND, served.process.stop(Signal::TERM)).await.expect("it ends");
            assert_eq!(ended.code, Some(0), "{}", ended.text);
        }
    }
}

/// Repeats a call until it is answered with success.
async fn acknowledged(api: &Api, path: &str, key: &str, body: &Value) -> (u16, Value) {
    let patience = Instant::now() + Duration::from_mins(1);
    for turn in 0.. {
        match api.try_call(turn, reqwest::Method::POST, path, key, Some(body)).await {
            Ok((status @ (200 | 202), answer)) => return (status, answer),
            Ok((503, _)) | Err(_) => {}
            Ok((status, problem)) => panic!("{status} {problem}"),
        }
        assert!(Instant::now() < patience, "never acknowledged");
        sleep(Duration::from_millis(50)).await;
    }
    unreachable!("it goes on without end")
}

/// Repeats an event in SQL until it is committed, at whichever server takes it.
async fn enqueued(urls: &[String], tenant: &str, idempotency_key: &str) {
    let patience = Instant::now() + Duration::from_mins(1);
    for url in urls.iter().cycle() {
        let enqueue = async {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::query("SELECT tidings.enqueue($1, 'a', '{}', $2)")
                .bind(tenant)
                .bind(idempotency_key)
                .execute(&mut connection)
                .await
        };
        if matches!(timeout(5 * SECOND, enqueue).await, Ok(Ok(_))) {
            return;
        }
        assert!(Instant::now() < patience, "never committed");
        sleep(Duration::from_millis(20)).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute, and three servers; the CI script runs it"]
async fn a_primary_that_is_killed_loses_nothing() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::set().await;
    scene.produce();
    sleep(3 * SECOND).await;

    scene.cluster.kill(0);
    sleep(SECOND).await;
    let next = scene.cluster.most_advanced([1, 2]).await;
    scene.cluster.promote(next, 3 - next).await;
    scene.goes_on().await;
    scene.cluster.wait_for_standbys(next).await;
    sleep(2 * SECOND).await;

    scene.check(next, 1).await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute, and three servers; the CI script runs it"]
async fn a_primary_that_becomes_a_standby_is_left() {
    let _alone = ALONE.lock().await;
    let mut scene = Scene::set().await;
    scene.produce();
    sleep(2 * SECOND).await;

    // Connections to it stay open, and only read.
    scene.cluster.fence(0).await;
    sleep(SECOND).await;
    let next = scene.cluster.most_advanced([1, 2]).await;
    scene.cluster.promote(next, 3 - next).await;
    scene.goes_on().await;
    let used = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidings'";
    let patience = Instant::now() + SOON;
    while scene.cluster.value(0, used).await > 0 {
        assert!(Instant::now() < patience, "nothing stays connected to the old primary");
        sleep(Duration::from_millis(100)).await;
    }

    scene.cluster.demote(0, next).await;
    scene.cluster.wait_for_standbys(next).await;
    scene.goes_on().await;
    scene.check(next, 1).await;
    scene.end().await;
}
