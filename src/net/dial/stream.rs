//! A connection, in whatever it is wrapped.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

/// A connection to a vetted address.
pub(in crate::net) struct Stream {
    io: Box<dyn Io>,
    /// Whether the two sides agreed on HTTP/2.
    pub(in crate::net) is_http2: bool,
    /// When it began.
    pub(in crate::net) since: Instant,
    /// How much the receiver may say.
    pub(in crate::net) allowance: Allowance,
}

/// How many more bytes are read before reading fails. Clones share it, so that whoever handed the stream on can change it; it begins
/// without a limit.
#[derive(Clone)]
pub(in crate::net) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    /// This many from now on. Whoever reads counts them, and is also the one that sets them: no ordering among threads is needed.
    pub(in crate::net) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// No limit from now on.
    pub(in crate::net) fn lift(&self) {
        self.set(usize::MAX);
    }

    fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Stream {
    pub(super) fn plain(socket: TcpStream) -> Self {
        Self::new(Box::new(socket), false)
    }

    pub(super) fn secure(stream: TlsStream<TcpStream>) -> Self {
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Self::new(Box::new(stream), is_http2)
    }

    fn new(io: Box<dyn Io>, is_http2: bool) -> Self {
        Self { io, is_http2, since: Instant::now(), allowance: Allowance(Arc::new(usize::MAX.into())) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = self.allowance.left();
        if left == 0 {
            let story = "the receiver has said too much before its answer";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, story)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut *self.io).poll_read(cx, buffer))?;
        if left < usize::MAX {
            self.allowance.set(left.saturating_sub(buffer.filled().len() - before));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
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
