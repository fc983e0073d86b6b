//! An HTTP/1 connection, which is driven by whoever uses it.

use std::pin::{Pin, pin};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HeaderMap, HeaderName};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::closing::Closing;
use super::{Failed, MAX_HEADERS, post};
use crate::again::Again;
use crate::net::dial::stream::{Allowance, Stream};
use crate::net::target::Target;

/// Bytes that a connection holds in memory at most; the headers must fit.
const MAX_BUFFER: usize = MAX_HEADERS as usize;
/// Lines of an answer's headers at most.
const MAX_HEADER_LINES: usize = 100;
/// Bytes that a receiver may send until its answer's headers are complete, whatever precedes them: any number of interim answers
/// may do so.
const MAX_BEFORE: usize = MAX_HEADERS as usize;
/// Idle connections are dropped after this: before load balancers, which commonly wait 60 s, drop them under a request.
const MAX_IDLE: Duration = Duration::from_secs(50);
/// If a receiver says how long it waits for the next request, its connection is kept for this much less: a request on
/// its way when the receiver closes the connection is lost.
const BEFORE_CLOSE: Duration = Duration::from_secs(1);
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

pub(in crate::net) struct Http1 {
    /// When it began.
    pub(super) since: Instant,
    /// It may wait for the next request for less than this.
    pub(super) max_idle: Duration,
    allowance: Allowance,
    requests: http1::SendRequest<Full<Bytes>>,
    /// What reads and writes; `None` once it has ended.
    io: Option<http1::Connection<TokioIo<Stream>, Full<Bytes>>>,
    again: Again,
}

impl Http1 {
    pub(super) async fn new(stream: Stream) -> hyper::Result<Box<Self>> {
        let (since, allowance) = (stream.since, stream.allowance.clone());
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MAX_BUFFER).max_headers(MAX_HEADER_LINES);
        let (requests, io) = builder.handshake(TokioIo::new(stream)).await?;
        Ok(Box::new(Self { since, max_idle: MAX_IDLE, allowance, requests, io: Some(io), again: Again::new() }))
    }

    /// If this is not waited for to its end, the connection is of no further use.
    pub(super) async fn send(
        &mut self,
        target: &Target,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failed> {
        self.allowance.set(MAX_BEFORE);
        let answer = self.requests.try_send_request(post(target.path(), headers, body));
        let answer = self.drive(answer).await?;
        self.allowance.lift();
        self.max_idle = max_idle(answer.headers());
        Ok(answer)
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
    pub(super) fn close(self: Box<Self>, closing: &Closing) {
        let Self { requests, io, again, .. } = *self;
        // Says that no request follows.
        drop(requests);
        let Some(mut io) = io else { return };
        // Most have nothing left to do that takes time.
        if again.glance(|cx| Pin::new(&mut io).poll(cx)).is_pending() {
            closing.close(io);
        }
    }
}

/// How long a connection may wait for the next request, by the answer to the last: `Keep-Alive: timeout=5` is what many receivers
/// say, and to be believed.
fn max_idle(headers: &HeaderMap) -> Duration {
    let Some(said) = headers.get(&KEEP_ALIVE).and_then(|value| value.to_str().ok()) else { return MAX_IDLE };
    let parameters = said.split(',').filter_map(|parameter| parameter.split_once('='));
    let seconds = parameters
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
        .find_map(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok());
    seconds.map_or(MAX_IDLE, |seconds| Duration::from_secs(seconds).saturating_sub(BEFORE_CLOSE).min(MAX_IDLE))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_receiver_says_how_long_it_waits() {
        for (said, seconds) in [
            ("timeout=5", 4),
            ("Timeout = 5 , max=100", 4),
            ("max=100,timeout=\"5\"", 4),
            ("timeout=1", 0),
            ("timeout=0", 0),
            ("timeout=600", 50),
            ("timeout=-1", 50),
            ("timeout=99999999999999999999", 50),
            ("timeout", 50),
            ("max=7", 50),
            ("", 50),
        ] {
            let headers = HeaderMap::from_iter([(KEEP_ALIVE.clone(), HeaderValue::from_static(said))]);
            assert_eq!(max_idle(&headers), Duration::from_secs(seconds), "{said}");
        }
        assert_eq!(max_idle(&HeaderMap::new()), MAX_IDLE);
    }
}
