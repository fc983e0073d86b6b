//! Receivers that agree on HTTP/2 and then misbehave in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;

use super::receiver::Step;
use super::tls::{Server, trusting};
use super::{TIMEOUT, send, send_patiently};
use crate::domain::outcome::Class;
use crate::net::Sender;

const AT_ONCE: Duration = Duration::ZERO;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200`, as in the table that both sides know.
const OK: &[u8] = &[0x88];
static SETTINGS_FRAME: [u8; 9] = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
static PING_FRAME: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
/// One header of 254 bytes, and never the end of them.
static CONTINUATION_FRAME: [u8; 9 + 260] = continuation();
static DATA_FRAME: [u8; 9 + 8_192] = data();

const fn continuation() -> [u8; 269] {
    let mut frame = [b'v'; 269];
    // 260 bytes: a literal that is not indexed, a name of one letter, a value of 254 bytes.
    let head = [0, 1, 4, CONTINUATION, 0, 0, 0, 0, 1, 0, 1, b'x', 127, 127];
    let mut at = 0;
    while at < head.len() {
        frame[at] = head[at];
        at += 1;
    }
    frame
}

const fn data() -> [u8; 8_201] {
    let mut frame = [0; 8_201];
    frame[1] = 0x20;
    frame[8] = 1;
    frame
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&[0, length[0], length[1], kind, flags, 0, 0, 0, stream], payload].concat()
}

fn settled(frames: &[Vec<u8>]) -> Step {
    Step::Write([&SETTINGS_FRAME[..], &frames.concat()].concat())
}

/// What the receiver does, how it does it, and what it comes to.
type Row = (&'static str, Vec<Step>, Class);

async fn play_all(rows: Vec<Row>) {
    for (what, script, class) in rows {
        let server = Server::start(script, &[b"h2"]).await;
        let (_file, config) = trusting(&server.pem);
        let sender = Sender::new(&config).expect("a sender");
        let outcome = send(&sender, &format!("https://localhost:{}/", server.port)).await;
        assert_eq!(outcome.class, class, "{what}: {:?}", outcome.error);
        assert!(outcome.duration < TIMEOUT * 2, "{what}: {:?}", outcome.duration);
    }
}

#[tokio::test]
async fn connections_that_end_or_stall_before_an_answer() {
    let goaway = |code: u8| frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, code]);
    let reset = |code: u8| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
    play_all(vec![
        ("answers in HTTP/1", vec![Step::Write(b"HTTP/1.1 200 OK\r\n\r\n".into()), Step::Hang], Class::Protocol),
        ("says nothing", vec![Step::Hang], Class::Timeout),
        ("says nothing more", vec![settled(&[]), Step::Hang], Class::Timeout),
        ("closes at once", vec![], Class::Connect),
        ("closes after its settings", vec![settled(&[]), Step::ReadSome], Class::Connect),
        ("leaves", vec![Step::ReadSome, settled(&[goaway(0)])], Class::Connect),
        ("leaves in anger", vec![Step::ReadSome, settled(&[goaway(11)]), Step::Hang], Class::Connect),
        ("resets the stream", vec![Step::ReadSome, settled(&[reset(2)]), Step::Hang], Class::Connect),
        ("refuses the stream", vec![Step::ReadSome, settled(&[reset(7)]), Step::Hang], Class::Connect),
        ("floods with settings", vec![Step::Repeat(&SETTINGS_FRAME, AT_ONCE)], Class::Timeout),
        ("floods with pings", vec![settled(&[]), Step::Repeat(&PING_FRAME, AT_ONCE)], Class::Timeout),
    ])
    .await;
}

#[tokio::test]
async fn frames_that_break_the_protocol() {
    play_all(vec![
        (
            "never ends its headers",
            vec![Step::ReadSome, settled(&[frame(HEADERS, 0, 1, OK)]), Step::Repeat(&CONTINUATION_FRAME, AT_ONCE)],
            Class::Protocol,
        ),
        (
            "answers without a status",
            vec![Step::ReadSome, settled(&[frame(HEADERS, END_HEADERS, 1, &[0, 1, b'x', 1, b'y'])]), Step::Hang],
            Class::Protocol,
        ),
        (
            "breaks the header compression",
            vec![
                Step::ReadSome,
                settled(&[frame(HEADERS, END_HEADERS, 1, &[0xff, 0xff, 0xff, 0xff, 0xff])]),
                Step::Hang,
            ],
            Class::Protocol,
        ),
        (
            "sends data before headers",
            vec![Step::ReadSome, settled(&[frame(DATA, 0, 1, b"x")]), Step::Hang],
            Class::Protocol,
        ),
        (
            "answers what was not asked",
            vec![Step::ReadSome, settled(&[frame(HEADERS, END_HEADERS, 9, OK)]), Step::Hang],
            Class::Protocol,
        ),
        (
            "pushes",
            vec![Step::ReadSome, settled(&[frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])]), Step::Hang],
            Class::Protocol,
        ),
        (
            "overflows the window",
            vec![Step::ReadSome, settled(&[frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff])]), Step::Hang],
            Class::Protocol,
        ),
    ])
    .await;
}

#[tokio::test]
async fn nothing_after_a_good_status_changes_the_verdict() {
    let whole = frame(HEADERS, END_HEADERS | END_STREAM, 1, OK);
    let good = || frame(HEADERS, END_HEADERS, 1, OK);
    let goaway = || frame(GOAWAY, 0, 0, &[0; 8]);
    let reset = || frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]);
    play_all(vec![
        ("answers", vec![Step::ReadSome, settled(&[whole]), Step::Hang], Class::Success),
        ("answers and resets", vec![Step::ReadSome, settled(&[good(), reset()]), Step::Hang], Class::Success),
        ("answers and leaves", vec![Step::ReadSome, settled(&[good(), goaway()])], Class::Success),
        ("answers and hangs", vec![Step::ReadSome, settled(&[good()]), Step::Hang], Class::Success),
        (
            "answers and ignores the window",
            vec![Step::ReadSome, settled(&[good()]), Step::Repeat(&DATA_FRAME, AT_ONCE)],
            Class::Success,
        ),
    ])
    .await;
}

/// Answers every request after a moment, leaves each connection after so many, and counts connections.
async fn answering(requests_each: usize) -> (u16, String, Arc<AtomicUsize>) {
    let (acceptor, pem) = super::tls::acceptor(&[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.expect("a handshake");
                let mut requests = h2::server::handshake(stream).await.expect("a greeting");
                let mut served = 0;
                while let Some(Ok((request, mut answer))) = requests.accept().await {
                    served += 1;
                    if served == requests_each {
                        requests.graceful_shutdown();
                    }
                    assert_eq!((request.uri().path(), request.headers().get("host")), ("/hook", None));
                    tokio::spawn(async move {
                        tokio::time::sleep(TIMEOUT / 20).await;
                        let mut body = answer.send_response(hyper::Response::new(()), false).expect("somebody waits");
                        body.send_data("ok".into(), true).expect("somebody waits");
                    });
                }
            });
        }
    });
    (port, pem, connections)
}

#[tokio::test]
async fn requests_share_a_connection() {
    let (port, pem, connections) = answering(usize::MAX).await;
    let (_file, config) = trusting(&pem);
    let sender = Sender::new(&config).expect("a sender");
    let url = format!("https://localhost:{port}/hook");
    assert_eq!(send_patiently(&sender, &url).await.class, Class::Success);
    for _ in 0..3 {
        let outcomes = join_all((0..20).map(|_| send_patiently(&sender, &url))).await;
        for outcome in outcomes {
            assert_eq!((outcome.class, outcome.answer.expect("an answer").body.as_ref()), (Class::Success, &b"ok"[..]));
        }
    }
    assert_eq!((connections.load(Ordering::Relaxed), sender.pool.kept.count()), (1, 1));
}

#[tokio::test]
async fn a_connection_that_the_receiver_leaves_costs_no_attempt() {
    let (port, pem, connections) = answering(2).await;
    let (_file, config) = trusting(&pem);
    let sender = Sender::new(&config).expect("a sender");
    for _ in 0..6 {
        let outcome = send_patiently(&sender, &format!("https://localhost:{port}/hook")).await;
        assert_eq!(outcome.class, Class::Success, "{:?}", outcome.error);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

/// Those that come first dial each for itself, since nobody knows yet what the receiver speaks; what they settle on serves on.
#[tokio::test]
async fn the_first_requests_settle_on_one_connection() {
    let (port, pem, connections) = answering(usize::MAX).await;
    let (_file, config) = trusting(&pem);
    let sender = Sender::new(&config).expect("a sender");
    let url = format!("https://localhost:{port}/hook");
    let outcomes = join_all((0..10).map(|_| send_patiently(&sender, &url))).await;
    assert!(outcomes.iter().all(|outcome| outcome.class == Class::Success), "{outcomes:?}");
    let first = connections.load(Ordering::Relaxed);
    let outcomes = join_all((0..10).map(|_| send_patiently(&sender, &url))).await;
    assert!(outcomes.iter().all(|outcome| outcome.class == Class::Success), "{outcomes:?}");
    assert_eq!((connections.load(Ordering::Relaxed), sender.pool.kept.count()), (first, 1));
}

/// The next request is not given to a connection that left the last one without an answer.
#[tokio::test]
async fn a_silent_connection_is_not_used_again() {
    let server = Server::start(vec![settled(&[]), Step::Hang], &[b"h2"]).await;
    let (_file, config) = trusting(&server.pem);
    let sender = Sender::new(&config).expect("a sender");
    for turn in 1..=3 {
        let outcome = send(&sender, &format!("https://localhost:{}/", server.port)).await;
        assert_eq!((outcome.class, server.connections()), (Class::Timeout, turn));
    }
}
