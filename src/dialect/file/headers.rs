//! The headers of a dialect's file: one line each, as on the wire.

use super::File;
use crate::dialect::error::DialectError;
use crate::dialect::sign::{HEADER_SLOTS, Header, HeaderSlot};
use crate::dialect::template::Template;

impl File {
    /// The headers, `Content-Type` first where the file does not set it, checked against what they refer to.
    pub(crate) fn headers(&self) -> Result<Vec<Header>, DialectError> {
        let mut headers = Vec::new();
        for line in &self.headers {
            let header = Header::parse(line).map_err(|problem| DialectError::at("headers", problem))?;
            if headers.iter().any(|earlier: &Header| earlier.name.eq_ignore_ascii_case(&header.name)) {
                return Err(DialectError::at("headers", format!("sets `{}` twice", header.name)));
            }
            headers.push(header);
        }
        if !headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-type")) {
            let json = Header::parse("Content-Type: application/json");
            headers.insert(0, json.map_err(|problem| DialectError::at("headers", problem))?);
        }
        self.check_headers(&headers)?;
        Ok(headers)
    }

    /// Whatever contradicts the request, or what Tidings promises about it, may not be set.
    pub(super) fn check_header_names(&self) -> Result<(), DialectError> {
        for name in self.headers.iter().filter_map(|line| line.split(':').next()) {
            let lower = name.to_ascii_lowercase();
            let wrong = NOT_TO_BE_SET
                .iter()
                .find(|(wrong, _)| lower == *wrong || wrong.ends_with('-') && lower.starts_with(wrong));
            if let Some((_, why)) = wrong {
                return Err(DialectError::at("headers", format!("may not set `{name}`: {why}")));
            }
        }
        Ok(())
    }

    fn check_headers(&self, headers: &[Header]) -> Result<(), DialectError> {
        let used = |slot| headers.iter().any(|header| header.value.uses(slot));
        if headers.iter().map(|header| header.value.count(HeaderSlot::Signatures)).sum::<usize>() != 1 {
            return Err(DialectError::at("headers", "must have `{signatures}` in exactly one place"));
        }
        if used(HeaderSlot::Token) != self.token.is_some() {
            return Err(DialectError::at("token", "must be there if, and only if, a header has `{token}`"));
        }
        if used(HeaderSlot::Timestamp) != self.timestamp.is_some() {
            return Err(DialectError::at("timestamp", "must be there if, and only if, a header has `{timestamp}`"));
        }
        Ok(())
    }
}

impl Header {
    fn parse(line: &str) -> Result<Self, String> {
        let (name, value) = line.split_once(": ").ok_or_else(|| format!("has `{line}`, which is not `Name: value`"))?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("has `{name}`, which is not a header name"));
        }
        if FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
            return Err(format!("may not set `{name}`, which belongs to the connection"));
        }
        if value.trim() != value || value.is_empty() || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(format!("must give `{name}` a value of visible ASCII characters without spaces around it"));
        }
        let value = Template::parse(value, HEADER_SLOTS)?;
        if value.is_ambiguous() {
            return Err(format!("must have some text between the placeholders of `{name}`"));
        }
        Ok(Self { name: name.into(), value })
    }

    /// Whether its value differs from request to request.
    pub(crate) fn has_slots(&self) -> bool {
        HEADER_SLOTS.iter().any(|(_, slot)| self.value.uses(*slot))
    }
}

/// Headers that the HTTP connection sets by itself.
const FORBIDDEN: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Further headers that a file may not set, and why; one that ends in `-` stands for all that begin with it.
const NOT_TO_BE_SET: &[(&str, &str)] = &[
    ("accept-encoding", "answers are read as they are, and are not unpacked"),
    ("content-encoding", "the body is sent as it is, and is not packed"),
    ("expect", "it belongs to the connection"),
    ("http2-settings", "it belongs to the connection"),
    ("proxy-", "it belongs to the connection"),
    ("cookie", "cookies are not sent"),
    ("cookie2", "cookies are not sent"),
    ("traceparent", "Tidings writes the trace itself"),
    ("tracestate", "Tidings writes the trace itself"),
    ("baggage", "Tidings writes the trace itself"),
];
