//! A host to vetted addresses: what this gives is what gets dialled, so a name that changes its answer later gains nothing.

use std::io;
use std::net::IpAddr;

use super::DialError;
use super::lookup::Lookup;
use crate::net::guard::{Guard, is_local_name};

/// The addresses to dial for a host, which is a name or an address.
pub(super) async fn addresses(guard: &Guard, lookup: &dyn Lookup, host: &str) -> Result<Vec<IpAddr>, DialError> {
    if let Ok(address) = host.parse() {
        guard.check_address(address)?;
        return Ok(vec![address]);
    }
    if is_local_name(host) {
        guard.check_name(host)?;
        return Ok(guard.loopback());
    }
    let found = match lookup.lookup(host.to_owned()).await {
        Ok(addresses) if addresses.is_empty() => Err(io::Error::new(io::ErrorKind::NotFound, "no addresses")),
        found => found,
    };
    let addresses = found.map_err(|source| DialError::Name { name: host.to_owned(), source })?;
    // One forbidden answer refuses the whole name: an honest name has none, and a choice among answers is a choice the
    // name's owner could steer.
    addresses.iter().try_for_each(|&address| guard.check_address(address))?;
    Ok(addresses)
}
