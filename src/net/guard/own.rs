//! The addresses of this host's interfaces, whatever networks they are in.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

/// How long a list of addresses is good for. An address that came up meanwhile is found out by [`is_to_itself`].
const FRESH: Duration = Duration::from_secs(2);

/// The host's own addresses, as of a moment ago.
#[derive(Debug, Default)]
pub(super) struct Own(Mutex<Option<Seen>>);

#[derive(Debug)]
struct Seen {
    at: Instant,
    addresses: Vec<IpAddr>,
}

impl Own {
    /// Whether an interface of this host bears `address`.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_none_or(|seen| seen.at.elapsed() > FRESH) {
            // Where the system does not tell, what it told before is as good as anything.
            let known = seen.take().map(|seen| seen.addresses).unwrap_or_default();
            *seen = Some(Seen { at: Instant::now(), addresses: look().unwrap_or(known) });
        }
        seen.as_ref().is_some_and(|seen| seen.addresses.contains(&address))
    }
}

fn look() -> nix::Result<Vec<IpAddr>> {
    Ok(getifaddrs()?.filter_map(|interface| ip(interface.address?)).collect())
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
    v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
}

/// Whether a connection begins and ends at the same address, as those within a host do.
pub(super) fn is_to_itself(local: SocketAddr, peer: SocketAddr) -> bool {
    local.ip() == peer.ip()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn an_interfaces_address_is_own_and_its_neighbours_are_not() {
        let own = Own::default();
        for _ in 0..2 {
            assert!(own.has(Ipv4Addr::LOCALHOST.into()));
            assert!(!own.has(Ipv4Addr::new(127, 0, 0, 2).into()));
        }
    }

    #[test]
    fn a_list_that_is_old_is_looked_up_again() {
        let own = Own::default();
        let address = IpAddr::from([198, 51, 100, 77]);
        let at = |age: Duration| Instant::now().checked_sub(age).expect("a host that has been up for a while");
        *own.0.lock().expect("unpoisoned") = Some(Seen { at: at(FRESH / 2), addresses: vec![address] });
        assert!(own.has(address));
        *own.0.lock().expect("unpoisoned") = Some(Seen { at: at(FRESH * 2), addresses: vec![address] });
        assert!(!own.has(address));
    }
}
