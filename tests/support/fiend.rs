//! Receivers that cost whoever sends to them as much as they can, for as long as the connection stands.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Between two pieces of a flood: the machine that the flood is made on has others to serve.
const BREATH: Duration = Duration::from_millis(20);
const DRIP: Duration = Duration::from_millis(100);

/// What a receiver does after it has read a request: how it begins, what it then sends for ever, how often.
#[derive(Debug, Clone, Copy)]
pub struct Fiend {
    begins: &'static str,
    repeats: &'static [u8],
    pause: Duration,
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\n";
static LARGE: [u8; 16_384] = [b'x'; 16_384];
static HEADERS: [[u8; 64]; 64] = [*b"x-flood: 01234567890123456789012345678901234567890123456789012\r\n"; 64];

pub const ALL: [Fiend; 10] = [
    // Is silent.
    Fiend { begins: "", repeats: b"", pause: DRIP },
    // Drips its status line.
    Fiend { begins: "HTTP/1.1 200 ", repeats: b"O", pause: DRIP },
    // Drips headers.
    Fiend { begins: OK, repeats: b"a: b\r\n", pause: DRIP },
    // Drips a body.
    Fiend { begins: "HTTP/1.1 200 OK\r\n\r\n", repeats: b"x", pause: DRIP },
    // Sends an endless body.
    Fiend { begins: "HTTP/1.1 500 No\r\n\r\n", repeats: &LARGE, pause: BREATH },
    // Sends endless chunks.
    Fiend { begins: CHUNKED, repeats: b"1\r\nx\r\n", pause: BREATH },
    // Never ends a chunk's extension.
    Fiend { begins: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;", repeats: &LARGE, pause: BREATH },
    // Floods with headers.
    Fiend { begins: OK, repeats: HEADERS.as_flattened(), pause: BREATH },
    // Never ends a header.
    Fiend { begins: "HTTP/1.1 200 OK\r\nx: ", repeats: &LARGE, pause: BREATH },
    // Floods with 1xx.
    Fiend { begins: "", repeats: b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", pause: BREATH },
];

impl Fiend {
    /// Its URL; it goes on until the runtime ends.
    pub async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.torment(stream));
            }
        });
        url
    }

    async fn torment(self, mut stream: TcpStream) -> std::io::Result<()> {
        let _some_of_it = stream.read(&mut [0; 4_096]).await?;
        stream.write_all(self.begins.as_bytes()).await?;
        let mut nothing = [0; 1];
        while self.repeats.is_empty() {
            if stream.read(&mut nothing).await? == 0 {
                return Ok(());
            }
        }
        loop {
            stream.write_all(self.repeats).await?;
            sleep(self.pause).await;
        }
    }
}
