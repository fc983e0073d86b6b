//! Processes that die, end and share: nothing acknowledged is lost, and next to nothing is sent twice.

use std::time::Duration;

use rustix::process::Signal;
use sqlx::{Connection, PgConnection};

use crate::support::load::{Api, Load, arrivals};
use crate::support::process::{Process, Served, settings};
use crate::support::{Receiver, Reply, database};

const EVENTS: usize = 2_000;
const WEBHOOKS: usize = 2;
/// Seconds of the shortest lease.
const LEASE: &str = "5";

/// A tenant's key; its webhooks lead to one receiver that takes a moment to answer.
async fn furnish(api: &Api) -> (String, Receiver) {
    let key = api.tenant().await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::After(Duration::from_millis(20), 204));
    for number in 0..WEBHOOKS {
        api.webhook(&key, &format!("{}/{number}", receiver.url)).await;
    }
    (key, receiver)
}

/// Attempts whose result is in the database. A request that arrived and is not among them was under way: to its receiver, back
/// from it, or on the way into the database.
async fn recorded(url: &str) -> usize {
    let mut connection = PgConnection::connect(url).await.expect("the database");
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tidings.attempts").fetch_one(&mut connection).await.expect("a count");
    usize::try_from(count).expect("a count")
}

#[tokio::test]
async fn a_process_killed_under_load_loses_nothing_and_repeats_only_what_was_under_way() {
    let url = database::fresh().await;
    let mut settings = settings(&url);
    settings.push(("dispatch.lease_seconds", LEASE));
    let first = Served::start(&[], &settings).await;
    let api = Api::new(&[first.address]);
    let (key, receiver) = furnish(&api).await;

    let load = Load::start(&api, &key, EVENTS);
    load.reaches(EVENTS / 3).await;
    let before = receiver.count();
    first.process.stop(Signal::KILL).await;
    assert!(before > 0 && before < EVENTS * WEBHOOKS, "killed in the middle, after {before} requests");
    // What the dead process had written may still lie in the receiver's sockets.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let under_way = receiver.count() - recorded(&url).await;
    let second = Served::start(&[], &settings).await;
    api.moves_to(&[second.address]);
    load.ends().await;

    let tally = arrivals(&receiver, EVENTS * WEBHOOKS, Duration::from_secs(30)).await;
    assert_eq!(tally.distinct, EVENTS * WEBHOOKS, "lost: {tally:?}");
    assert!(tally.duplicates <= under_way, "{under_way} were under way: {tally:?}");
    assert!(tally.longest < Duration::from_secs(15), "orphans are sent again soon: {tally:?}");
    let ended = second.process.stop(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let after = arrivals(&receiver, usize::MAX, Duration::ZERO).await;
    assert_eq!(after.duplicates, tally.duplicates, "nothing more was sent");
}

#[tokio::test]
async fn a_process_that_ends_in_order_under_load_hands_over_at_once() {
    let url = database::fresh().await;
    let settings = settings(&url);
    let (first, second) = tokio::join!(Served::start(&[], &settings), Served::start(&[], &settings));
    let api = Api::new(&[first.address, second.address]);
    let (key, receiver) = furnish(&api).await;

    let load = Load::start(&api, &key, EVENTS);
    load.reaches(EVENTS / 3).await;
    let ended = first.process.stop(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("every lease is given back"), "{}", ended.text);
    load.ends().await;

    // Far less than the lease, which is 30 seconds here: nothing waits for it.
    let tally = arrivals(&receiver, EVENTS * WEBHOOKS, Duration::from_secs(10)).await;
    assert_eq!((tally.distinct, tally.duplicates), (EVENTS * WEBHOOKS, 0), "{tally:?}");
    for (which, text) in [("first", &ended.text), ("second", &second.process.text())] {
        assert!(text.contains("delivery.attempted"), "the {which} process delivered none");
    }
    let ended = second.process.stop(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(arrivals(&receiver, usize::MAX, Duration::ZERO).await.duplicates, 0);
}

#[tokio::test]
async fn one_process_accepts_and_another_delivers() {
    let url = database::fresh().await;
    let settings = settings(&url);
    let dispatch = Process::start(&["serve", "--role", "dispatch"], &settings);
    let served = Served::start(&["--role", "api"], &settings).await;
    dispatch.line(" ready ").await;
    let api = Api::new(&[served.address]);
    let (key, receiver) = furnish(&api).await;

    Load::start(&api, &key, 100).ends().await;
    let tally = arrivals(&receiver, 100 * WEBHOOKS, Duration::from_secs(10)).await;
    assert_eq!((tally.distinct, tally.duplicates), (100 * WEBHOOKS, 0));
    let (accepted, delivered) = tokio::join!(served.process.stop(Signal::TERM), dispatch.stop(Signal::INT));
    assert_eq!((accepted.code, delivered.code), (Some(0), Some(0)), "{}{}", accepted.text, delivered.text);
    assert!(!accepted.text.contains("delivery.attempted") && delivered.text.contains("delivery.attempted"));
    assert!(!delivered.text.contains("server.address"), "no API: {}", delivered.text);
}
