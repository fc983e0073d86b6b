//! An HTTP/1 connection, which is driven by whoever uses it.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use tokio::time::{Instant, timeout};

use super::{MAX_HEADERS, Post};
use crate::again::Again;
use crate::net::dial::stream::Stream;

/// Bytes that a connection holds in memory at most; the headers must fit.
const MAX_BUFFER: usize = MAX_HEADERS as usize;
/// Lines of an answer's headers at most.
const MAX_HEADER_LINES: usize = 100;
/// To come to an end in, when the answer has been read.
const CLOSE: Duration = Duration::from_secs(10);

pub(in crate::net) struct Http1 {
    /// When it began.
    pub(super) since: Instant,
    requests: http1::SendRequest<Full<Bytes>>,
    /// What reads and writes; `None` once it has ended.
    io: Option<http1::Connection<Stream, Full<Bytes>>>,
    again: Again,
}

impl Http1 {
    pub(super) async fn new(stream: Stream) -> hyper::Result<Box<Self>> {
        let since = stream.since;
        let mut builder = http1::Builder::new();
        let (requests, io) = builder.max_buf_size(MAX_BUFFER).max_headers(MAX_HEADER_LINES).handshake(stream).await?;
        Ok(Box::new(Self { since, requests, io: Some(io), again: Again::new() }))
    }

    /// What failed has the request in it if nothing of it was sent. If this is not waited for to its end, the connection is of no
    /// further use.
    pub(super) async fn send(&mut self, post: Post) -> Result<Response<Incoming>, TrySendError<Post>> {
        let answer = self.requests.try_send_request(post);
        self.drive(answer).await
    }

    /// Reads and writes while something waits for it.
    pub(super) async fn drive<F: Future>(&mut self, waiting: F) -> F::Output {
        let Self { io, again, .. } = self;
        let mut waiting = pin!(waiting);
        std::future::poll_fn(|cx| {
            again.poll(cx, |cx| {
                // Its errors reach those who wait.
                io.take_if(|io| Pin::new(io).poll(cx).is_ready());
                waiting.as_mut().poll(cx)
            })
        })
        .await
    }

    /// Whether it takes a request: the last answer was read to its end, and the receiver has neither closed it nor said anything unasked.
    pub(super) fn is_ready(&mut self) -> bool {
        let Self { io, again, .. } = self;
        again.glance(|cx| io.take_if(|io| Pin::new(io).poll(cx).is_ready()));
        self.io.is_some() && self.requests.is_ready()
    }

    /// Ends it as its protocol wants it. A receiver may have answered before it read all of the request: it gets the rest.
    pub(super) fn close(self: Box<Self>) {
        if let Some(io) = self.io {
            tokio::spawn(timeout(CLOSE, io));
        }
    }
}
