//! `tidings healthcheck`: what a container asks instead of curl, which its image does not have.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::Failure;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/healthz` of the API that this host's configuration describes.
pub(super) fn run(listen: SocketAddr) -> Result<(), Failure> {
    let address = reachable(listen);
    let unwell = |told: String| Failure::told(format!("the API at http://{address} is not well: {told}"));
    let status = ask(address).map_err(|error| unwell(error.to_string()))?;
    if status.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(unwell(format!("it answers {}", status.trim()))) }
}

/// An address to connect to, where the configured one may mean "all".
pub(super) fn reachable(mut listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => listen.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => listen.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listen
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut status = [0; 32];
    let read = stream.read(&mut status)?;
    Ok(String::from_utf8_lossy(&status[..read]).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_all_is_asked_on_this_host() {
        for (listen, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.1:3", "10.0.0.1:3")] {
            assert_eq!(reachable(listen.parse().expect("an address")).to_string(), asked);
        }
    }
}
