//! What requests on one HTTP/2 connection do to each other, and what is left of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, server};
use hyper::Response;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::tls::{acceptor, trusting};
use super::{TIMEOUT, request, send};
use crate::domain::outcome::Class;
use crate::net::{Request, Sender};

/// More than a receiver takes that does not read.
const LARGE: Bytes = Bytes::from_static(&[b'x'; 300_000]);

type Requests = Connection<TlsStream<TcpStream>, Bytes>;
type Asked = (hyper::Request<RecvStream>, SendResponse<Bytes>);

/// What came to a receiver.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    /// Connections.
    begun: AtomicUsize,
    open: AtomicUsize,
}

impl Seen {
    fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits until so few are open, which needs no more than what is under way here.
    async fn until_open(&self, few: usize) {
        let fewer = async {
            while self.open.load(Ordering::Relaxed) > few {
                tokio::time::sleep(TIMEOUT / 100).await;
            }
        };
        tokio::time::timeout(TIMEOUT * 5, fewer).await.expect("connections end");
    }
}

/// Takes requests for as long as each connection lasts, so many at once on each; what `answer` gives back is held for as long.
async fn receiver<T: Send + 'static>(
    at_once: u32,
    answer: impl Fn(Asked) -> T + Copy + Send + 'static,
) -> (String, Sender, Arc<Seen>) {
    let (acceptor, pem) = acceptor(&[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("bound").port());
    let seen = Arc::new(Seen::default());
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.begun.fetch_add(1, Ordering::Relaxed);
            counted.open.fetch_add(1, Ordering::Relaxed);
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.expect("a handshake");
                let greeted = server::Builder::new().max_concurrent_streams(at_once).handshake(stream).await;
                // Who dialled in vain may have gone.
                if let Ok(mut requests) = greeted {
                    let requests: &mut Requests = &mut requests;
                    let mut held = Vec::new();
                    while let Some(Ok(asked)) = requests.accept().await {
                        counted.requests.fetch_add(1, Ordering::Relaxed);
                        held.push(answer(asked));
                    }
                }
                counted.open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    let (_file, config) = trusting(&pem);
    (url, Sender::new(&config).expect("a sender"), seen)
}

fn say_ok((asked, mut answer): Asked) -> (RecvStream, SendResponse<Bytes>) {
    answer.send_response(Response::new(()), true).expect("somebody waits");
    (asked.into_body(), answer)
}

async fn pass(time: Duration) {
    // What was begun has begun.
    tokio::time::sleep(TIMEOUT / 100).await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// What it does not take of a request would gather, request by request.
#[tokio::test]
async fn a_receiver_that_answers_and_takes_no_more_is_left() {
    let (url, sender, seen) = receiver(100, say_ok).await;
    for turn in 1..=3 {
        let outcome = sender.send(Request { body: LARGE, ..request(&sender, &url) }).await;
        assert_eq!(outcome.class, Class::Success, "{:?}", outcome.error);
        assert_eq!((seen.begun(), sender.pool.kept.count()), (turn, 0));
    }
    pass(Duration::from_secs(11)).await;
    seen.until_open(0).await;
}

#[tokio::test]
async fn a_receiver_that_answers_before_it_has_read_gets_the_rest() {
    static READ: AtomicUsize = AtomicUsize::new(0);
    let read_late = |asked| {
        let (mut body, answer) = say_ok(asked);
        tokio::spawn(async move {
            tokio::time::sleep(TIMEOUT / 4).await;
            while let Some(Ok(chunk)) = body.data().await {
                READ.fetch_add(chunk.len(), Ordering::Relaxed);
                body.flow_control().release_capacity(chunk.len()).expect("it was taken");
            }
            drop(answer);
        })
    };
    let (url, sender, seen) = receiver(100, read_late).await;
    let outcome = sender.send(Request { body: LARGE, ..request(&sender, &url) }).await;
    assert_eq!(outcome.class, Class::Success, "{:?}", outcome.error);
    seen.until_open(0).await;
    assert_eq!(READ.load(Ordering::Relaxed), LARGE.len());
}

/// However few or many requests the receiver takes on a connection.
#[tokio::test]
async fn requests_that_hang_keep_none_waiting_that_would_not() {
    for (at_once, hanging, connections) in [(4, 10, 3), (1_000, 70, 3)] {
        let (url, sender, seen) = receiver(at_once, |asked| {
            let hangs = asked.0.uri().path() == "/hang";
            if hangs { (Some(asked), None) } else { (None, Some(say_ok(asked))) }
        })
        .await;
        for hung in 1..=hanging {
            let request = Request { timeout: TIMEOUT * 20, ..request(&sender, &format!("{url}/hang")) };
            let hanging = sender.clone();
            tokio::spawn(async move { hanging.send(request).await });
            while seen.requests.load(Ordering::Relaxed) < hung {
                tokio::task::yield_now().await;
            }
        }
        let outcome = send(&sender, &format!("{url}/ok")).await;
        assert_eq!(outcome.class, Class::Success, "{:?}", outcome.error);
        assert_eq!((seen.begun(), sender.pool.kept.count()), (connections, connections));
    }
}

/// One that answers no ping meanwhile either, as it does nothing but work.
#[tokio::test]
async fn a_receiver_has_the_time_of_the_attempt() {
    let (acceptor, pem) = acceptor(&[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("bound").port());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let stream = acceptor.accept(stream).await.expect("a handshake");
        let mut requests = server::handshake(stream).await.expect("a greeting");
        let (_, mut answer) = requests.accept().await.expect("a request").expect("a whole one");
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(25)).await;
        tokio::time::resume();
        answer.send_response(Response::new(()), true).expect("somebody waits");
        while requests.accept().await.is_some() {}
    });
    let (_file, config) = trusting(&pem);
    let sender = Sender::new(&config).expect("a sender");
    let outcome = sender.send(Request { timeout: Duration::from_secs(30), ..request(&sender, &url) }).await;
    assert_eq!(outcome.class, Class::Success, "{:?}", outcome.error);
    assert!(outcome.duration >= Duration::from_secs(25));
}
