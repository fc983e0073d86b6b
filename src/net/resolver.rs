//! Names to vetted addresses: what this hands to the connector is what gets connected to, so a name that changes its
//! answer later gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Guard, is_local_name};
use super::lookup::Lookup;

/// A name that could not be resolved.
#[derive(Debug, thiserror::Error)]
#[error("the name `{name}` does not resolve")]
pub(super) struct DnsFailure {
    name: String,
    source: io::Error,
}

/// The resolver that the HTTP client is given. It never sees literal addresses: [`super::target::Target::check`] does.
pub(super) struct Vetting<L> {
    guard: Guard,
    lookup: Arc<L>,
}

impl<L: Lookup> Vetting<L> {
    pub(super) fn new(guard: Guard, lookup: L) -> Self {
        Self { guard, lookup: Arc::new(lookup) }
    }
}

impl<L: Lookup> Resolve for Vetting<L> {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, lookup) = (self.guard.clone(), Arc::clone(&self.lookup));
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let addresses = if is_local_name(&name) {
                guard.check_name(&name)?;
                guard.loopback()
            } else {
                vetted(&guard, lookup.lookup(name.clone()).await, name)?
            };
            // Port 0 takes the URL's port.
            let sockets = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One forbidden answer refuses the whole name: an honest name has none, and a choice among answers is a choice the
/// name's owner could steer.
fn vetted(guard: &Guard, found: io::Result<Vec<IpAddr>>, name: String) -> Result<Vec<IpAddr>, BoxError> {
    let addresses = match found {
        Ok(addresses) if addresses.is_empty() => Err(io::Error::new(io::ErrorKind::NotFound, "no addresses")),
        found => found,
    };
    let addresses = addresses.map_err(|source| DnsFailure { name, source })?;
    addresses.iter().try_for_each(|&address| guard.check_address(address))?;
    Ok(addresses)
}
