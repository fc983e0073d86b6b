//! Where a webhook's requests go: a URL read once, strictly, and kept in canonical form.
//!
//! The `url` crate, being a browser's parser, repairs what it reads: it drops tabs and edge spaces, turns backslashes
//! around, adds missing slashes, reads `0x7f.1` as `127.0.0.1`. A repaired URL is not what its writer meant, so
//! [`Target::parse`] looks at the text first and refuses whatever would be repaired. What remains are spellings with one
//! meaning (case, default port, international names, non-ASCII paths), which take their canonical form.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, InvalidUri, PathAndQuery, Scheme};
use url::{Host, ParseError, Url};

use super::guard::Guard;
use super::url_error::UrlError;

/// Characters of a URL at most, as given and in canonical form.
pub const MAX_URL_CHARS: usize = 2_048;

/// ASCII that [RFC 3986](https://www.rfc-editor.org/rfc/rfc3986#section-2) leaves out of URLs and that the parser would
/// encode or turn around, beside controls and white space.
const NEVER: &str = "\\\"<>^`{|}";

/// A destination that passed every check. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Arc<Parsed>);

#[derive(PartialEq, Eq)]
struct Parsed {
    url: Url,
    /// The same for the HTTP library, whose grammar is another one: both must take it.
    uri: Uri,
    /// What a request to it asks for on a connection of its own, and of which host.
    path: Uri,
    host: HeaderValue,
    origin: Origin,
}

/// To whom a connection leads; requests to the same origin may share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) is_https: bool,
    authority: Authority,
}

/// What a target's host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind<'a> {
    /// A name, looked up at every new connection.
    Name(&'a str),
    /// An address, which no resolver sees.
    Address(IpAddr),
}

impl Target {
    /// Reads a URL as a user wrote it, or as [`Target::as_str`] gave it: that comes out unchanged.
    pub fn parse(text: &str, http_allowed: bool, guard: &Guard) -> Result<Self, UrlError> {
        check_characters(text)?;
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme { http_allowed })?;
        check_scheme(scheme, http_allowed)?;
        let (authority, path_and_query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = check_authority(authority)?;
        check_path(path_and_query)?;
        let url = Url::parse(text).map_err(malformed)?;
        check_host(host, &url)?;
        if url.as_str().len() > MAX_URL_CHARS {
            return Err(UrlError::TooLong);
        }
        let target = Self(Arc::new(Parsed::new(url)?));
        target.check(guard)?;
        Ok(target)
    }

    /// The canonical form: what is stored, shown and sent to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.url.as_str()
    }

    /// What the host is.
    #[must_use]
    pub fn host_kind(&self) -> HostKind<'_> {
        match self.0.url.host() {
            Some(Host::Ipv4(address)) => HostKind::Address(address.into()),
            Some(Host::Ipv6(address)) => HostKind::Address(address.into()),
            Some(Host::Domain(name)) => HostKind::Name(name),
            // `http` and `https` URLs have a host, or they do not parse.
            None => HostKind::Name(""),
        }
    }

    /// The port, the scheme's own where the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.url.port_or_known_default().unwrap_or_default()
    }

    /// Asks the policy about everything that is known without a look-up: port, literal address, local name.
    pub(super) fn check(&self, guard: &Guard) -> Result<(), super::guard::Blocked> {
        guard.check_port(self.port())?;
        match self.host_kind() {
            HostKind::Address(address) => guard.check_address(address),
            HostKind::Name(name) => guard.check_name(name),
        }
    }

    /// All of it.
    pub(super) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// Its path and query alone.
    pub(super) fn path(&self) -> &Uri {
        &self.0.path
    }

    /// As the header `Host` has it: without the scheme's own port.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.0.host
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.0.origin
    }
}

impl Parsed {
    fn new(url: Url) -> Result<Self, UrlError> {
        let malformed = |error: &dyn fmt::Display| UrlError::Malformed(error.to_string());
        let uri: Uri = url.as_str().parse().map_err(|error: InvalidUri| malformed(&error))?;
        let authority = uri.authority().cloned().ok_or(UrlError::NoHost)?;
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")).into();
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| malformed(&error))?;
        let origin = Origin { is_https: uri.scheme() == Some(&Scheme::HTTPS), authority };
        Ok(Self { url, uri, path, host, origin })
    }
}

/// Paths and queries may hold a receiver's token, so they stay out of debug output.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({}://{}:{}/…)", self.0.url.scheme(), self.0.url.host_str().unwrap_or_default(), self.port())
    }
}

fn check_characters(text: &str) -> Result<(), UrlError> {
    if text.chars().count() > MAX_URL_CHARS {
        return Err(UrlError::TooLong);
    }
    if text.contains('#') {
        return Err(UrlError::Fragment);
    }
    match text.chars().find(|&c| c.is_control() || c.is_whitespace() || NEVER.contains(c)) {
        Some(wrong) => Err(UrlError::Character(wrong)),
        None => Ok(()),
    }
}

fn check_scheme(scheme: &str, http_allowed: bool) -> Result<(), UrlError> {
    if scheme.eq_ignore_ascii_case("https") {
        return Ok(());
    }
    match (scheme.eq_ignore_ascii_case("http"), http_allowed) {
        (true, true) => Ok(()),
        (true, false) => Err(UrlError::Http),
        (false, _) => Err(UrlError::Scheme { http_allowed }),
    }
}

/// Takes the authority apart by its text and gives back the host, brackets included.
fn check_authority(authority: &str) -> Result<&str, UrlError> {
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    // A colon inside brackets is the address's own.
    let after_brackets = match (authority.starts_with('['), authority.rfind(']')) {
        (true, Some(bracket)) => bracket + 1,
        (true, None) => return Err(UrlError::Ipv6),
        (false, _) => 0,
    };
    let (host, port) = match authority[after_brackets..].find(':') {
        None => (authority, None),
        Some(colon) => {
            let (host, port) = authority.split_at(after_brackets + colon);
            (host, Some(&port[1..]))
        }
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    if host.contains('%') {
        return Err(if host.starts_with('[') { UrlError::Zone } else { UrlError::Host });
    }
    match port {
        Some(port) if !is_port(port) => Err(UrlError::Port),
        _ => Ok(host),
    }
}

fn is_port(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    plain && text.parse::<u16>().is_ok()
}

/// Refuses what the parser would rewrite in a path: it resolves dot segments, and leaves broken escapes for the receiver
/// to guess at.
fn check_path(path_and_query: &str) -> Result<(), UrlError> {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = path_and_query.as_bytes();
    let escaped = |at: usize| hex(bytes.get(at + 1)) && hex(bytes.get(at + 2));
    if (0..bytes.len()).any(|at| bytes[at] == b'%' && !escaped(at)) {
        return Err(UrlError::Percent);
    }
    let path = path_and_query.split('?').next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(UrlError::DotSegment);
    }
    Ok(())
}

fn malformed(error: ParseError) -> UrlError {
    match error {
        ParseError::InvalidIpv4Address => UrlError::OddAddress,
        ParseError::InvalidIpv6Address => UrlError::Ipv6,
        ParseError::IdnaError | ParseError::InvalidDomainCharacter => UrlError::Host,
        other => UrlError::Malformed(other.to_string()),
    }
}

/// Compares the host as written with the host as parsed.
fn check_host(written: &str, url: &Url) -> Result<(), UrlError> {
    match url.host() {
        None => Err(UrlError::NoHost),
        Some(Host::Ipv4(address)) if written == address.to_string() => Ok(()),
        Some(Host::Ipv4(_)) => Err(UrlError::OddAddress),
        Some(Host::Ipv6(_)) => {
            let inner = written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let address = inner.and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            address.map(drop).ok_or(UrlError::Ipv6)
        }
        Some(Host::Domain(name)) if is_name(name) => Ok(()),
        Some(Host::Domain(_)) => Err(UrlError::Host),
    }
}

/// Whether a name, already in ASCII, can be one in the DNS
/// ([RFC 1035, 2.3.4](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)). Underscores pass: hosts in use have them.
fn is_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}
