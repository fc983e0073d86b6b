//! Connections that serve again.
//!
//! An HTTP/1 connection is out of the pool while a request has it. It has no task of its own: whoever waits for the answer drives it,
//! which spares two switches of task for each request. An HTTP/2 connection stays in the pool, for others to share.
//!
//! | file | does |
//! |---|---|
//! | `kept` | what is kept, and for how long |
//! | `http1` | a connection for one request after another, driven by whoever waits |
//! | `http2` | a connection for many at once, with a task of its own |
//!
//! ```text
//!  kept ──▶ a request has it ──▶ its answer was read, and it waits for the next ──▶ kept
//!    │              └──▶ anything else: closed
//!    └──▶ old, idle for long, or ended by the receiver: closed
//! ```

mod http1;
mod http2;
mod kept;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::header::{HOST, HeaderMap};
use hyper::{Method, Response};

use self::http1::Http1;
use self::http2::Http2;
use self::kept::Kept;
use super::dial::{DialError, Dialer};
use super::target::{Origin, Target};

/// A connection older than this takes no further request: the name is looked up and vetted again. About the time for
/// which names in use are commonly kept; a TLS handshake a minute costs nothing.
pub(super) const MAX_AGE: Duration = Duration::from_mins(1);
/// Bytes of an answer's headers at most.
const MAX_HEADERS: u32 = 64 * 1024;

/// A request as the HTTP library has it.
pub(super) type Post = hyper::Request<Full<Bytes>>;
/// What hindered a request.
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Whether a request shall be sent still.
pub(super) type Wanted<'a> = &'a (dyn Fn() -> bool + Sync);

/// Makes connections, and keeps them.
pub(super) struct Pool {
    dialer: Dialer,
    pub(super) kept: Arc<Kept>,
}

/// A connection that a request has got.
pub(super) enum Connection {
    /// For itself.
    Own(Box<Http1>),
    /// Together with others.
    Shared(Http2),
}

impl Pool {
    /// Connections serve again until they are of this age.
    pub(super) fn new(dialer: Dialer, max_age: Duration) -> Self {
        Self { dialer, kept: Kept::new(max_age) }
    }

    /// Sends a request, at most once, and gives back the head of its answer, with the connection that the rest comes on. `None` where it is
    /// not wanted any more when there is a connection: to make one may take seconds.
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
            let mut failed = match connection.send(target, headers, body.clone()).await {
                Ok(response) => return Ok(Some((response, connection))),
                Err(failed) => failed,
            };
            // The receiver closed the connection while nothing was under way: nothing of this request was sent either.
            match failed.take_message() {
                Some(unsent) if is_used => headers = unsent.into_parts().0.headers,
                _ => return Err(failed.into_error().into()),
            }
        }
    }

    /// Takes back the connection of a request whose answer was read.
    pub(super) fn keep(&self, target: &Target, connection: Connection) {
        match connection {
            Connection::Shared(mut shared) => shared.answered(),
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
        let shared = Http2::new(stream).await?;
        self.kept.share(origin, shared.clone());
        Ok((Connection::Shared(shared), false))
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
    ) -> Result<Response<Incoming>, TrySendError<Post>> {
        let mut post = hyper::Request::new(Full::new(body));
        *post.method_mut() = Method::POST;
        match self {
            Self::Own(own) => {
                headers.insert(HOST, target.host().clone());
                *post.uri_mut() = target.path().clone();
                *post.headers_mut() = headers;
                own.send(post).await
            }
            Self::Shared(shared) => {
                // From a connection of its own, which was closed before it was sent.
                headers.remove(HOST);
                *post.uri_mut() = target.uri().clone();
                *post.headers_mut() = headers;
                shared.send(post).await
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
