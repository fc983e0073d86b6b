//! One attempt is one request, and connections serve again where they can.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

use super::receiver::{Receiver, Step, answers};
use super::{TIMEOUT, local, request, send};
use crate::domain::outcome::Class;
use crate::net::dial::lookup::{System, Together};
use crate::net::{Request, Sender};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

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
async fn what_is_not_wanted_any_more_is_not_sent() {
    let receiver = Receiver::start(vec![Step::Read, Step::Write(OK.into()), Step::Again]).await;
    let sender = Sender::new(&local()).expect("a sender");
    // Over a new connection, then over one that serves again.
    for sent in 0..2 {
        assert!(sender.send_if(request(&sender, &receiver.url()), &|| false).await.is_none());
        assert_eq!(receiver.requests().len(), sent);
        let wanted = sender.send_if(request(&sender, &receiver.url()), &|| true).await;
        assert!(wanted.is_some_and(|outcome| outcome.class == Class::Success));
    }
}

/// Requests at the same time have a connection each, and those after them have the same ones.
#[tokio::test]
async fn as_many_connections_as_there_are_requests_at_once() {
    let receiver = Receiver::start(vec![Step::Read, Step::Write(OK.into()), Step::Again]).await;
    let sender = Sender::new(&local()).expect("a sender");
    let url = receiver.url();
    for turn in 1..=5 {
        let outcomes = join_all((0..20).map(|_| send(&sender, &url))).await;
        assert!(outcomes.iter().all(|one| one.class == Class::Success && one.answer.as_ref().unwrap().body == "ok"));
        assert_eq!((receiver.connections(), receiver.requests().len()), (20, 20 * turn));
    }
}

#[tokio::test]
async fn a_connection_serves_again_when_the_runtime_has_ended_that_it_was_asked_for_in() {
    let receiver = Receiver::start(vec![Step::Read, Step::Write(OK.into()), Step::Again]).await;
    let sender = Sender::new(&local()).expect("a sender");
    let other = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (asking, first) = (sender.clone(), request(&sender, &receiver.url()));
    let sent = other.spawn(async move { asking.send_beside(first).await }).await.expect("no panic");
    spawn_blocking(move || other.shutdown_timeout(TIMEOUT)).await.expect("its end");
    assert_eq!((sent.class, send(&sender, &receiver.url()).await.class), (Class::Success, Class::Success));
    assert_eq!((receiver.connections(), receiver.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_connection_that_is_not_to_serve_again_does_not() {
    for head in ["HTTP/1.1 200 OK\r\nconnection: close\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 101 Switching\r\n"] {
        let answer = format!("{head}content-length: 0\r\n\r\n");
        let receiver = Receiver::start(vec![Step::Read, Step::Write(answer.into()), Step::Again]).await;
        let sender = Sender::new(&local()).expect("a sender");
        for turn in 1..=3 {
            assert!(send(&sender, &receiver.url()).await.answer.is_some());
            assert_eq!((receiver.connections(), receiver.requests().len()), (turn, turn), "{head}");
        }
    }
}

/// One that the receiver is about to close is not kept, as the next request might be on its way then.
#[tokio::test]
async fn a_connection_waits_no_longer_than_its_receiver_says() {
    for (said, connections) in [("timeout=0", 3), ("timeout=1", 3), ("timeout=2", 2), ("timeout=5", 1), ("max=9", 1)] {
        let answer = format!("HTTP/1.1 200 OK\r\nKeep-Alive: {said}\r\ncontent-length: 0\r\n\r\n");
        let receiver = Receiver::start(vec![Step::Read, Step::Write(answer.into()), Step::Again]).await;
        let sender = Sender::new(&local()).expect("a sender");
        for pause in [0, 0, 1_100] {
            tokio::time::pause();
            tokio::time::advance(Duration::from_millis(pause)).await;
            tokio::time::resume();
            assert_eq!(send(&sender, &receiver.url()).await.class, Class::Success);
        }
        assert_eq!(receiver.connections(), connections, "{said}");
    }
}

/// One whose answer nobody waited for is closed, and its answer is not taken for the next request's.
#[tokio::test]
async fn a_request_that_is_given_up_takes_its_connection_with_it() {
    let late = vec![Step::Read, Step::Pause(TIMEOUT / 2), Step::Write(OK.into()), Step::Again];
    let receiver = Receiver::start(late).await;
    let sender = Sender::new(&local()).expect("a sender");
    for turn in 1..=3 {
        let url = receiver.url();
        let given_up = tokio::time::timeout(TIMEOUT / 8, send(&sender, &url)).await;
        assert!(given_up.is_err());
        assert_eq!(sender.pool.kept.count(), 0, "{turn}");
        tokio::time::sleep(TIMEOUT / 2).await;
        assert_eq!(receiver.connections(), turn);
    }
}

#[tokio::test]
async fn what_nobody_can_use_any_more_is_not_kept() {
    for (max_age, then, kept) in [
        (Duration::from_mins(1), Step::Hang, true),
        (Duration::ZERO, Step::Hang, false),
        (Duration::from_mins(1), Step::Pause(TIMEOUT / 20), false),
    ] {
        let receiver = Receiver::start(vec![Step::Read, Step::Write(OK.into()), then]).await;
        let sender = Sender::with(&local(), Together::new(System), max_age).expect("a sender");
        assert_eq!(send(&sender, &receiver.url()).await.class, Class::Success);
        tokio::time::sleep(TIMEOUT / 4).await;
        assert_eq!(sender.pool.kept.sweep().await, kept);
        assert_eq!(sender.pool.kept.count(), usize::from(kept));
    }
}

#[tokio::test]
async fn a_receiver_that_answers_before_it_has_read_gets_the_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    let arrived = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut bytes = vec![0; 1];
        stream.read_exact(&mut bytes).await.expect("a request");
        stream.write_all(OK).await.expect("it waits");
        tokio::time::sleep(TIMEOUT / 4).await;
        stream.read_to_end(&mut bytes).await.expect("its end");
        bytes
    });
    let sender = Sender::new(&local()).expect("a sender");
    let body = Bytes::from(vec![b'x'; 16 * 1024 * 1024]);
    let outcome = sender.send(Request { body: body.clone(), ..request(&sender, &url) }).await;
    assert_eq!(outcome.class, Class::Success, "{:?}", outcome.error);
    assert!(arrived.await.expect("all of it").ends_with(&body));
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
    let silently = vec![Step::Read, Step::Write(OK.into())];
    let last_words = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let with_a_word = [silently.clone(), vec![Step::Pause(TIMEOUT / 20), Step::Write(last_words.into())]].concat();
    for script in [silently, with_a_word] {
        let receiver = Receiver::start(script).await;
        let sender = Sender::new(&local()).expect("a sender");
        for turn in 1..=3 {
            let outcome = send(&sender, &receiver.url()).await;
            assert_eq!(outcome.class, Class::Success, "{turn}: {:?}", outcome.error);
            tokio::time::sleep(TIMEOUT / 6).await;
            assert_eq!((receiver.connections(), receiver.requests().len()), (turn, turn));
        }
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
        tokio::time::sleep(TIMEOUT / 6).await;
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
