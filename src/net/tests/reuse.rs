//! One attempt is one request, and connections serve again where they can.

use super::receiver::{Receiver, Step, answers};
use super::{local, send};
use crate::domain::outcome::Class;
use crate::net::Sender;

#[tokio::test]
async fn a_connection_serves_again_after_a_small_body() {
    let small = "HTTP/1.1 500 No\r\ncontent-length: 20000\r\n\r\n".to_owned() + &"x".repeat(20_000);
    let receiver = Receiver::start(vec![Step::Read, Step::Write(small.into()), Step::Again]).await;
    let sender = Sender::new(&local()).expect("a sender");
    for _ in 0..3 {
        assert_eq!(send(&sender, &receiver.url()).await.class, Class::HttpStatus);
    }
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 3));
}

#[tokio::test]
async fn an_endless_body_gives_its_connection_up() {
    let script = vec![
        Step::Read,
        Step::Write(b"HTTP/1.1 200 OK\r\n\r\n".into()),
        Step::Repeat(&[0; 4_096], std::time::Duration::ZERO),
    ];
    let receiver = Receiver::start(script).await;
    let sender = Sender::new(&local()).expect("a sender");
    for _ in 0..2 {
        assert_eq!(send(&sender, &receiver.url()).await.class, Class::Success);
    }
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_receiver_closed_while_idle_costs_no_attempt() {
    let receiver = Receiver::start(answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let sender = Sender::new(&local()).expect("a sender");
    for turn in 1..=3 {
        assert_eq!(send(&sender, &receiver.url()).await.class, Class::Success);
        tokio::time::sleep(super::TIMEOUT / 6).await;
        assert_eq!((receiver.connections(), receiver.requests().len()), (turn, turn));
    }
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_not_sent_again() {
    for script in [
        vec![Step::Read],
        vec![Step::Read, Step::Reset],
        answers("HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let receiver = Receiver::start(script).await;
        let _ = send(&Sender::new(&local()).expect("a sender"), &receiver.url()).await;
        tokio::time::sleep(super::TIMEOUT / 6).await;
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start(answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    for status in [301, 302, 303, 307, 308] {
        let there = format!("HTTP/1.1 {status} There\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
        let receiver = Receiver::start(answers(there)).await;
        let outcome = send(&Sender::new(&local()).expect("a sender"), &receiver.url()).await;
        assert_eq!((outcome.class, outcome.status()), (Class::HttpStatus, Some(status)));
    }
    assert_eq!(elsewhere.connections(), 0);
}
