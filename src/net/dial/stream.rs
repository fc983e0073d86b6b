//! A connection, its age and its end.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{CaptureConnection, Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

/// A connection older than this takes no further request: the name is looked up and vetted again. About the time for
/// which names in use are commonly kept; a TLS handshake a minute costs nothing.
pub(in crate::net) const MAX_AGE: Duration = Duration::from_mins(1);

/// A connection to a vetted address.
pub(in crate::net) struct Stream {
    io: Box<dyn Io>,
    is_http2: bool,
    since: Instant,
}

trait Io: Read + Write + Send + Unpin {}

impl<T: Read + Write + Send + Unpin> Io for T {}

/// When a connection began, kept with it in the pool.
#[derive(Debug, Clone, Copy)]
struct Since(Instant);

impl Stream {
    pub(super) fn plain(socket: TcpStream) -> Self {
        Self { io: Box::new(TokioIo::new(socket)), is_http2: false, since: Instant::now() }
    }

    pub(super) fn secure(stream: TlsStream<TcpStream>) -> Self {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Self { io: Box::new(TokioIo::new(stream)), is_http2, since: Instant::now() }
    }
}

/// Takes the connection of a request that has ended out of the pool, if it is older than `max_age`, or did not get the
/// request answered: an HTTP/2 connection would otherwise go on with a receiver that is silent, or that does not stop talking.
pub(in crate::net) fn retire(connection: &CaptureConnection, answered: bool, max_age: Duration) {
    let connection = connection.connection_metadata();
    let Some(connection) = connection.as_ref() else { return };
    let mut extras = Extensions::new();
    connection.get_extras(&mut extras);
    let is_old = extras.get::<Since>().is_none_or(|since| since.0.elapsed() > max_age);
    if is_old || !answered {
        connection.poison();
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(Since(self.since));
        if self.is_http2 { connected.negotiated_h2() } else { connected }
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write_vectored(cx, bytes)
    }
}
