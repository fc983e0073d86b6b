//! Headers of a request: what a dialect sets, and what a tenant may add.

use std::fmt;
use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Custom headers of a webhook at most.
pub const MAX_CUSTOM_HEADERS: usize = 32;
/// Bytes of a custom header's name at most.
pub const MAX_NAME_BYTES: usize = 128;
/// Bytes of a custom header's value at most: room for a signed token.
pub const MAX_VALUE_BYTES: usize = 4_096;
/// Bytes of all custom names and values together: servers commonly refuse more than 8 to 16 KiB of headers.
pub const MAX_TOTAL_BYTES: usize = 8_192;

/// Names that decide how a message is framed, routed or carried on a connection
/// ([RFC 9110, 7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1),
/// [RFC 9112, 6](https://www.rfc-editor.org/rfc/rfc9112#section-6)): the HTTP library's business, whoever asks.
pub(super) const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Names that Tidings or the dialect answers for: how the body reads, what may come back, who is speaking, and the
/// trace. Cookies are not sent; what a receiver wants as credentials goes into `Authorization` or a name of its own.
const OURS: &[&str] = &[
    "accept-encoding",
    "baggage",
    "content-encoding",
    "content-type",
    "cookie",
    "cookie2",
    "forwarded",
    "range",
    "set-cookie",
    "traceparent",
    "tracestate",
    "user-agent",
    "via",
];

/// Beginnings that speak to or for a proxy, or belong to Tidings itself.
const OUR_PREFIXES: &[&str] = &["proxy-", "x-forwarded-", "tidings-"];

/// `Host`, `Content-Length`, `User-Agent`, `Accept` and the trace.
const OF_EVERY_REQUEST: usize = 5;

/// Names whose values anybody may know.
const OPEN: [&str; 2] = ["content-type", "user-agent"];

/// Header lines ready to be sent. Debug output shows names only: values may be credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(HeaderMap);

/// A header that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("header `{name}` {why}")]
pub struct HeaderError {
    /// The name as given, shortened where it is too long.
    pub name: String,
    /// What is wrong with it.
    pub why: HeaderFault,
}

/// What is wrong with a header; the text continues "header `x` …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The name is not a token ([RFC 9110, 5.1](https://www.rfc-editor.org/rfc/rfc9110#section-5.1)).
    #[error("has a name that is not 1 to {MAX_NAME_BYTES} letters, digits or `!#$%&'*+-.^_`|~`")]
    Name,
    /// The name is the HTTP library's, Tidings' or a proxy's.
    #[error("cannot be set: Tidings or the connection decides it")]
    Forbidden,
    /// The webhook's dialect sets it.
    #[error("cannot be set: the webhook's dialect sets it")]
    Reserved,
    /// The same name a second time, case and `_` for `-` aside.
    #[error("is given more than once (names are compared without case, and `_` counts as `-`)")]
    Duplicate,
    /// The value has a control character, one beyond ASCII, or a space at an edge.
    #[error("has a value that is not visible ASCII with spaces only inside")]
    Value,
    /// The value is too long.
    #[error("has a value longer than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// It is one too many.
    #[error("is one too many: at most {MAX_CUSTOM_HEADERS} custom headers, {MAX_TOTAL_BYTES} bytes in all")]
    TooMany,
}

/// Checks a webhook's own headers, at registration and again before they are sent. `reserved` are the names that its
/// dialect sets.
///
/// `Authorization` may be set; names are compared with `_` as `-`, because CGI-like receivers cannot tell them apart.
pub fn check_custom_headers<'a, R: AsRef<str>>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    reserved: &[R],
) -> Result<Headers, HeaderError> {
    let mut checked = Headers::default();
    let mut seen: Vec<String> = Vec::new();
    let mut bytes = 0;
    for (name, value) in headers {
        let refuse = |why| HeaderError { name: name.chars().take(MAX_NAME_BYTES).collect(), why };
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) {
            return Err(refuse(HeaderFault::Name));
        }
        let folded = fold(name);
        let is_reserved = reserved.iter().any(|reserved| fold(reserved.as_ref()) == folded);
        bytes += name.len() + value.len();
        let fault = match () {
            () if is_reserved => Some(HeaderFault::Reserved),
            () if is_ours(&folded) => Some(HeaderFault::Forbidden),
            () if seen.contains(&folded) => Some(HeaderFault::Duplicate),
            () if value.len() > MAX_VALUE_BYTES => Some(HeaderFault::TooLong),
            () if seen.len() == MAX_CUSTOM_HEADERS || bytes > MAX_TOTAL_BYTES => Some(HeaderFault::TooMany),
            () => None,
        };
        fault.map_or(Ok(()), |why| Err(refuse(why)))?;
        checked.set(name, value)?;
        seen.push(folded);
    }
    Ok(checked)
}

impl Headers {
    /// A webhook's own headers, as far as the rules of today allow them: they were checked when they were taken, by the rules of then.
    pub fn allowed(own: &[(String, String)]) -> Self {
        let mut allowed = Self::default();
        for (name, value) in own {
            match check_custom_headers::<&str>([(name.as_str(), value.as_str())], &[]) {
                Ok(one) => allowed.extend(&one),
                Err(error) => tracing::warn!(%error, "webhook.header_refused"),
            }
        }
        allowed
    }

    /// These and those that a dialect signed, which take the place of others with the same names. There is room for those of every request,
    /// so that no attempt grows and hashes it anew.
    pub fn with_signed(&self, signed: &[(Arc<str>, String)]) -> Result<Self, HeaderError> {
        let mut headers = self.clone();
        headers.0.reserve(signed.len() + OF_EVERY_REQUEST);
        signed.iter().try_for_each(|(name, value)| headers.set(name, value))?;
        Ok(headers)
    }

    /// Sets a header, in place of one with the same name. Framing and hop-by-hop names are refused to dialects too.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        let refuse = |why| HeaderError { name: name.chars().take(MAX_NAME_BYTES).collect(), why };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse(HeaderFault::Name))?;
        let lower = header.as_str();
        if FRAMING.contains(&lower) || lower.starts_with("proxy-") {
            return Err(refuse(HeaderFault::Forbidden));
        }
        if !is_plain(value) {
            return Err(refuse(HeaderFault::Value));
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| refuse(HeaderFault::Value))?;
        // Keeps it out of debug output, and out of HTTP/2's compression table, where other requests could probe for it; most are
        // credentials, or differ each time.
        value.set_sensitive(!OPEN.contains(&lower));
        self.0.insert(header, value);
        Ok(())
    }

    /// Adds all of `other`'s, in place of those with the same names.
    pub fn extend(&mut self, other: &Self) {
        for (name, value) in &other.0 {
            self.0.insert(name, value.clone());
        }
    }

    /// The names (lowercase) and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()))
    }

    pub(super) fn into_map(self) -> HeaderMap {
        self.0
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn is_ours(folded: &str) -> bool {
    FRAMING.contains(&folded) || OURS.contains(&folded) || OUR_PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
}

/// Stricter than the grammar, which lets tabs and bytes beyond ASCII through
/// ([RFC 9110, 5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5)).
fn is_plain(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~')) && !value.starts_with(' ') && !value.ends_with(' ')
}
