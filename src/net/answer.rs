//! Reading a receiver's answer: bounded in bytes and time, and never a reason to change the verdict of its status line.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, RETRY_AFTER, SET_COOKIE};
use tokio::time::timeout;

use crate::domain::outcome::{Answer, RetryAfter};

/// Bytes of a body that are read at most. A shorter body is read to its end, so that its connection serves again; a
/// longer one is dropped together with its connection.
const MAX_READ: usize = 64 * 1024;

/// Takes in an answer whose status line has arrived, for at most `time_left`.
///
/// A body that breaks, drips past the deadline or is garbage leaves what was read up to then: the receiver has spoken.
pub(super) async fn read(mut response: Response<Incoming>, time_left: Duration) -> Answer {
    let mut kept = Vec::new();
    // Running out of time here leaves what was read, as everything else does that may happen to a body.
    let _ = timeout(time_left, read_body(response.body_mut(), &mut kept)).await;
    Answer {
        status: response.status().as_u16(),
        headers: render(response.headers()),
        body: Bytes::from(kept),
        retry_after: retry_after(response.headers()),
    }
}

async fn read_body(body: &mut Incoming, kept: &mut Vec<u8>) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        // Trailers are of no use to anyone.
        let Some(chunk) = frame.data_ref() else { continue };
        let room = Answer::MAX_BODY - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        read += chunk.len();
        if read > MAX_READ {
            return;
        }
    }
}

/// One `name: value` a line. Cookies are the receiver's secrets and of no use to anyone who reads attempts.
fn render(headers: &HeaderMap) -> String {
    let mut lines = String::new();
    for (name, value) in headers {
        let value = if name == SET_COOKIE { "[redacted]".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        for part in [name.as_str(), ": ", &value, "\n"] {
            lines.push_str(part);
        }
        if lines.len() > Answer::MAX_HEADERS {
            break;
        }
    }
    lines.truncate(lines.floor_char_boundary(Answer::MAX_HEADERS));
    lines.truncate(lines.trim_end_matches('\n').len());
    lines
}

fn retry_after(headers: &HeaderMap) -> Option<RetryAfter> {
    headers.get(RETRY_AFTER)?.to_str().ok().and_then(RetryAfter::parse)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn headers_are_rendered_as_lines_without_cookies_and_cut_at_the_limit() {
        let mut headers = HeaderMap::new();
        headers.insert("x-note", HeaderValue::from_bytes(b"caf\xe9").expect("a value"));
        headers.insert(SET_COOKIE, HeaderValue::from_static("session=secret"));
        assert_eq!(render(&headers), "x-note: caf\u{fffd}\nset-cookie: [redacted]");

        headers.insert("x-long", HeaderValue::from_bytes(&[0xe9; 9_000]).expect("a value"));
        let lines = render(&headers);
        assert!(lines.len() <= Answer::MAX_HEADERS && lines.len() > Answer::MAX_HEADERS - 4);
    }
}
