//! An HTTP/2 connection, which many requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::{MAX_HEADERS, Post};
use crate::net::dial::stream::Stream;

/// Flow-control windows, in bytes: a stream may send what is read of it, a connection that of 16 streams.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// A connection that went silent is found out by a ping after this long, and dropped after as long again.
const PING_AFTER: Duration = Duration::from_secs(5);

/// It ends when the last clone is gone.
#[derive(Clone)]
pub(in crate::net) struct Http2 {
    /// When it began.
    pub(super) since: Instant,
    requests: http2::SendRequest<Full<Bytes>>,
    /// It left a request without an answer.
    is_suspect: Arc<AtomicBool>,
    /// A request is under way for this clone.
    is_asked: bool,
}

impl Http2 {
    pub(super) async fn new(stream: Stream) -> hyper::Result<Self> {
        let since = stream.since;
        let (requests, io) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(MAX_HEADERS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_AFTER)
            .handshake(stream)
            .await?;
        // Its errors reach those who wait for answers.
        tokio::spawn(io);
        Ok(Self { since, requests, is_suspect: Arc::default(), is_asked: false })
    }

    /// What failed has the request in it if nothing of it was sent.
    pub(super) async fn send(&mut self, post: Post) -> Result<Response<Incoming>, TrySendError<Post>> {
        self.is_asked = true;
        self.requests.try_send_request(post).await
    }

    /// The request of this clone has its answer.
    pub(super) fn answered(&mut self) {
        self.is_asked = false;
    }

    /// Whether it takes a request.
    pub(super) fn is_ready(&self) -> bool {
        self.requests.is_ready() && !self.is_suspect.load(Ordering::Relaxed)
    }
}

/// The next request is not given to a receiver that is silent, or that does not stop talking.
impl Drop for Http2 {
    fn drop(&mut self) {
        if self.is_asked {
            self.is_suspect.store(true, Ordering::Relaxed);
        }
    }
}
