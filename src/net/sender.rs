//! One attempt is one POST, and what came of it is a value.

use std::time::Duration;

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Method};
use tokio::time::{Instant, timeout};

use super::answer;
use super::classify::classify;
use super::config::{Config, ConfigError};
use super::guard::Guard;
use super::headers::Headers;
use super::lookup::{Lookup, System, Together};
use super::resolver::Vetting;
use super::target::Target;
use crate::domain::outcome::{Class, Outcome};

/// What receivers see in `User-Agent`, unless a dialect sets its own.
const USER_AGENT: &str = concat!("Tidings/", env!("CARGO_PKG_VERSION"));

/// Idle connections are dropped after this: before load balancers, which commonly wait 60 s, drop them under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Idle connections kept for one host: as many as one process has requests under way by default, since many webhooks
/// may lead to one host.
const IDLE_PER_HOST: usize = 1_024;
/// Flow-control windows of HTTP/2, in bytes: a stream may send what is read of it, a connection that of 16 streams.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// Bytes of an HTTP/2 answer's headers at most.
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Lines of an HTTP/1 answer's headers at most.
const MAX_HEADER_LINES: usize = 100;
/// A shared HTTP/2 connection that went silent is found out by a ping after this long, and dropped after as long again.
const PING_AFTER: Duration = Duration::from_secs(5);

/// Sends requests. Clones share connections.
#[derive(Debug, Clone)]
pub struct Sender {
    client: Client,
    guard: Guard,
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
        // A process has one default provider; whoever came first has set one that serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let guard = Guard::new(config.allow.clone(), config.ports.clone());
        let client = client()
            .dns_resolver(Vetting::new(guard.clone(), lookup))
            .connect_timeout(Duration::from_secs(config.connect_timeout_seconds.into()))
            .tls_certs_merge(extra_authorities(config)?)
            .build()
            .map_err(ConfigError::Tls)?;
        Ok(Self { client, guard })
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
        // Literal addresses reach no resolver, so they are judged here.
        if let Err(blocked) = request.target.check(&self.guard) {
            return no_answer(Class::BlockedAddress, blocked.to_string(), start);
        }
        let limit = request.timeout;
        match timeout(limit, self.client.execute(post(request))).await {
            Err(_) => no_answer(Class::Timeout, format!("no answer within {} ms", limit.as_millis()), start),
            Ok(Err(error)) => {
                let (class, story) = classify(error);
                no_answer(class, story, start)
            }
            Ok(Ok(response)) => {
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
}

/// Every default of the client that would send elsewhere, more than once, or keep something, is off.
fn client() -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .referer(false)
        .user_agent(USER_AGENT)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .http1_max_headers(MAX_HEADER_LINES)
        .http2_max_header_list_size(MAX_HEADER_LIST)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_AFTER)
}

fn extra_authorities(config: &Config) -> Result<Vec<Certificate>, ConfigError> {
    let Some(path) = config.extra_ca_file.clone() else { return Ok(Vec::new()) };
    let pem = std::fs::read(&path).map_err(|source| ConfigError::ReadCa { path: path.clone(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(ConfigError::ParseCa { path }),
    }
}

fn post(request: Request) -> reqwest::Request {
    let mut post = reqwest::Request::new(Method::POST, request.target.url().clone());
    *post.headers_mut() = request.headers.into_map();
    *post.body_mut() = Some(request.body.into());
    post
}

fn no_answer(class: Class, error: String, start: Instant) -> Outcome {
    Outcome { class, answer: None, error: Some(error), duration: start.elapsed() }
}
