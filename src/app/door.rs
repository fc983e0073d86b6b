//! The API's socket.
//!
//! `axum::serve` waits for ever for a request that a client never finishes, and takes as many connections as come. So
//! this loop is our own: hyper's HTTP/1 with a limit on everything that a client decides. HTTP/2 without TLS, which
//! only a client that knows beforehand could speak, is left to a proxy in front.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::ListenError;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 4_096;
/// From the end of an answer, or the start of the connection, to the end of the next request's headers: longer than
/// clients and proxies keep idle connections, so that they close them, not we under a request.
const HEADERS_WITHIN: Duration = Duration::from_secs(75);
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
    pub(super) router: Router,
}

impl Door {
    /// Listens. Nothing is answered before [`Door::serve`].
    pub(super) async fn open(wanted: SocketAddr, setting: &'static str, router: Router) -> Result<Self, ListenError> {
        let unable = |source| ListenError { address: wanted, setting, source };
        let listener = TcpListener::bind(wanted).await.map_err(unable)?;
        let address = listener.local_addr().map_err(unable)?;
        Ok(Self { listener, address, router })
    }

    /// Answers until told to stop, then lets requests under way end within the grace time.
    pub(super) async fn serve(self, shutdown: &CancellationToken, grace: Duration) {
        let Self { listener, router, .. } = self;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEADERS_WITHIN)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS);
        let (connections, room) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS)));
        loop {
            let entered = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                entered = enter(&listener, &room) => entered,
            };
            let Some((stream, place)) = entered else { continue };
            let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
            let connection = connections.watch(connection);
            tokio::spawn(async move {
                // A connection that breaks is its client's affair.
                drop(connection.await);
                drop(place);
            });
        }
        drop((listener, router));
        if tokio::time::timeout(grace, connections.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way when the grace time ended");
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
