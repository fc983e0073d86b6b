//! A listener for every address there is: it notes where each connection was really meant to go, and answers as a receiver.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Connections by their destination, and how many of them carried a request.
#[derive(Clone, Default)]
pub struct Honeypot {
    seen: Arc<Mutex<HashMap<IpAddr, Visits>>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Visits {
    pub connections: usize,
    pub requests: usize,
}

impl Honeypot {
    /// Listens on these ports of every address.
    pub async fn start(ports: &[u16]) -> Self {
        let honeypot = Self::default();
        for &port in ports {
            // Takes IPv4 as well.
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await.expect("a free port");
            let honeypot = honeypot.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(honeypot.clone().visit(stream));
                }
            });
        }
        honeypot
    }

    pub fn seen(&self) -> HashMap<IpAddr, Visits> {
        self.seen.lock().unwrap().clone()
    }

    fn note(&self, address: IpAddr, note: fn(&mut Visits)) {
        note(self.seen.lock().unwrap().entry(address).or_default());
    }

    async fn visit(self, mut stream: TcpStream) {
        let Ok(destination) = stream.local_addr() else { return };
        let destination = destination.ip().to_canonical();
        self.note(destination, |visits| visits.connections += 1);
        let Some(request) = read(&mut stream).await else { return };
        self.note(destination, |visits| visits.requests += 1);
        let answer = answer(&request);
        let head = format!("HTTP/1.1 {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", answer.0, answer.1.len());
        let _ = stream.write_all((head + &answer.1).as_bytes()).await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.ok()? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(text.into_owned());
        }
    }
    None
}

/// Status and headers, and body: a redirect into the cloud's inside where the path asks for it, a challenge answered.
fn answer(request: &str) -> (&'static str, String) {
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or_default();
    if head.starts_with("POST /redirect") {
        return ("307 Go\r\nlocation: http://169.254.169.254:8000/latest/meta-data", String::new());
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    ("200 OK", body["challenge"].as_str().unwrap_or_default().to_owned())
}
