//! A producer's connection: HTTP/1.1, kept alive, one request at a time, made anew when it broke. Plain, and to the
//! service itself: what stands in front of it in production is not measured.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cli::bench::wire::Head;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection, once there was a request for it.
#[derive(Debug)]
pub(in crate::cli) struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// What was answered.
#[derive(Debug)]
pub(in crate::cli) struct Answer<'a> {
    /// The status.
    pub(in crate::cli) status: u16,
    /// The body.
    pub(in crate::cli) body: &'a [u8],
}

impl Connection {
    /// Connects with the first request.
    pub(in crate::cli) const fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::new() }
    }

    /// Sends a request and returns its answer. After an error nobody knows what became of the request.
    pub(in crate::cli) async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        // Taken out, so that one that broke, or waits for an answer that nobody wants any more, is not used again.
        let stream = self.stream.take();
        let (address, buffer) = (self.address, &mut self.buffer);
        let exchanged = tokio::time::timeout(PATIENCE, async {
            let mut stream = match stream {
                Some(stream) => stream,
                None => connect(address).await?,
            };
            stream.write_all(request).await?;
            let (head, status) = answer(&mut stream, buffer).await?;
            io::Result::Ok((stream, head, status))
        });
        let (stream, head, status) = exchanged.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let body = &self.buffer[head.end..];
        if !says_close(&self.buffer[..head.end]) {
            self.stream = Some(stream);
        }
        Ok(Answer { status, body })
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one answer into the buffer, and nothing after it, for nothing was asked.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<(Head, u16)> {
    buffer.clear();
    let head = loop {
        if let Some(head) = Head::of(buffer) {
            break head;
        }
        more(stream, buffer).await?;
    };
    let status = std::str::from_utf8(buffer.get(9..12).unwrap_or_default()).ok().and_then(|text| text.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("what answers does not speak HTTP/1.1"))?;
    let is_empty = status == 204;
    let body = head.body.or(is_empty.then_some(0)).ok_or_else(|| {
        io::Error::other("an answer has no Content-Length: name Tidings itself, not a proxy that stands before it")
    })?;
    while buffer.len() < head.end + body {
        more(stream, buffer).await?;
    }
    Ok((head, status))
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn says_close(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').any(|line| line.trim_ascii().eq_ignore_ascii_case(b"connection: close"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_kept_until_it_breaks_and_then_made_anew() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut connection = Connection::new(listener.local_addr().expect("an address"));
        let serve = tokio::spawn(async move {
            let mut guests = 0;
            for answers in [
                &["HTTP/1.1 202 A\r\ncontent-length: 2\r\n\r\n{}", "HTTP/1.1 204 N\r\n\r\n"][..],
                &[],
                &["HTTP/1.1 503 B\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"],
            ] {
                let (mut stream, _) = listener.accept().await.expect("a guest");
                guests += 1;
                for answer in answers {
                    let _ = stream.read(&mut [0; 64]).await.expect("a request");
                    // In two pieces, as a network may.
                    stream.write_all(&answer.as_bytes()[..10]).await.expect("answered");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    stream.write_all(&answer.as_bytes()[10..]).await.expect("answered");
                }
                let _ = stream.read(&mut [0; 1]).await;
            }
            guests
        });
        let first = connection.exchange(b"a").await.expect("an answer");
        assert_eq!((first.status, first.body), (202, &b"{}"[..]));
        assert_eq!(connection.exchange(b"b").await.expect("an answer").status, 204);
        assert!(connection.exchange(b"c").await.is_err(), "the server hung up");
        assert!(connection.exchange(b"d").await.is_err(), "the server hung up at once");
        assert_eq!(connection.exchange(b"e").await.expect("an answer").status, 503);
        assert!(connection.stream.is_none(), "the server said that it would hang up");
        assert_eq!(serve.await.expect("served"), 3);
    }
}
