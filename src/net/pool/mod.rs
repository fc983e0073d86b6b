//! Connections that are used again.
//!
//! An HTTP/1 connection is out of the pool while a request has it. It has no task of its own: whoever waits for the answer drives it,
//! which saves two task switches for each request. An HTTP/2 connection stays in the pool, for others to share, up to so many at once.
//!
//! | file | does |
//! |---|---|
//! | `kept` | what is kept, and for how long |
//! | `http1` | a connection for one request after another, driven by whoever waits |
//! | `http2`, `tasks` | a connection for many at once, with tasks of its own |
//! | `closing` | how long a connection may take to end, and how many may |
//!
//! ```text
//!  kept ──▶ a request has it ──▶ its answer was read, and it waits for the next ──▶ kept
//!    │              └──▶ anything else: closed
//!    └──▶ old, idle for long, or ended by the receiver: closed
//! ```

mod closing;
mod http1;
mod http2;
mod kept;
mod tasks;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::header::{HOST, HeaderMap};
use hyper::{Method, Request, Response, Uri};

use self::closing::Closing;
use self::http1::Http1;
use self::http2::{Http2, Place};
use self::kept::Kept;
use super::dial::{DialError, Dialer};
use super::target::{Origin, Target};

/// A connection older than this takes no further request: the name is looked up and vetted again. About the time for
/// which names in use are commonly kept; a TLS handshake a minute costs nothing.
pub(super) const MAX_AGE: Duration = Duration::from_mins(1);
/// Bytes of an answer's headers at most.
const MAX_HEADERS: u32 = 64 * 1024;

/// What hindered a request.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Whether a request is still to be sent.
pub(super) type Wanted<'a> = &'a (dyn Fn() -> bool + Sync);

/// Makes connections, and keeps them.
pub(super) struct Pool {
    dialer: Dialer,
    pub(super) kept: Arc<Kept>,
    closing: Closing,
}

/// A connection that a request has got.
pub(super) enum Connection {
    /// For itself.
    Own(Box<Http1>),
    /// Together with others.
    Shared(Place),
}

/// What failed, with the request's headers if nothing of it was sent.
struct Failed {
    error: hyper::Error,
    unsent: Option<HeaderMap>,
}

impl Pool {
    /// Connections are used again until they are this old.
    pub(super) fn new(dialer: Dialer, max_age: Duration) -> Self {
        let closing = Closing::new();
        Self { dialer, kept: Kept::new(max_age, closing.clone()), closing }
    }

    /// Sends a request, at most once, and gives back the head of its answer, with the connection that the rest comes on. `None` if it is no
    /// longer wanted once there is a connection: making one may take seconds.
    pub(super) async fn send(
        &self,
        target: &Target,
        mut headers: HeaderMap,
        body: Bytes,
        is_wanted: Wanted<'_>,
    ) -> Result<Option<(Response<Incoming>, Connection)>, Failure> {
        loop {
            let (mut connection, is_used) = self.connection(target).await?;
            if !is_wanted() {
                return Ok(None);
            }
            let failed = match connection.send(target, headers, body.clone()).await {
                Ok(response) => return Ok(Some((response, connection))),
                Err(failed) => failed,
            };
            // The receiver closed the connection while nothing was under way: nothing of this request was sent either.
            match failed.unsent {
                Some(unsent) if is_used => headers = unsent,
                _ => return Err(failed.error.into()),
            }
        }
    }

    /// Takes back the connection of a request whose answer was read.
    pub(super) fn keep(&self, target: &Target, connection: Connection) {
        match connection {
            Connection::Shared(place) => {
                if !place.answered() {
                    self.kept.tidy(target.origin());
                }
            }
            Connection::Own(own) => self.kept.keep(target.origin(), own),
        }
    }

    /// A connection, and whether it served before.
    async fn connection(&self, target: &Target) -> Result<(Connection, bool), Failure> {
        let origin = target.origin();
        if let Some(kept) = self.kept_connection(origin) {
            return Ok((kept, true));
        }
        let stream = match self.dialer.dial(target.uri()).await {
            Ok(stream) => stream,
            Err(blocked @ DialError::Blocked(_)) => return Err(blocked.into()),
            // One that serves another request may have become free.
            Err(error) => return self.kept_connection(origin).map(|kept| (kept, true)).ok_or_else(|| error.into()),
        };
        if !stream.is_http2 {
            return Ok((Connection::Own(Http1::new(stream).await?), false));
        }
        // Others, who dialled at the same time, may have been faster.
        if let Some(shared) = self.kept.shared(origin) {
            return Ok((Connection::Shared(shared), true));
        }
        let shared = Http2::new(stream, self.closing.clone()).await?;
        let place = shared.place();
        self.kept.share(origin, shared);
        Ok((Connection::Shared(place), false))
    }

    fn kept_connection(&self, origin: &Origin) -> Option<Connection> {
        let own = self.kept.own(origin).map(Connection::Own);
        own.or_else(|| self.kept.shared(origin).map(Connection::Shared))
    }
}

impl Connection {
    async fn send(
        &mut self,
        target: &Target,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Incoming>, Failed> {
        match self {
            Self::Own(own) => {
                headers.insert(HOST, target.host().clone());
                own.send(target, headers, body).await
            }
            Self::Shared(place) => {
                // From a connection of its own, which was closed before it was sent.
                headers.remove(HOST);
                place.send(target, headers, body).await
            }
        }
    }

    /// Waits for what comes on the connection.
    pub(super) async fn drive<F: Future>(&mut self, waiting: F) -> F::Output {
        match self {
            Self::Own(own) => own.drive(waiting).await,
            Self::Shared(_) => waiting.await,
        }
    }
}

/// A request as the HTTP library has it.
fn post<B: Buf>(uri: &Uri, headers: HeaderMap, body: B) -> Request<Full<B>> {
    let mut post = Request::new(Full::new(body));
    (*post.method_mut(), *post.uri_mut(), *post.headers_mut()) = (Method::POST, uri.clone(), headers);
    post
}

impl<B> From<TrySendError<Request<B>>> for Failed {
    fn from(mut failed: TrySendError<Request<B>>) -> Self {
        let unsent = failed.take_message().map(|unsent| unsent.into_parts().0.headers);
        Self { error: failed.into_error(), unsent }
    }
}
