//! The receivers of a bench, in a process of their own so that their CPU is nobody else's: `tidings bench-receiver`.
//!
//! The first line of its standard output is its address; [`Record`]s follow. It ends when its standard input closes.
//! A path says how a request is answered, and which webhook it came to: `/taken/7`, `/refused/7`, `/hanging/7`.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::load::Behaviour;
use super::wire::{Head, Record, Token, now_ns};
use crate::cli::{Failure, lifeline};

/// Between two writes of records: far below what the figures show.
const FLUSH: Duration = Duration::from_millis(5);

const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const REFUSED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";

/// What the receivers are told.
#[derive(Debug, Args)]
pub(in crate::cli) struct Options {
    /// The address to listen on, any free port
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
}

type Records = Arc<Mutex<Vec<u8>>>;

/// Receives until its parent is gone.
pub(in crate::cli) async fn run(options: Options, shutdown: CancellationToken) -> Result<(), Failure> {
    let listener = TcpListener::bind(SocketAddr::new(options.host, 0)).await?;
    say!("{}", listener.local_addr()?);
    lifeline::watch(shutdown.clone());
    let records = Records::default();
    let flushing = Arc::clone(&records);
    thread::spawn(move || flush(&flushing));
    shutdown.run_until_cancelled(accept(listener, records)).await;
    Ok(())
}

async fn accept(listener: TcpListener, records: Records) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // No file descriptor is left; some will be.
            tokio::time::sleep(FLUSH).await;
            continue;
        };
        let records = Arc::clone(&records);
        tokio::spawn(async move { drop(converse(stream, &records).await) });
    }
}

/// Answers the requests of one connection.
async fn converse(mut stream: TcpStream, records: &Mutex<Vec<u8>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let head = loop {
            match Head::of(&buffer) {
                Some(head) => break head,
                None if stream.read_buf(&mut buffer).await? == 0 => return Ok(()),
                None => {}
            }
        };
        let end = head.end + head.body.unwrap_or(0);
        while buffer.len() < end {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        let arrived_ns = now_ns();
        let (behaviour, webhook) = path(&buffer[..head.end]);
        if let Some(token) = Token::find(&buffer[head.end..end]) {
            let is_taken = behaviour == Behaviour::Taking;
            let record = Record { token, webhook, is_taken, arrived_ns };
            records.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&record.bytes());
        }
        match behaviour {
            Behaviour::Taking => stream.write_all(TAKEN).await?,
            Behaviour::Refusing => stream.write_all(REFUSED).await?,
            // Until the sender gives up.
            Behaviour::Hanging => while stream.read(&mut [0; 64]).await? > 0 {},
        }
        buffer.drain(..end);
    }
}

/// How to answer, and the webhook, as the request line says.
fn path(head: &[u8]) -> (Behaviour, u16) {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let path = std::str::from_utf8(line).ok().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let (word, webhook) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    (Behaviour::parse(word).unwrap_or(Behaviour::Taking), webhook.parse().unwrap_or_default())
}

/// Writes what was noted, for as long as somebody reads it.
fn flush(records: &Mutex<Vec<u8>>) {
    let mut output = io::stdout();
    loop {
        thread::sleep(FLUSH);
        let noted = std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
        if output.write_all(&noted).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_how_to_answer_and_for_whom() {
        assert_eq!(path(b"POST /hanging/17 HTTP/1.1\r\nHost: x\r\n\r\n"), (Behaviour::Hanging, 17));
        assert_eq!(path(b"POST / HTTP/1.1\r\n\r\n"), (Behaviour::Taking, 0));
    }

    #[tokio::test]
    async fn requests_on_one_connection_are_answered_and_noted_one_by_one() {
        let (listener, records) = (TcpListener::bind("127.0.0.1:0").await.expect("a port"), Records::default());
        let mut stream = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        tokio::spawn(accept(listener, Arc::clone(&records)));
        let mut body = [b' '; Token::LEN];
        let token = |number| Token { run: 1, flow: 0, number, sent_ns: 5 };
        for (number, word, status) in [(0, "taken", "200"), (1, "refused", "500")] {
            token(number).write(&mut body);
            let head = format!("POST /{word}/3 HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.expect("sent");
            stream.write_all(&body).await.expect("sent");
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.expect("an answer");
            assert!(answer.ends_with(status.as_bytes()));
            let mut rest = [0; 256];
            let _ = stream.read(&mut rest).await.expect("the rest");
        }
        let noted = records.lock().expect("a lock").clone();
        let noted: Vec<_> = noted.as_chunks().0.iter().map(Record::read).collect();
        let told: Vec<_> = noted.iter().map(|record| (record.token, record.webhook, record.is_taken)).collect();
        assert_eq!(told, [(token(0), 3, true), (token(1), 3, false)]);
    }
}
