//! Names, and answers that lie or change.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::receiver::{Receiver, Step, answers};
use super::{TIMEOUT, local, send};
use crate::domain::outcome::Class;
use crate::net::dial::lookup::{Looking, Lookup};
use crate::net::pool::MAX_AGE;
use crate::net::{Config, Request, Sender};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Gives one answer after the other, and the last one for ever; an empty one is a failure.
#[derive(Clone, Default)]
struct Script {
    answers: Vec<Vec<IpAddr>>,
    asked: Arc<AtomicUsize>,
}

impl Lookup for Script {
    fn lookup(&self, _: String) -> Looking {
        let turn = self.asked.fetch_add(1, Ordering::Relaxed).min(self.answers.len() - 1);
        let answer = self.answers[turn].clone();
        let failed = answer.is_empty().then(|| io::Error::other("no such host"));
        Box::pin(std::future::ready(failed.map_or(Ok(answer), Err)))
    }
}

fn script(answers: &[&[&str]]) -> Script {
    let address = |text: &&str| text.parse().expect("an address");
    let answers = answers.iter().map(|answer| answer.iter().map(address).collect()).collect();
    Script { answers, asked: Arc::default() }
}

async fn class_of(config: &Config, script: Script, url: &str) -> Class {
    send(&Sender::with(config, script, MAX_AGE).expect("a sender"), url).await.class
}

#[tokio::test]
async fn the_vetted_address_is_the_one_connected_to() {
    let receiver = Receiver::start(answers(OK)).await;
    let url = format!("http://hooks.example:{}/", receiver.address.port());
    assert_eq!(class_of(&local(), script(&[&["127.0.0.1"]]), &url).await, Class::Success);
    assert!(receiver.requests()[0].contains(&format!("host: hooks.example:{}", receiver.address.port())));
}

#[tokio::test]
async fn one_forbidden_answer_refuses_the_whole_name() {
    let receiver = Receiver::start(answers(OK)).await;
    let url = format!("http://hooks.example:{}/", receiver.address.port());
    for answer in [
        &["127.0.0.1", "10.0.0.1"][..],
        &["169.254.169.254", "127.0.0.1"],
        &["127.0.0.1", "::ffff:127.0.0.1"],
        &["fd00:ec2::254"],
        &["64:ff9b::7f00:1", "127.0.0.1"],
    ] {
        assert_eq!(class_of(&local(), script(&[answer]), &url).await, Class::BlockedAddress, "{answer:?}");
    }
    assert_eq!(class_of(&Config::default(), script(&[&["127.0.0.1"]]), &url).await, Class::BlockedAddress);
    assert_eq!(receiver.connections(), 0);
}

/// Gives one answer, and then takes a while to fail.
#[derive(Clone, Default)]
struct Once(Arc<AtomicUsize>);

impl Lookup for Once {
    fn lookup(&self, _: String) -> Looking {
        let is_first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(async move {
            if is_first {
                return Ok(vec![[127, 0, 0, 1].into()]);
            }
            tokio::time::sleep(TIMEOUT / 4).await;
            Err(io::Error::other("no such host"))
        })
    }
}

#[tokio::test]
async fn a_failed_look_up_costs_nothing_where_a_connection_became_free_meanwhile() {
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let script = vec![Step::Read, Step::Pause(TIMEOUT / 16), Step::Write(ok.into()), Step::Again];
    let receiver = Receiver::start(script).await;
    let url = format!("http://hooks.example:{}/", receiver.address.port());
    let lookup = Once::default();
    let sender = Sender::with(&local(), lookup.clone(), MAX_AGE).expect("a sender");
    let (first, second) = tokio::join!(send(&sender, &url), send(&sender, &url));
    assert_eq!((first.class, second.class), (Class::Success, Class::Success), "{:?}", second.error);
    assert_eq!((lookup.0.load(Ordering::Relaxed), receiver.connections()), (2, 1));
}

#[tokio::test]
async fn a_name_that_changes_its_answer_gains_nothing() {
    let receiver = Receiver::start(answers(OK)).await;
    let url = format!("http://hooks.example:{}/", receiver.address.port());
    let script = script(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let sender = Sender::with(&local(), script.clone(), MAX_AGE).expect("a sender");
    let first = send(&sender, &url).await;
    let second = send(&sender, &url).await;
    assert_eq!((first.class, second.class), (Class::Success, Class::BlockedAddress));
    assert_eq!((script.asked.load(Ordering::Relaxed), receiver.connections()), (2, 1));
    assert!(second.error.expect("a story").contains("10.0.0.1 is a private address"));
}

/// A pooled connection goes on to where it was vetted to go, until it is too old; then the name is asked for again.
#[tokio::test]
async fn a_connection_outlives_a_changed_answer_only_until_it_is_too_old() {
    let kept = vec![Step::Read, Step::Write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()), Step::Again];
    for (max_age, expected, connections) in [
        (Duration::from_mins(1), [Class::Success, Class::Success], 1),
        (Duration::ZERO, [Class::Success, Class::BlockedAddress], 1),
    ] {
        let receiver = Receiver::start(kept.clone()).await;
        let url = format!("http://hooks.example:{}/", receiver.address.port());
        let script = script(&[&["127.0.0.1"], &["10.0.0.1"]]);
        let sender = Sender::with(&local(), script, max_age).expect("a sender");
        let outcomes = [send(&sender, &url).await.class, send(&sender, &url).await.class];
        assert_eq!((outcomes, receiver.connections()), (expected, connections), "{max_age:?}");
    }
}

#[tokio::test]
async fn a_name_without_an_answer_is_a_dns_failure() {
    let sender = Sender::with(&local(), script(&[&[]]), MAX_AGE).expect("a sender");
    let outcome = send(&sender, "https://nowhere.example/").await;
    assert_eq!(outcome.class, Class::Dns);
    assert!(outcome.error.expect("a story").contains("`nowhere.example` does not resolve: no such host"));
}

#[tokio::test]
async fn localhost_means_the_loopback_addresses_that_are_allowed() {
    let receiver = Receiver::start(answers(OK)).await;
    let sender = Sender::new(&local()).expect("a sender");
    for name in ["localhost", "LOCALHOST.", "a.localhost"] {
        let url = format!("http://{name}:{}/", receiver.address.port());
        assert_eq!(send(&sender, &url).await.class, Class::Success, "{name}");
    }
}

#[tokio::test]
async fn a_target_accepted_under_another_policy_is_judged_again() {
    let receiver = Receiver::start(answers(OK)).await;
    let open = Sender::new(&local()).expect("a sender");
    let strict = Sender::new(&Config { ports: vec![443], ..Config::default() }).expect("a sender");
    for host in ["127.0.0.1", "localhost", "8.8.8.8"] {
        let request: Request = super::request(&open, &format!("http://{host}:{}/", receiver.address.port()));
        assert_eq!(strict.send(request).await.class, Class::BlockedAddress, "{host}");
    }
    assert_eq!(receiver.connections(), 0);
}
