//! The server as seen from outside: what its file `postmaster.pid` says, and whether that is still true.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::EmbeddedError;

/// The file in Postgres' data folder.
pub(super) const PID_FILE: &str = "postmaster.pid";

/// What a running server writes into `postmaster.pid`, as far as it has come: line 1, 4 and 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: u32,
    pub(super) port: Option<u16>,
    pub(super) ready: bool,
}

/// Which program runs under a process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// The Postgres of this folder, or one of whom the system does not tell.
    Postgres,
    /// Certainly another one: the id was given out again.
    Another,
    /// None.
    Nobody,
}

impl Postmaster {
    /// Reads the file; none where there is no server, or hardly one.
    pub(super) fn read(postgres: &Path) -> Result<Option<Self>, EmbeddedError> {
        let path = postgres.join(PID_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(EmbeddedError::io("read", &path)(error)),
        }
    }

    /// The server of this folder, if it lives.
    pub(super) fn live(postgres: &Path) -> Result<Option<Self>, EmbeddedError> {
        let named = Self::read(postgres)?;
        Ok(named.filter(|postmaster| holder(postmaster.pid, postgres) == Holder::Postgres))
    }

    fn parse(text: &str) -> Option<Self> {
        let line = |number: usize| text.lines().nth(number - 1).map(str::trim);
        // Process ids below 2 are init and "every process of my group": never a server, and never to be signalled.
        let pid = line(1)?.parse().ok().filter(|pid| *pid > 1)?;
        let port = line(4).and_then(|port| port.parse().ok());
        Some(Self { pid, port, ready: line(8) == Some("ready") })
    }

    /// The port, once the server is ready and answers there. The question is the protocol's "do you speak TLS?",
    /// to which only Postgres answers N or S: another program on the same port is not taken for it.
    pub(super) async fn answers(&self) -> Option<u16> {
        const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
        let port = self.port.filter(|_| self.ready)?;
        let ask = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
            stream.write_all(&SSL_REQUEST).await?;
            stream.read_u8().await
        };
        let answer = tokio::time::timeout(Duration::from_secs(2), ask).await.ok()?.ok()?;
        matches!(answer, b'N' | b'S').then_some(port)
    }
}

/// Who runs under the id. The server's command line names its folder; its children's do not. (Where its working
/// folder points would be a shorter proof, but root may not see that in a container without `SYS_PTRACE`.)
pub(super) fn holder(pid: u32, postgres: &Path) -> Holder {
    match command_line(pid) {
        Ok(line) if line.is_empty() => Holder::Nobody,
        Ok(line) if line.windows(2).any(|pair| pair[0] == "-D" && Path::new(&pair[1]) == postgres) => Holder::Postgres,
        Ok(_) => Holder::Another,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Holder::Nobody,
        // ESRCH: it ended while being read.
        Err(error) if error.raw_os_error() == Some(3) => Holder::Nobody,
        Err(_) => Holder::Postgres,
    }
}

/// The arguments of a process; empty for one that has ended and was not yet reaped.
#[cfg(target_os = "linux")]
fn command_line(pid: u32) -> io::Result<Vec<String>> {
    let text = fs::read(format!("/proc/{pid}/cmdline"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.split_terminator('\0').map(str::to_owned).collect())
}

/// The arguments of a process, as far as `ps` keeps them apart: a folder with a space in it is not recognised.
#[cfg(not(target_os = "linux"))]
fn command_line(pid: u32) -> io::Result<Vec<String>> {
    let output = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/data/postgres\n1700000000\n54321\n\n127.0.0.1\n   1234567    65538\nready   \n";

    #[test]
    fn a_pid_file_is_read_as_far_as_it_is_written() {
        let ready = Postmaster { pid: 4711, port: Some(54321), ready: true };
        assert_eq!(Postmaster::parse(READY), Some(ready));
        assert_eq!(
            Postmaster::parse(&READY.replace("ready   ", "starting")),
            Some(Postmaster { ready: false, ..ready })
        );
        assert_eq!(
            Postmaster::parse(&READY.replace("ready   ", "stopping")),
            Some(Postmaster { ready: false, ..ready })
        );
        let begun = Postmaster { pid: 4711, port: None, ready: false };
        assert_eq!(Postmaster::parse("4711\n/data/postgres\n1700000000\n"), Some(begun));
    }

    #[test]
    fn nonsense_names_no_process() {
        for text in ["", "\n", "postgres\n", "-4711\n", "0\n", "1\n"] {
            assert_eq!(Postmaster::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn another_program_under_the_id_is_not_taken_for_the_server() {
        let folder = Path::new("/nowhere/postgres");
        assert_eq!(holder(std::process::id(), folder), Holder::Another);
        assert_eq!(holder(u32::MAX / 2, folder), Holder::Nobody);
    }

    #[tokio::test]
    async fn a_port_where_another_program_listens_does_not_answer() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serve = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a guest");
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("an answer");
        });
        assert_eq!(Postmaster { pid: 4711, port: Some(port), ready: true }.answers().await, None);
        serve.await.expect("served");
    }
}
