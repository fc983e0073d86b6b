//! Connecting to one of several addresses: in turn, each with a head start on the next
//! ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305)), so that a family that leads nowhere costs little.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::DialError;
use crate::net::guard::Guard;

/// Between the beginnings of two attempts.
const HEAD_START: Duration = Duration::from_millis(250);
/// Addresses of one answer that are tried: a name with a thousand must not make Tidings knock at a thousand doors.
const MAX_ADDRESSES: usize = 8;

/// A connected and vetted socket to one of `addresses`, each of which was vetted before.
pub(super) async fn connect(guard: &Guard, addresses: Vec<IpAddr>, port: u16) -> Result<TcpStream, DialError> {
    let mut waiting = families_in_turn(addresses).into_iter().take(MAX_ADDRESSES);
    let mut under_way = FuturesUnordered::new();
    let mut failed = DialError::Connect(io::ErrorKind::AddrNotAvailable.into());
    loop {
        match waiting.next() {
            Some(address) => under_way.push(connect_one(guard, SocketAddr::new(address, port))),
            None if under_way.is_empty() => return Err(failed),
            None => {}
        }
        match timeout(HEAD_START, under_way.next()).await {
            Ok(Some(Ok(socket))) => return Ok(socket),
            // A policy that refuses is never outvoted by another address.
            Ok(Some(Err(blocked @ DialError::Blocked(_)))) => return Err(blocked),
            Ok(Some(Err(error))) => failed = error,
            Ok(None) | Err(_) => {}
        }
    }
}

async fn connect_one(guard: &Guard, address: SocketAddr) -> Result<TcpStream, DialError> {
    let socket = TcpStream::connect(address).await.map_err(DialError::Connect)?;
    let local = socket.local_addr().map_err(DialError::Connect)?;
    let peer = socket.peer_addr().map_err(DialError::Connect)?;
    guard.check_connection(address, local, peer)?;
    // A connection that ended meanwhile says so at its first use.
    let _ = socket.set_nodelay(true);
    Ok(socket)
}

/// The order of the answer, but with the two families taking turns.
fn families_in_turn(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_family = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_family);
    let mut in_turn = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return in_turn;
        }
        in_turn.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Config;

    #[test]
    fn families_take_turns_beginning_with_the_answers_first() {
        let parse = |text: &str| text.split(' ').map(|one| one.parse().expect(one)).collect::<Vec<IpAddr>>();
        assert_eq!(families_in_turn(parse("::1 ::2 ::3 1.1.1.1")), parse("::1 1.1.1.1 ::2 ::3"));
        assert_eq!(families_in_turn(parse("1.1.1.1 2.2.2.2 ::1")), parse("1.1.1.1 ::1 2.2.2.2"));
        assert_eq!(families_in_turn(Vec::new()), Vec::<IpAddr>::new());
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_followed_by_the_next_and_the_last_error_is_told() {
        let guard = Guard::new(&Config { allow: vec!["127.0.0.0/8".parse().expect("a network")], ..Config::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let addresses = |last: [u8; 4]| vec![[127, 0, 0, 3].into(), [127, 0, 0, 4].into(), last.into()];
        let socket = connect(&guard, addresses([127, 0, 0, 2]), port).await.expect("a connection");
        assert_eq!(socket.peer_addr().expect("a peer").ip(), IpAddr::from([127, 0, 0, 2]));
        let error = connect(&guard, addresses([127, 0, 0, 5]), port).await.expect_err("nobody there");
        assert!(matches!(&error, DialError::Connect(io) if io.kind() == io::ErrorKind::ConnectionRefused), "{error:?}");
    }

    #[tokio::test]
    async fn a_socket_that_leads_to_a_forbidden_address_is_not_handed_on() {
        let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let strict = Guard::new(&Config::default());
        let refused = connect(&strict, vec![[127, 0, 0, 2].into()], port).await.expect_err("loopback");
        assert!(matches!(refused, DialError::Blocked(_)), "{refused:?}");
        let (mut socket, _) = listener.accept().await.expect("it was connected to");
        let read = tokio::io::AsyncReadExt::read(&mut socket, &mut [0; 1]).await;
        assert_eq!(read.expect("an end"), 0, "and ended before a byte was written");
    }
}
