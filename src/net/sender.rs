//! One attempt is one POST, and what came of it is a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Response, body::Incoming};
use hyper_util::client::legacy::{self, Client, connect::capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout};

use super::answer;
use super::classify::classify;
use super::config::{Config, ConfigError};
use super::dial::lookup::{Lookup, System, Together};
use super::dial::{Dialer, stream, tls};
use super::guard::Guard;
use super::headers::Headers;
use super::target::Target;
use crate::domain::outcome::{Class, Outcome};
use crate::failpoint::failpoint;

/// What receivers see in `User-Agent`, unless a dialect sets its own.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Tidings/", env!("CARGO_PKG_VERSION")));
/// No form of answer is preferred.
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// Idle connections are dropped after this: before load balancers, which commonly wait 60 s, drop them under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Idle connections kept for one host: as many as one process has requests under way by default, since many webhooks
/// may lead to one host.
const IDLE_PER_HOST: usize = 1_024;
/// Flow-control windows of HTTP/2, in bytes: a stream may send what is read of it, a connection that of 16 streams.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// Bytes of an answer's headers at most.
const MAX_HEADERS: u32 = 64 * 1024;
/// Bytes that an HTTP/1 connection holds in memory at most; the headers must fit.
const MAX_BUFFER: usize = MAX_HEADERS as usize;
/// Lines of an HTTP/1 answer's headers at most.
const MAX_HEADER_LINES: usize = 100;
/// A shared HTTP/2 connection that went silent is found out by a ping after this long, and dropped after as long again.
const PING_AFTER: Duration = Duration::from_secs(5);

/// Sends requests. Clones share connections.
#[derive(Clone)]
pub struct Sender {
    client: Client<Dialer, Full<Bytes>>,
    guard: Guard,
    /// Of a connection that takes a request; tests cannot wait a minute.
    pub(super) max_connection_age: Duration,
}

/// One POST.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to.
    pub target: Target,
    /// All headers but those of the connection and `Content-Length`.
    pub headers: Headers,
    /// The exact bytes of the body.
    pub body: Bytes,
    /// From the start of the attempt to the end of the answer.
    pub timeout: Duration,
}

impl Sender {
    /// A sender that follows `config`.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Self::with_lookup(config, Together::new(System))
    }

    pub(super) fn with_lookup<L: Lookup>(config: &Config, lookup: L) -> Result<Self, ConfigError> {
        config.validate()?;
        let guard = Guard::new(config);
        let dialer = Dialer {
            guard: guard.clone(),
            lookup: Arc::new(lookup),
            tls: Arc::new(tls::client_config(config)?),
            limit: Duration::from_secs(config.connect_timeout_seconds.into()),
        };
        Ok(Self { client: client(dialer), guard, max_connection_age: stream::MAX_AGE })
    }

    /// The policy that this sender follows, for [`Target::parse`].
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Sends one request, once, and waits for the answer.
    ///
    /// The status line decides: 200 to 299 is success, also when the body then breaks, drips past the deadline or is
    /// garbage. Redirects are not followed. Dropping the future ends the request.
    pub async fn send(&self, request: Request) -> Outcome {
        let start = Instant::now();
        // What is plain to see is judged anew for each request: a pooled connection has no further say in it.
        if let Err(blocked) = request.target.check(&self.guard) {
            return no_answer(Class::BlockedAddress, blocked.to_string(), start);
        }
        let limit = request.timeout;
        match self.exchange(request).await {
            None => no_answer(Class::Timeout, format!("no answer within {} ms", limit.as_millis()), start),
            Some(Err(error)) => {
                let (class, story) = classify(&error);
                no_answer(class, story, start)
            }
            Some(Ok(response)) => {
                failpoint!("send.answered");
                let answer = answer::read(response, limit.saturating_sub(start.elapsed())).await;
                let (class, error) = match answer.status {
                    200..=299 => (Class::Success, None),
                    status @ 300..=399 => {
                        (Class::HttpStatus, Some(format!("answered {status}; redirects are not followed")))
                    }
                    status => (Class::HttpStatus, Some(format!("answered {status}"))),
                };
                Outcome { class, answer: Some(answer), error, duration: start.elapsed() }
            }
        }
    }

    /// Out with the request and in with the head of the answer; `None` where time ran out.
    async fn exchange(&self, request: Request) -> Option<Result<Response<Incoming>, legacy::Error>> {
        let limit = request.timeout;
        let mut post = post(request);
        let connection = capture_connection(&mut post);
        let response = timeout(limit, self.client.request(post)).await.ok();
        stream::retire(&connection, matches!(response, Some(Ok(_))), self.max_connection_age);
        response
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// A client that knows no redirect, proxy, cookie or second try; it only sends a request again that had not begun when
/// its pooled connection turned out to be closed.
fn client(dialer: Dialer) -> Client<Dialer, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .http1_max_buf_size(MAX_BUFFER)
        .http1_max_headers(MAX_HEADER_LINES)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_AFTER)
        .build(dialer)
}

fn post(request: Request) -> hyper::Request<Full<Bytes>> {
    let mut headers: HeaderMap = request.headers.into_map();
    headers.entry(USER_AGENT).or_insert(AGENT);
    headers.entry(ACCEPT).or_insert(ANYTHING);
    let mut post = hyper::Request::new(Full::new(request.body));
    *post.method_mut() = Method::POST;
    *post.uri_mut() = request.target.uri();
    *post.headers_mut() = headers;
    post
}

fn no_answer(class: Class, error: String, start: Instant) -> Outcome {
    Outcome { class, answer: None, error: Some(error), duration: start.elapsed() }
}
