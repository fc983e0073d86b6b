//! Headers of a request: what a dialect sets, and what a tenant may add.

use std::fmt;

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
const FRAMING: &[&str] = &[
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
    /// A copy with room for this many more, and for those of every request, so that it is not grown and hashed anew for each attempt.
    #[must_use]
    pub fn with_room(&self, more: usize) -> Self {
        let mut headers = self.clone();
        headers.0.reserve(more + OF_EVERY_REQUEST);
        headers
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Profile;

    fn check(headers: &[(&str, &str)]) -> Result<Headers, HeaderFault> {
        check_custom_headers(headers.iter().copied(), &["Webhook-Id", "webhook-signature"]).map_err(|error| error.why)
    }

    #[test]
    fn a_tenants_own_headers_pass_and_their_values_stay_out_of_debug_output() {
        let headers = check(&[("X-Team", "a, b"), ("authorization", "Bearer t0p"), ("x-empty", "")]).expect("headers");
        let lines: Vec<_> = headers.iter().collect();
        assert_eq!(lines, [("x-team", "a, b"), ("authorization", "Bearer t0p"), ("x-empty", "")]);
        assert_eq!(format!("{headers:?}"), r#"{"x-team", "authorization", "x-empty"}"#);
        assert!(
            headers.into_map().values().all(HeaderValue::is_sensitive),
            "other requests of a connection cannot probe for them"
        );
    }

    #[test]
    fn names_that_are_not_the_tenants_are_refused_in_any_case_and_with_underscores() {
        let forbidden = "Host host CONTENT-LENGTH Content_Length Content-Type content-encoding Transfer-Encoding \
            Connection Keep-Alive TE Trailer Upgrade Proxy-Authorization proxy-connection Expect Cookie Set-Cookie \
            Accept-Encoding User-Agent traceparent tracestate X-Forwarded-For X_Forwarded_Host Forwarded Via \
            HTTP2-Settings Tidings-Tenant";
        for name in forbidden.split_ascii_whitespace() {
            assert_eq!(check(&[(name, "x")]), Err(HeaderFault::Forbidden), "{name}");
        }
        for name in ["webhook-id", "WEBHOOK_ID", "Webhook-Signature"] {
            assert_eq!(check(&[(name, "x")]), Err(HeaderFault::Reserved), "{name}");
        }
        assert_eq!(check(&[("X-A", "1"), ("x_a", "2")]), Err(HeaderFault::Duplicate));
    }

    #[test]
    fn nothing_can_be_injected() {
        for name in ["", " x", "x ", "x:y", "x\r\ny", "é", "x\0", "(x)", &"n".repeat(129)] {
            assert_eq!(check(&[(name, "x")]), Err(HeaderFault::Name), "{name:?}");
        }
        for value in [" x", "x ", "x\r\nHost: evil", "x\n", "a\tb", "\u{7f}", "é", "\0"] {
            assert_eq!(check(&[("x", value)]), Err(HeaderFault::Value), "{value:?}");
        }
    }

    proptest::proptest! {
        /// What passes is one line of a request each, by the grammar of RFC 9110 as written down here once more.
        #[test]
        fn what_passes_is_one_line_each_and_none_of_ours(
            pairs in proptest::collection::vec(("[A-Za-z_-]{0,12}|\\PC{0,6}|[\\x00-\\x7f]{0,6}", "[ -~]{0,20}|\\PC{0,8}|[\\x00-\\xff]{0,8}"), 0..4),
        ) {
            let given: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let Ok(headers) = check(&given) else { return Ok(()) };
            proptest::prop_assert_eq!(headers.iter().count(), given.len());
            for (name, value) in headers.iter() {
                let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
                proptest::prop_assert!(!name.is_empty() && name.bytes().all(is_token), "{name:?}");
                proptest::prop_assert!(value.chars().all(|c| (' '..='~').contains(&c)) && value.trim() == value, "{value:?}");
                let folded = name.replace('_', "-");
                for ours in ["host", "content-length", "transfer-encoding", "connection", "te", "webhook-id"] {
                    proptest::prop_assert_ne!(&folded, ours);
                }
                proptest::prop_assert!(given.iter().any(|(own, same)| own.eq_ignore_ascii_case(name) && *same == value));
            }
        }
    }

    #[test]
    fn number_and_size_are_bounded() {
        let names: Vec<_> = (0..33).map(|n| format!("x-{n}")).collect();
        let some = |count: usize| check(&names[..count].iter().map(|name| (name.as_str(), "v")).collect::<Vec<_>>());
        assert!(some(32).is_ok());
        assert_eq!(some(33), Err(HeaderFault::TooMany));
        let (fits, long) = ("v".repeat(4_096), "v".repeat(4_097));
        assert_eq!(check(&[("x", &long)]), Err(HeaderFault::TooLong));
        assert_eq!(check(&[("x", &fits), ("y", &fits)]), Err(HeaderFault::TooMany));
    }

    #[test]
    fn a_dialect_may_set_the_content_type_but_not_the_framing() {
        let mut headers = Headers::default();
        headers.set("Content-Type", "application/json").expect("a dialect's");
        headers.set("content-type", "text/plain").expect("again");
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("content-type", "text/plain")]);
        let error = headers.set("Content-Length", "0").expect_err("framing");
        assert_eq!(error.to_string(), "header `Content-Length` cannot be set: Tidings or the connection decides it");
    }

    #[test]
    fn what_is_refused_to_dialects_is_refused_when_their_files_are_read() {
        let standard = include_str!("../../config/dialects/standard.toml");
        let with = |name: &str| {
            Profile::parse(&standard.replace("webhook-id: {id}", &format!("webhook-id: {{id}}\", \"{name}: x")))
        };
        for name in FRAMING.iter().copied().chain(["Proxy-Authorization", "proxy-anything", "Expect"]) {
            let refused = Headers::default().set(name, "x").expect_err(name);
            assert_eq!(refused.why, HeaderFault::Forbidden, "{name}");
            let told = with(name).expect_err(name).to_string();
            assert!(told.contains(&format!("may not set `{name}`")), "{told}");
        }
    }
}
