//! A receiver that plays a script on every connection: all the misbehaviour that an HTTP library would not let out.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a receiver does next on a connection.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Waits for a whole request and keeps it.
    Read,
    /// Waits until something arrives, whatever it is.
    ReadSome,
    /// Sends these bytes.
    Write(Vec<u8>),
    /// Sends these bytes again and again, with a pause between.
    Repeat(&'static [u8], Duration),
    /// Waits for so long.
    Pause(Duration),
    /// Does nothing more and keeps the connection open.
    Hang,
    /// Ends the connection with a RST.
    Reset,
    /// Goes on from the first step, on the same connection.
    Again,
}

/// A script of [`Step::Read`] and one answer.
pub(super) fn answers(bytes: impl AsRef<[u8]>) -> Vec<Step> {
    vec![Step::Read, Step::Write(bytes.as_ref().to_vec())]
}

/// What has been seen, over all connections.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) requests: Vec<String>,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Mutex<Seen>>,
    accepting: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Receiver {
    pub(super) async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().expect("seen").connections += 1;
                tokio::spawn(serve(stream, script.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, seen, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.lock().expect("seen").connections
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("seen").requests.clone()
    }
}

async fn serve(mut stream: TcpStream, script: Vec<Step>, seen: Arc<Mutex<Seen>>) {
    while let Ok(Some(Step::Again)) = play(&mut stream, &script, &seen).await {}
    if script.iter().any(|step| matches!(step, Step::Reset)) {
        let _ = stream.set_zero_linger();
    }
}

/// Plays a script once and gives back its last step; an error ends it, as the client has gone.
pub(super) async fn play<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    script: &[Step],
    seen: &Mutex<Seen>,
) -> std::io::Result<Option<Step>> {
    for step in script {
        match step {
            Step::Read => {
                let request = read_request(stream).await?;
                seen.lock().expect("seen").requests.push(request);
            }
            Step::ReadSome => drop(stream.read(&mut [0; 4_096]).await?),
            Step::Write(bytes) => stream.write_all(bytes).await?,
            Step::Repeat(bytes, pause) => loop {
                stream.write_all(bytes).await?;
                if pause.is_zero() { tokio::task::yield_now().await } else { tokio::time::sleep(*pause).await }
            },
            Step::Pause(pause) => tokio::time::sleep(*pause).await,
            Step::Hang => std::future::pending().await,
            Step::Reset | Step::Again => {}
        }
    }
    stream.flush().await?;
    Ok(script.last().cloned())
}

/// Reads a head and as many bytes of body as `content-length` says.
async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                return Ok(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}
