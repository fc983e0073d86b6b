//! Why a URL is refused.

use super::guard::Blocked;
use super::target::MAX_URL_CHARS;

/// Why a webhook's URL is refused; each text says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// More characters than are stored, as given or in canonical form.
    #[error("the URL is longer than {MAX_URL_CHARS} characters")]
    TooLong,
    /// White space, a control character, a backslash or another character that a URL cannot hold.
    #[error("the URL contains {0:?}, which a URL cannot hold: percent-encode it or leave it out")]
    Character(char),
    /// A `%` that no two hexadecimal digits follow.
    #[error("each `%` in the URL must be followed by two hexadecimal digits")]
    Percent,
    /// Relative, or with another scheme.
    #[error("the URL must be absolute and start with `https://`{}", if *.http_allowed { " or `http://`" } else { "" })]
    Scheme {
        /// Whether `http://` would have been accepted.
        http_allowed: bool,
    },
    /// `http://` where only `https://` is allowed.
    #[error("the URL must start with `https://`: `http://` is for tenants in the sandbox environment")]
    Http,
    /// A user name or password before the host.
    #[error("the URL must not carry a user name or password: use a custom header such as `Authorization`")]
    UserInfo,
    /// Something after `#`.
    #[error("the URL must not have a fragment (`#…`): receivers never see it")]
    Fragment,
    /// Nothing between `//` and the path.
    #[error("the URL must name a host")]
    NoHost,
    /// An empty label, one over 63 characters, one with a character that no host has, or a name over 253.
    #[error(
        "the URL's host is not a valid name: its labels are 1 to 63 letters, digits and inner hyphens, 253 characters in all"
    )]
    Host,
    /// An IPv4 address in decimal, hexadecimal, octal, short or full-width spelling.
    #[error("the URL's host spells an IPv4 address in an unusual way: write four decimal numbers, as in `192.0.2.1`")]
    OddAddress,
    /// Something in brackets that is not an IPv6 address.
    #[error("the URL's host is not a valid IPv6 address: write it as in `[2001:db8::1]`")]
    Ipv6,
    /// An IPv6 address with a zone.
    #[error("the URL's host must not carry a zone id (`%…`): link-local addresses are not sent to")]
    Zone,
    /// A port that is empty, zero, over 65,535 or not a plain number.
    #[error("the URL's port must be a number from 1 to 65535, without leading zeros")]
    Port,
    /// `.` or `..` as a segment of the path, also percent-encoded.
    #[error("the URL's path must not contain `.` or `..` segments: write the path they lead to")]
    DotSegment,
    /// The address, the name or the port is one that Tidings does not send to.
    #[error(transparent)]
    Blocked(#[from] Blocked),
    /// Anything else that a parser objects to.
    #[error("the URL is not valid: {0}")]
    Malformed(String),
}

impl UrlError {
    /// A stable word for `errors[].code`: `blocked_address` where the policy refuses, else `invalid_url`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "blocked_address",
            _ => "invalid_url",
        }
    }
}
