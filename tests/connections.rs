//! Connections to Postgres that fall silent, and statements that only take long.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use sqlx::{Connection, PgConnection};
use tidings::domain::event::Event;
use tidings::domain::ids::{EventId, TenantId};
use tidings::store::outbox::accept::NewEvent;
use tidings::store::{Config, Store, StoreError};
use tokio::time::{Instant, sleep, timeout};

use crate::support::database;

#[expect(dead_code, reason = "the fault suite uses more of it")]
#[path = "faults/proxy.rs"]
mod proxy;
#[path = "faults/wire.rs"]
mod wire;

use proxy::{Mode, Proxy};
use wire::{Kind, MARKS};

/// A store whose connections lead through a proxy.
async fn behind_proxy() -> (Store, Proxy, String) {
    let url = database::fresh().await;
    let (server, name) = url.rsplit_once('/').expect("a database's name");
    let (user, port) = server.rsplit_once(':').expect("a port");
    let proxy = Proxy::start(port.parse().expect("a port")).await;
    let there = format!("{user}:{}/{name}?sslmode=disable", proxy.port);
    let config = Config { connections: 3, hot_connections: 2, ..Config::default() };
    (Store::connect(&there, &config).expect("a URL"), proxy, url)
}

/// Six statements at once, so that several connections are open; how many succeeded, within this time.
async fn ask(store: &Store, limit: Duration) -> usize {
    let pings = (0..6).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.ping().await })
    });
    let mut answered = 0;
    for ping in pings.collect::<Vec<_>>() {
        match timeout(limit, ping).await.expect("nobody waits for ever").expect("no panic") {
            Ok(()) => answered += 1,
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    answered
}

/// The fault suite loses answers of statements that it knows by their texts; under another text nothing would be lost.
#[test]
fn the_statements_whose_answers_are_lost_are_among_those_of_the_program() {
    let described = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.sqlx")).expect("the described queries");
    let texts = described.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("its text"));
    let texts: Vec<_> = texts.collect();
    for (mark, kind) in MARKS {
        let is_there = texts.iter().any(|text| text.contains(mark));
        assert!(is_there || kind == Kind::Commit, "{mark}");
    }
}

#[tokio::test]
async fn a_statement_on_a_connection_that_fell_silent_ends_and_the_next_has_a_new_one() {
    let (store, proxy, _) = behind_proxy().await;
    assert_eq!(ask(&store, Duration::from_secs(10)).await, 6);
    // As after a failover that nobody tells of: the old connections are open, and nothing comes back.
    proxy.forget();
    let begun = Instant::now();
    while ask(&store, Duration::from_secs(10)).await < 6 {
        assert!(begun.elapsed() < Duration::from_secs(12), "it does not recover");
    }
    let begun = Instant::now();
    assert_eq!(ask(&store, Duration::from_secs(10)).await, 6);
    assert!(begun.elapsed() < Duration::from_secs(2), "one loss taught it of all: {:?}", begun.elapsed());
    store.close().await;
}

#[tokio::test]
async fn while_nothing_passes_statements_fail_in_time_and_afterwards_they_do_not() {
    let (store, proxy, _) = behind_proxy().await;
    assert_eq!(ask(&store, Duration::from_secs(10)).await, 6);
    proxy.set(Mode::Hole);
    assert_eq!(ask(&store, Duration::from_secs(10)).await, 0);
    proxy.set(Mode::Open);
    let begun = Instant::now();
    while ask(&store, Duration::from_secs(10)).await < 6 {
        assert!(begun.elapsed() < Duration::from_secs(8), "it does not recover");
    }
    store.close().await;
}

#[tokio::test]
async fn who_waits_for_a_new_connection_takes_one_that_comes_back() {
    let (store, proxy, _) = behind_proxy().await;
    store.ping().await.expect("a connection");
    // Whoever connects from now on waits for ever.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    proxy.leads_to(silent.local_addr().expect("an address").port());
    assert_eq!(ask(&store, Duration::from_secs(3)).await, 6);
    store.close().await;
}

#[tokio::test]
async fn a_statement_that_only_takes_long_is_left_alone() {
    let (store, _proxy, url) = behind_proxy().await;
    let mut other = PgConnection::connect(&url).await.expect("the database");
    let mut blocking = other.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE tidings.outbox IN ACCESS EXCLUSIVE MODE").execute(&mut *blocking).await.expect("locked");
    let surveyed = tokio::spawn(async move { store.survey(DateTime::UNIX_EPOCH).await });
    // Twice as long as it takes to become suspicious.
    sleep(Duration::from_millis(4_500)).await;
    assert!(!surveyed.is_finished(), "it waits for the lock");
    blocking.rollback().await.expect("rolled back");
    let held =
        timeout(Duration::from_secs(10), surveyed).await.expect("it ends").expect("no panic").expect("an answer");
    assert_eq!(held.backlog, 0);
}

#[tokio::test]
async fn a_transaction_that_was_lost_to_sight_lets_go_of_what_it_holds() {
    let (store, proxy, url) = behind_proxy().await;
    let now = DateTime::UNIX_EPOCH;
    let (tenant_id, id) = (TenantId::from_u128(1), EventId::new(now, rand::random()));
    let event = Event { tenant_id, id, event_type: "a.b".to_owned(), occurred_at: None, data: "1".into() };
    let event = NewEvent { event: Arc::new(event), idempotency_key: Some("k".to_owned()), trace: None };
    // It waits for the key until it can no longer tell that it has it.
    let mut other = PgConnection::connect(&url).await.expect("the database");
    let mut taken = other.begin().await.expect("a transaction");
    let take = "INSERT INTO tidings.idempotency_keys (tenant_id, key, event_id, digest, created_at)
                VALUES ($1, 'k', gen_random_uuid(), '', '1970-01-01')";
    sqlx::query(take).bind(uuid::Uuid::from_u128(1)).execute(&mut *taken).await.expect("taken");
    let lost = tokio::spawn({
        let (store, event) = (store.clone(), event.clone());
        async move { store.accept_all_or_nothing(&[event], now, None).await }
    });
    sleep(Duration::from_millis(250)).await;
    proxy.set(Mode::Hole);
    taken.rollback().await.expect("rolled back");
    let failed = timeout(Duration::from_secs(10), lost).await.expect("it ends").expect("no panic");
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");

    proxy.forget();
    proxy.set(Mode::Open);
    let begun = Instant::now();
    while let Err(error) = store.accept_all_or_nothing(std::slice::from_ref(&event), now, None).await {
        assert!(begun.elapsed() < Duration::from_secs(5) && error.is_passing(), "{error}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_transaction_that_nobody_ends_is_undone_before_its_connection_is_used_again() {
    let (store, _proxy, url) = behind_proxy().await;
    // Given up in the middle of a statement or between two, time after time, on three connections.
    for turn in 0..30_u64 {
        let cut = timeout(Duration::from_micros(turn * 150), store.hold_snapshot()).await;
        drop(cut);
    }
    assert_eq!(ask(&store, Duration::from_secs(10)).await, 6);
    let mut other = PgConnection::connect(&url).await.expect("the database");
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'tidings' AND state LIKE 'idle in transaction%'";
    let deadline = Instant::now() + Duration::from_secs(10);
    while sqlx::query_scalar::<_, i64>(open).fetch_one(&mut other).await.expect("a count") > 0 {
        assert!(Instant::now() < deadline, "a transaction stays open");
        sleep(Duration::from_millis(50)).await;
    }
    store.close().await;
}
