//! The REST API seen from outside: what `tidings webhooks`, `events`, … call it through.
//!
//! It is a room of its own beside [`net`](crate::net), which sends to receivers and trusts none of them: here the address is the
//! operator's own, so there is no guard, and there is a key.
//!
//! | file | does |
//! |---|---|
//! | [`call`] | one request: method, path, parameters, body |
//! | [`answer`] | what came back: JSON as it came, byte for byte, and the pages of lists |
//! | [`problem`] | an answer that is not a success, as a sentence |
//! | [`patience`] | whether to repeat a request, and when |
//! | [`error`] | everything that can go wrong |
//!
//! **Invariants**
//! - The key goes to the configured address only: redirects are not followed, proxies not used.
//! - A request is repeated only if that cannot do the same thing twice.
//! - JSON is handed on as it came: no number is respelt, no member moved.

pub mod answer;
pub mod call;
pub mod error;
pub mod patience;
pub mod problem;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Request, Response};
use secrecy::ExposeSecret;
use url::Url;

use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
pub use answer::{Answer, Item, Page};
pub use call::{Call, Method};
pub use error::ClientError;
use patience::Refusal;

const USER_AGENT: &str = concat!("tidings-cli/", env!("CARGO_PKG_VERSION"));
/// To connect, at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole answer, at most: a test delivery waits for its receiver.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A value, and where a person has set it, for the sentences of errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// Such as `TIDINGS_URL` or `--api`.
    pub origin: String,
}

/// Which Tidings to call, and as whom.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it is, such as `http://127.0.0.1:8080`.
    pub url: Given<String>,
    /// An API key.
    pub key: Option<Given<Secret>>,
    /// The tenant that a platform key acts for.
    pub tenant: Option<TenantId>,
}

/// Calls one Tidings.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    place: Place,
}

impl Client {
    /// A client for this place. Nothing is sent yet.
    pub fn new(place: Place) -> Result<Self, ClientError> {
        // A process has one default provider of TLS; whoever came first has set one that serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = base(&place.url)?;
        let headers = headers(&place)?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| ClientError::Setup(error::root(&error)))?;
        Ok(Self { http, base, headers, place })
    }

    /// Whether the key would go over a network in clear text.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        let is_local = match self.base.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        };
        self.base.scheme() == "http" && !is_local && self.place.key.is_some()
    }

    /// Sends a request, and again where the API asks for patience.
    pub async fn send(&self, call: Call) -> Result<Answer, ClientError> {
        let mut repeated = 0;
        loop {
            let answered = self.http.execute(self.request(&call)).await;
            let refusal = match &answered {
                Ok(response) => Refusal::Status(response.status().as_u16(), retry_after(response)),
                Err(error) if error.is_connect() => Refusal::NotReached,
                Err(_) => Refusal::AnswerLost,
            };
            if let Some(wait) = patience::wait(refusal, repeated, call.is_repeatable()) {
                repeated += 1;
                tokio::time::sleep(wait).await;
                continue;
            }
            return self.read(&call, answered).await;
        }
    }

    /// One page of a list: the first, or the one after a cursor.
    pub async fn page(&self, list: &Call, size: usize, after: Option<&str>) -> Result<Page, ClientError> {
        let call = list.clone().query("page[size]", Some(size)).query("page[after]", after);
        self.send(call).await?.page()
    }

    async fn read(&self, call: &Call, answered: reqwest::Result<Response>) -> Result<Answer, ClientError> {
        let response = answered.map_err(|error| ClientError::of(&error, &self.place))?;
        let (status, location) = (response.status().as_u16(), header(&response, "location"));
        let as_of = header(&response, "tidings-as-of");
        let body = response.bytes().await.map_err(|error| ClientError::of(&error, &self.place))?;
        if (200..300).contains(&status) {
            return Ok(Answer::new(body, as_of));
        }
        Err(ClientError::refused(status, &body, location.as_deref(), call, &self.place))
    }

    fn request(&self, call: &Call) -> Request {
        let mut request = Request::new(call.method().into(), call.url(&self.base));
        *request.headers_mut() = self.headers.clone();
        if let Some(body) = call.body() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        request
    }
}

fn base(url: &Given<String>) -> Result<Url, ClientError> {
    let wrong = || ClientError::BadUrl(url.clone());
    let base = Url::parse(url.value.trim()).map_err(|_| wrong())?;
    let is_plain = base.username().is_empty() && base.password().is_none() && base.query().is_none();
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() || !is_plain {
        return Err(wrong());
    }
    Ok(base)
}

fn headers(place: &Place) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = &place.key {
        let text = format!("Bearer {}", key.value.expose_secret().trim());
        let mut value = HeaderValue::from_str(&text).map_err(|_| ClientError::BadKey(key.origin.clone()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(tenant) = place.tenant
        && let Ok(value) = HeaderValue::from_str(&tenant.to_string())
    {
        headers.insert("tidings-tenant", value);
    }
    Ok(headers)
}

fn header(response: &Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
