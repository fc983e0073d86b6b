//! One attempt is one POST, and what came of it is a value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::answer;
use super::classify::classify;
use super::config::{Config, ConfigError};
use super::dial::lookup::{Lookup, System, Together};
use super::dial::{Dialer, tls};
use super::guard::Guard;
use super::headers::Headers;
use super::pool::{MAX_AGE, Pool, Wanted};
use super::target::Target;
use crate::beside::beside;
use crate::domain::outcome::{Class, Outcome};
use crate::failpoint::failpoint;

/// What receivers see in `User-Agent`, unless a dialect sets its own.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Tidings/", env!("CARGO_PKG_VERSION")));
/// No form of answer is preferred.
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");

/// Sends requests. Clones share connections.
#[derive(Clone)]
pub struct Sender {
    pub(super) pool: Arc<Pool>,
    guard: Guard,
    /// Where deliveries are sent.
    runtime: Handle,
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
    /// A sender that follows `config`, for the runtime that this is called in.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Self::with(config, Together::new(System), MAX_AGE)
    }

    /// Whether there can be a sender that follows `config`.
    pub fn check(config: &Config) -> Result<(), ConfigError> {
        config.validate()?;
        tls::client_config(config).map(drop)
    }

    /// With another resolver, and connections that are used again until they are this old.
    pub(super) fn with<L: Lookup>(config: &Config, lookup: L, max_age: Duration) -> Result<Self, ConfigError> {
        config.validate()?;
        let guard = Guard::new(config);
        let dialer = Dialer {
            guard: guard.clone(),
            lookup: Arc::new(lookup),
            tls: Arc::new(tls::client_config(config)?),
            limit: Duration::from_secs(config.connect_timeout_seconds.into()),
        };
        Ok(Self { pool: Arc::new(Pool::new(dialer, max_age)), guard, runtime: Handle::current() })
    }

    /// The policy that this sender follows, for [`Target::parse`].
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// As [`Sender::send`], for callers in another runtime: the connection lives on with those of the deliveries.
    pub async fn send_beside(&self, request: Request) -> Outcome {
        let sender = self.clone();
        beside(&self.runtime, async move { sender.send(request).await }).await
    }

    /// Sends one request, once, and waits for the answer.
    ///
    /// The status line decides: 200 to 299 is success, also when the body then breaks, drips past the deadline or is
    /// garbage. Redirects are not followed. Dropping the future ends the request.
    pub async fn send(&self, request: Request) -> Outcome {
        let sent = self.send_if(request, &|| true).await;
        sent.unwrap_or_else(|| unreachable!("it is wanted"))
    }

    /// As [`Sender::send`], unless the request is no longer wanted once there is a connection: then `None`, and nothing was sent.
    pub async fn send_if(&self, request: Request, is_wanted: Wanted<'_>) -> Option<Outcome> {
        let start = Instant::now();
        // What is plain to see is judged anew for each request: a pooled connection has no further say in it.
        if let Err(blocked) = request.target.check(&self.guard) {
            return Some(no_answer(Class::BlockedAddress, blocked.to_string(), start));
        }
        let Request { target, headers, body, timeout: limit } = request;
        let exchange = self.pool.send(&target, complete(headers), body, is_wanted);
        Some(match timeout(limit, exchange).await {
            Ok(Ok(None)) => return None,
            Err(_) => no_answer(Class::Timeout, format!("no answer within {} ms", limit.as_millis()), start),
            Ok(Err(error)) => {
                let (class, story) = classify(&*error);
                no_answer(class, story, start)
            }
            Ok(Ok(Some((response, mut connection)))) => {
                failpoint!("send.answered");
                let time_left = limit.saturating_sub(start.elapsed());
                let answer = connection.drive(answer::read(response, time_left)).await;
                self.pool.keep(&target, connection);
                let (class, error) = match answer.status {
                    200..=299 => (Class::Success, None),
                    status @ 300..=399 => {
                        (Class::HttpStatus, Some(format!("answered {status}; redirects are not followed")))
                    }
                    status => (Class::HttpStatus, Some(format!("answered {status}"))),
                };
                Outcome { class, answer: Some(answer), error, duration: start.elapsed() }
            }
        })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// With what every request has.
fn complete(headers: Headers) -> HeaderMap {
    let mut headers = headers.into_map();
    headers.entry(USER_AGENT).or_insert(AGENT);
    headers.entry(ACCEPT).or_insert(ANYTHING);
    headers
}

fn no_answer(class: Class, error: String, start: Instant) -> Outcome {
    Outcome { class, answer: None, error: Some(error), duration: start.elapsed() }
}
