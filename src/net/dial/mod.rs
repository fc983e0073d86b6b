//! Making connections: the only place in Tidings where one to a receiver begins.
//!
//! name → every address, vetted → one of them dialled → the connected socket vetted → TLS. Nothing is written to a socket
//! before it was vetted, the TLS greeting included.
//!
//! | file | does |
//! |---|---|
//! | `lookup`, `hosts` | asks the system for a name's addresses |
//! | `names` | vets the answer as a whole |
//! | `race` | connects to one of the addresses |
//! | `tls` | whom to believe |
//! | `stream` | a connection, in whatever it is wrapped |

mod hosts;
pub(super) mod lookup;
mod names;
mod race;
pub(super) mod stream;
pub(super) mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::Scheme;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use self::lookup::Lookup;
use self::stream::Stream;
use super::guard::{Blocked, Guard};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The policy refuses the destination.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// The name has no address.
    #[error("the name `{name}` does not resolve")]
    Name { name: String, source: io::Error },
    /// No address answers.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// Connected, but TLS failed.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    /// All that together took too long.
    #[error("no connection within {} s", .0.as_secs())]
    Timeout(Duration),
}

/// Connects to receivers.
pub(super) struct Dialer {
    pub(super) guard: Guard,
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) tls: Arc<ClientConfig>,
    /// For look-up, connection and TLS handshake together.
    pub(super) limit: Duration,
}

impl Dialer {
    /// Connects to the host of a URI.
    pub(super) async fn dial(&self, uri: &Uri) -> Result<Stream, DialError> {
        timeout(self.limit, self.connect(uri)).await.unwrap_or(Err(DialError::Timeout(self.limit)))
    }

    async fn connect(&self, uri: &Uri) -> Result<Stream, DialError> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        self.guard.check_port(port)?;
        let addresses = names::addresses(&self.guard, &*self.lookup, host).await?;
        let socket = race::connect(&self.guard, addresses, port).await?;
        if is_https { self.secure(socket, host).await } else { Ok(Stream::plain(socket)) }
    }

    async fn secure(&self, socket: TcpStream, host: &str) -> Result<Stream, DialError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| DialError::Tls(io::Error::other(error)))?;
        let secured = TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await;
        secured.map(Stream::secure).map_err(DialError::Tls)
    }
}
