//! The API's socket.
//!
//! `axum::serve` waits for ever for a request that a client never finishes, and takes as many connections as come. So
//! this loop is our own: hyper's HTTP/1 with a limit on everything that a client decides. HTTP/2 without TLS, which
//! only a client that knows beforehand could speak, is left to a proxy in front.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::ListenError;
use super::patient::Patient;
use crate::again::again;
use crate::api::Front;

/// What a client may take up.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    connections: usize,
    /// From the end of an answer, or the start of the connection, to the end of the next request's headers: longer than
    /// clients and proxies keep idle connections, so that they close them, not we under a request.
    headers_within: Duration,
    /// For how long a client may take nothing of an answer that waits for it.
    takes_within: Duration,
}

const LIMITS: Limits =
    Limits { connections: 4_096, headers_within: Duration::from_secs(75), takes_within: Duration::from_secs(30) };

/// Bytes of a request's line and headers at most; more is answered 431.
const MAX_HEAD: usize = 32 * 1024;
/// Headers at most; more is answered 431.
const MAX_HEADERS: usize = 100;
/// How long to wait where the process has no file descriptor left.
const BREATH: Duration = Duration::from_millis(100);

/// The API and its socket.
pub(super) struct Door {
    listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) front: Front,
    limits: Limits,
}

impl Door {
    /// Listens. Nothing is answered before [`Door::serve`].
    pub(super) async fn open(
        wanted: SocketAddr,
        setting: &'static str,
        front: impl Into<Front> + Send,
    ) -> Result<Self, ListenError> {
        let unable = |source| ListenError { address: wanted, setting, source };
        let listener = TcpListener::bind(wanted).await.map_err(unable)?;
        let address = listener.local_addr().map_err(unable)?;
        Ok(Self { listener, address, front: front.into(), limits: LIMITS })
    }

    /// Answers until told to stop, then lets requests under way end within the grace time, and ends those that have not.
    pub(super) async fn serve(self, shutdown: &CancellationToken, grace: Duration) {
        let Self { listener, front, limits, .. } = self;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.headers_within)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS);
        let (connections, room) = (GracefulShutdown::new(), Arc::new(Semaphore::new(limits.connections)));
        let overdue = CancellationToken::new();
        loop {
            let entered = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                entered = enter(&listener, &room) => entered,
            };
            let Some((stream, place)) = entered else { continue };
            let stream = Patient::new(stream, limits.takes_within);
            let front = front.clone();
            let answer = service_fn(move |request: hyper::Request<_>| {
                let front = front.clone();
                async move { Ok::<_, Infallible>(front.answer(request.map(Body::new)).await) }
            });
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            let connection = connections.watch(connection);
            let overdue = overdue.clone();
            tokio::spawn(async move {
                // A connection that breaks is its client's affair.
                drop(overdue.run_until_cancelled_owned(again(connection)).await);
                drop(place);
            });
        }
        drop((listener, front));
        let mut ended = pin!(connections.shutdown());
        if tokio::time::timeout(grace, &mut ended).await.is_err() {
            tracing::warn!("requests were still under way when the grace time ended");
            overdue.cancel();
            // They hold the front, and whoever waits for its end waits for them.
            ended.await;
        }
    }
}

/// The next connection, as soon as there is room for it.
async fn enter(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, impl Send + use<>)> {
    let place = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // An answer is one small write: waiting for a fuller packet would only add up to 40 ms.
            drop(stream.set_nodelay(true));
            Some((stream, place))
        }
        Err(error) if is_of_one_connection(&error) => None,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept connections");
            tokio::time::sleep(BREATH).await;
            None
        }
    }
}

/// Whether it concerns a connection that is gone already, and not the socket.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn door() -> Door {
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            "done"
        };
        let router = Router::new().route("/", get(|| async { "hello" })).route("/slow", get(slow));
        Door::open(([127, 0, 0, 1], 0).into(), "`server.listen`", router).await.expect("a door")
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        // What does not answer is closed without a word, or reset.
        drop(stream.read_to_string(&mut answer).await);
        answer
    }

    #[tokio::test]
    async fn requests_under_way_end_before_the_door_does() {
        let (door, shutdown) = (door().await, CancellationToken::new());
        let address = door.address;
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move { door.serve(&stop, Duration::from_secs(5)).await });
        let slow = tokio::spawn(async move { ask(address, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        shutdown.cancel();
        serving.await.expect("served");
        assert!(slow.await.expect("an answer").ends_with("done"));
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn what_outlasts_the_grace_time_is_ended_and_holds_nothing_any_more() {
        let held = Arc::new(());
        let (holds, started) = (Arc::clone(&held), Arc::new(Semaphore::new(0)));
        let begin = Arc::clone(&started);
        let hang = async move || {
            begin.add_permits(1);
            std::future::pending::<()>().await;
            drop(holds);
        };
        let router = Router::new().route("/", get(hang));
        let door = Door::open(([127, 0, 0, 1], 0).into(), "`server.listen`", router).await.expect("a door");
        let (address, shutdown) = (door.address, CancellationToken::new());
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move { door.serve(&stop, Duration::from_millis(50)).await });
        let hanging = tokio::spawn(async move { ask(address, HELLO).await });
        drop(started.acquire().await);
        shutdown.cancel();
        tokio::time::timeout(SOON, serving).await.expect("in time").expect("served");
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(hanging.await.expect("an end"), "");
    }

    /// A door with little patience, which is answered through until this is dropped.
    async fn strict() -> (SocketAddr, impl Drop) {
        let large =
            Router::new().route("/", get(|| async { "hello" })).route("/large", get(|| async { "x".repeat(1 << 20) }));
        let door = Door::open(([127, 0, 0, 1], 0).into(), "`server.listen`", large).await.expect("a door");
        let limits = Limits {
            connections: 3,
            headers_within: Duration::from_millis(400),
            takes_within: Duration::from_millis(300),
        };
        let door = Door { limits, ..door };
        let (address, shutdown) = (door.address, CancellationToken::new());
        let guard = shutdown.clone().drop_guard();
        tokio::spawn(async move { door.serve(&shutdown, Duration::ZERO).await });
        (address, guard)
    }

    const HELLO: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn idle_and_dripping_clients_hold_their_places_for_a_bounded_time() {
        let (address, _open) = strict().await;
        let mut idle = Vec::new();
        for _ in 0..2 {
            idle.push(TcpStream::connect(address).await.expect("connected"));
        }
        let mut dripping = TcpStream::connect(address).await.expect("connected");
        let drip = async {
            for byte in HELLO.bytes() {
                if dripping.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let mut answer = String::new();
            drop(dripping.read_to_string(&mut answer).await);
            answer
        };
        // A fourth waits until one of the three is given up, and no longer.
        let (dripped, fourth) = tokio::join!(drip, tokio::time::timeout(SOON, ask(address, HELLO)));
        assert!(fourth.expect("its turn").ends_with("hello"));
        assert!(!dripped.contains("hello"), "a head that takes too long is not waited for: {dripped}");
        for mut stream in idle {
            let mut rest = Vec::new();
            drop(tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.expect("closed"));
        }
    }

    #[tokio::test]
    async fn who_asks_and_never_reads_loses_the_connection() {
        let (address, _open) = strict().await;
        let mut deaf = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let many = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
            stream.write_all(many.as_bytes()).await.expect("written");
            deaf.push(stream);
        }
        let answer = tokio::time::timeout(SOON, ask(address, HELLO)).await.expect("a place is free again");
        assert!(answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_refused_and_an_idle_connection_does_not_hold_up_the_end() {
        let (door, shutdown) = (door().await, CancellationToken::new());
        let address = door.address;
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move { door.serve(&stop, Duration::from_mins(1)).await });
        let _idle = TcpStream::connect(address).await.expect("connected");
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS));
        for request in [long, many] {
            let answer = ask(address, &request).await;
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), serving).await.expect("in time").expect("served");
    }
}
