//! What a failure to get an answer means: a class for the tenant, the whole story for the operator.

use std::error::Error;
use std::fmt::Write;
use std::io;

use super::dial::DialError;
use crate::domain::outcome::Class;

/// Characters of an operator's text at most; certificate errors can be long.
const MAX_TEXT_CHARS: usize = 1_000;

/// Reads what hindered a request. It never has the URL's path in it: that may hold a receiver's token.
pub(super) fn classify(error: &(dyn Error + 'static)) -> (Class, String) {
    (chain(error).find_map(verdict).unwrap_or(Class::Protocol), story(error))
}

/// What one error of a chain says for certain, if anything.
fn verdict(error: &(dyn Error + 'static)) -> Option<Class> {
    match () {
        () if error.is::<rustls::Error>() => Some(Class::Tls),
        () => error
            .downcast_ref()
            .map(undialled)
            .or_else(|| error.downcast_ref().and_then(http))
            .or_else(|| error.downcast_ref().and_then(http2))
            .or_else(|| error.downcast_ref().and_then(broken)),
    }
}

const fn undialled(error: &DialError) -> Class {
    match error {
        DialError::Blocked(_) => Class::BlockedAddress,
        DialError::Name { .. } => Class::Dns,
        DialError::Connect(_) => Class::Connect,
        DialError::Tls(_) => Class::Tls,
        DialError::Timeout(_) => Class::Timeout,
    }
}

fn http(error: &hyper::Error) -> Option<Class> {
    match () {
        () if error.is_parse() => Some(Class::Protocol),
        () if error.is_timeout() => Some(Class::Timeout),
        // The connection ended where a status line should have come. Whether the receiver acted is unknown, so it counts.
        () if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => Some(Class::Connect),
        () => None,
    }
}

/// A stream that the receiver reset, or a connection it is leaving, broke before the status line; what this side objects
/// to is not HTTP.
fn http2(error: &h2::Error) -> Option<Class> {
    match () {
        () if error.is_remote() => Some(Class::Connect),
        () if error.is_library() => Some(Class::Protocol),
        () => None,
    }
}

/// A broken or impossible connection. Errors that wrap another one leave the verdict to it.
fn broken(error: &io::Error) -> Option<Class> {
    match error.kind() {
        io::ErrorKind::TimedOut => Some(Class::Timeout),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => None,
        _ => Some(Class::Connect),
    }
}

/// An error and its sources, outermost first. An `io::Error` hides the error within it from `source`, so it is asked.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// An error with its sources, outermost first; what an error repeats of its source is told once.
pub fn story(error: &(dyn Error + 'static)) -> String {
    let mut story = String::new();
    let mut last = String::new();
    for error in chain(error) {
        let text = error.to_string();
        if !last.ends_with(&text) {
            let separator = if story.is_empty() { "" } else { ": " };
            // Writing to a string does not fail.
            let _ = write!(story, "{separator}{text}");
        }
        last = text;
    }
    story.chars().take(MAX_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{told}")]
    struct Told {
        told: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn a_story_tells_nothing_twice() {
        let error = |told, source: Option<Told>| Told { told, source: source.map(Box::new) };
        let inner = || error("connection refused", None);
        assert_eq!(story(&error("connection refused", Some(inner()))), "connection refused");
        assert_eq!(story(&error("asking: connection refused", Some(inner()))), "asking: connection refused");
        assert_eq!(story(&error("asking", Some(inner()))), "asking: connection refused");
    }
}
