//! A receiver: it verifies what arrives as a customer's server should, and answers as it is told to.
//!
//! It stands at the other end of the wire from everything else here, so its one handler is no part of the API; axum
//! serves it because axum is here anyway.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::dialect::{Glance, Keys, Profile, VerifyError};
use crate::domain::clock::Clock;

/// Bytes of a body at most; events are smaller.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// How old a signed time may be.
const TOLERANCE: Duration = Duration::from_mins(5);

/// Who is believed.
#[derive(Debug, Clone)]
pub struct Judge {
    /// The wire language.
    pub profile: Arc<Profile>,
    /// What signs; without it nothing can be verified.
    pub keys: Option<Keys>,
    /// The time, which signed times are compared with.
    pub clock: Clock,
}

/// How it answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Behaviour {
    /// Always with this status; `None` is 200 for what is verified or cannot be, 401 for what is not to be trusted.
    pub status: Option<StatusCode>,
    /// After this long.
    pub delay: Duration,
    /// Never.
    pub hang: bool,
}

/// What is known of a request's sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds the secret.
    Verified,
    /// There is no secret to verify it with.
    Unverified,
    /// It does not hold the secret, or the request was tampered with or is old.
    Rejected(VerifyError),
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// When.
    pub at: DateTime<Utc>,
    /// The path and the query.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The exact bytes.
    pub body: Bytes,
    /// What it says it is.
    pub says: Glance,
    /// Whether to believe it.
    pub verdict: Verdict,
    /// Whether it is a challenge.
    pub is_challenge: bool,
    /// The status it is answered with; `None` is no answer.
    pub status: Option<StatusCode>,
}

/// A socket that listens and is not served yet: its address is known before there is a secret.
#[derive(Debug)]
pub struct Receiver {
    listener: TcpListener,
    address: SocketAddr,
}

struct Desk {
    judge: Judge,
    behaviour: Behaviour,
    on_receipt: Box<dyn Fn(Receipt) + Send + Sync>,
}

impl Receiver {
    /// Listens; port 0 is any free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Receives until told to stop. `on_receipt` is called before the answer goes out.
    pub async fn serve(
        self,
        judge: Judge,
        behaviour: Behaviour,
        on_receipt: impl Fn(Receipt) + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let desk = Arc::new(Desk { judge, behaviour, on_receipt: Box::new(on_receipt) });
        let receiving = axum::serve(self.listener, router(desk));
        // No graceful end: a request that hangs on purpose would hold it up.
        tokio::select! {
            ended = receiving => ended,
            () = shutdown.cancelled() => Ok(()),
        }
    }
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new().fallback(receive).with_state(desk)
}

async fn receive(State(desk): State<Arc<Desk>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        let hint = "A receiver for webhooks: it takes POST requests.\n";
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], hint).into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (receipt, challenge) = desk.judge(parts, body);
    let status = receipt.status;
    (desk.on_receipt)(receipt);
    tokio::time::sleep(desk.behaviour.delay).await;
    match (status, challenge) {
        (None, _) => std::future::pending().await,
        (Some(status), Some(answer)) if status.is_success() => {
            (status, [(header::CONTENT_TYPE, "application/json")], answer).into_response()
        }
        (Some(status), _) => status.into_response(),
    }
}

impl Desk {
    /// What arrived, and the answer that a challenge among it asks for.
    fn judge(&self, parts: Parts, body: Bytes) -> (Receipt, Option<String>) {
        let Judge { profile, keys, clock } = &self.judge;
        let header = |name: &str| {
            let values = parts.headers.get_all(name).iter();
            let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        };
        let verdict = match keys {
            None => Verdict::Unverified,
            Some(keys) => match profile.verify(&header, &body, keys, clock.now(), TOLERANCE) {
                Ok(()) => Verdict::Verified,
                Err(error) => Verdict::Rejected(error),
            },
        };
        let challenge = profile.challenge().and_then(|own| Some(own.answer(&own.recognise(&body)?)));
        let receipt = Receipt {
            at: clock.now(),
            path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            says: profile.glance(&header, &body),
            status: self.behaviour.status_for(&verdict),
            is_challenge: challenge.is_some(),
            headers: parts.headers,
            body,
            verdict,
        };
        (receipt, challenge)
    }
}

impl Behaviour {
    fn status_for(&self, verdict: &Verdict) -> Option<StatusCode> {
        let by_verdict = match verdict {
            Verdict::Rejected(_) => StatusCode::UNAUTHORIZED,
            Verdict::Verified | Verdict::Unverified => StatusCode::OK,
        };
        (!self.hang).then(|| self.status.unwrap_or(by_verdict))
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("behaviour", &self.behaviour).finish_non_exhaustive()
    }
}
