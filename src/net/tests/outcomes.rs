//! What a receiver may do, and the outcome of each.

use std::time::Duration;

use super::receiver::{Receiver, Step, answers};
use super::{TIMEOUT, local, send};
use crate::domain::outcome::{Class, Outcome, RetryAfter};
use crate::net::{Config, Request, Sender};

const AT_ONCE: Duration = Duration::ZERO;
const NOW_AND_THEN: Duration = Duration::from_millis(20);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
static HEADERS: [[u8; 6]; 1_000] = [*b"a: b\r\n"; 1_000];

/// Sends once to a receiver with this script, and holds it to its time.
async fn outcome(script: Vec<Step>) -> Outcome {
    let receiver = Receiver::start(script).await;
    let outcome = send(&Sender::new(&local()).expect("a sender"), &receiver.url()).await;
    assert!(outcome.duration < TIMEOUT * 2, "{outcome:?}");
    outcome
}

fn then(mut script: Vec<Step>, step: Step) -> Vec<Step> {
    script.push(step);
    script
}

#[tokio::test]
async fn a_receiver_that_answers_is_judged_by_its_status_line() {
    let head = |status: &str| answers(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"));
    for (status, class, number) in [
        ("200 OK", Class::Success, 200),
        ("204", Class::Success, 204),
        ("299 Fine", Class::Success, 299),
        ("301 Moved\r\nlocation: http://127.0.0.1:9/", Class::HttpStatus, 301),
        ("307 Redirect\r\nlocation: /other", Class::HttpStatus, 307),
        ("400 Bad Request", Class::HttpStatus, 400),
        ("410 Gone", Class::HttpStatus, 410),
        ("500 Oops", Class::HttpStatus, 500),
        ("600 What", Class::HttpStatus, 600),
        ("999 Much", Class::HttpStatus, 999),
        ("101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade", Class::HttpStatus, 101),
        ("103 Early Hints\r\n\r\nHTTP/1.1 202 Accepted", Class::Success, 202),
    ] {
        let outcome = outcome(head(status)).await;
        assert_eq!((outcome.class, outcome.status()), (class, Some(number)), "{status}: {:?}", outcome.error);
        assert_eq!(outcome.error.is_none(), class == Class::Success, "{status}");
    }
}

#[tokio::test]
async fn a_receiver_that_never_gets_to_a_status_line_has_a_class() {
    for (what, script, class) in [
        ("hangs before reading", vec![Step::Hang], Class::Timeout),
        ("hangs after the request", vec![Step::Read, Step::Hang], Class::Timeout),
        (
            "drips its headers",
            vec![Step::Read, Step::Write(b"HTTP/1.1 200 OK\r\n".into()), Step::Repeat(b"a: b\r\n", NOW_AND_THEN)],
            Class::Timeout,
        ),
        ("floods with 1xx", vec![Step::Read, Step::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n", AT_ONCE)], Class::Protocol),
        ("resets at once", vec![Step::Reset], Class::Connect),
        ("resets after the request", vec![Step::Read, Step::Reset], Class::Connect),
        ("closes after the request", vec![Step::Read], Class::Connect),
        ("closes inside the status line", answers("HTTP/1.1 20"), Class::Connect),
        ("closes inside the headers", answers("HTTP/1.1 200 OK\r\nx: "), Class::Connect),
        ("speaks another protocol", answers("220 smtp.example ESMTP\r\n"), Class::Protocol),
        ("speaks TLS", answers(b"\x15\x03\x01\x00\x02\x02\x16"), Class::Protocol),
        ("speaks HTTP/0.9", answers("<h1>hello</h1>\r\n\r\n"), Class::Protocol),
        ("names a status that is no number", answers("HTTP/1.1 OK 200\r\n\r\n"), Class::Protocol),
        ("names a status of four digits", answers("HTTP/1.1 2000 OK\r\n\r\n"), Class::Protocol),
        ("names a status of two digits", answers("HTTP/1.1 20 OK\r\n\r\n"), Class::Protocol),
        ("breaks the header grammar", answers("HTTP/1.1 200 OK\r\na b: c\r\n\r\n"), Class::Protocol),
        (
            "gives two lengths",
            answers("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            Class::Protocol,
        ),
        (
            "floods with headers",
            vec![Step::Read, Step::Write(b"HTTP/1.1 200 OK\r\n".into()), Step::Repeat(HEADERS.as_flattened(), AT_ONCE)],
            Class::Protocol,
        ),
        (
            "gives a hundred and one headers",
            answers(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101))),
            Class::Protocol,
        ),
        (
            "never ends a header",
            vec![Step::Read, Step::Write(b"HTTP/1.1 200 OK\r\na: ".into()), Step::Repeat(&[b'a'; 8_192], AT_ONCE)],
            Class::Protocol,
        ),
    ] {
        let outcome = outcome(script).await;
        assert_eq!(outcome.class, class, "{what}: {:?}", outcome.error);
        assert_eq!(outcome.answer, None, "{what}");
        assert!(outcome.error.is_some_and(|error| !error.contains("/hook")), "{what}");
    }
}

#[tokio::test]
async fn after_a_status_line_no_body_changes_the_verdict() {
    let ok = "HTTP/1.1 200 OK\r\n";
    for (what, script, kept) in [
        ("gives the body in time", answers(OK), "ok"),
        ("hangs before the body", then(answers(format!("{ok}content-length: 5\r\n\r\n")), Step::Hang), ""),
        ("closes inside the body", answers(format!("{ok}content-length: 5\r\n\r\nhal")), "hal"),
        ("resets inside the body", then(answers(format!("{ok}content-length: 5\r\n\r\n")), Step::Reset), ""),
        ("breaks its chunks", answers(format!("{ok}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n")), "abc"),
        ("sends more than it said", answers(format!("{ok}content-length: 2\r\n\r\nok and more")), "ok"),
        ("ends the body by closing", answers(format!("{ok}\r\nall of it")), "all of it"),
        (
            "claims gzip",
            answers(format!("{ok}content-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x08zz")),
            "\x1f\x08zz",
        ),
    ] {
        let outcome = outcome(script).await;
        assert_eq!((outcome.class, &outcome.error), (Class::Success, &None), "{what}");
        assert_eq!(outcome.answer.expect(what).body, kept, "{what}");
    }
    let failed = outcome(answers("HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nbroken")).await;
    assert_eq!((failed.class, failed.answer.expect("an answer").body.as_ref()), (Class::HttpStatus, &b"broken"[..]));
}

#[tokio::test]
async fn a_body_is_kept_up_to_its_limit_and_read_up_to_another() {
    for (what, pause) in [("endless", AT_ONCE), ("dripping", NOW_AND_THEN)] {
        let head = answers("HTTP/1.1 200 OK\r\n\r\n");
        let outcome = outcome(then(head, Step::Repeat(&[b'x'; 2_048], pause))).await;
        assert_eq!(outcome.class, Class::Success, "{what}");
        assert_eq!(outcome.duration >= TIMEOUT, what == "dripping", "{what}: {:?}", outcome.duration);
        assert_eq!(outcome.answer.expect(what).body.len(), 16 * 1024, "{what}");
    }
}

#[tokio::test]
async fn the_answers_headers_are_kept_and_retry_after_is_read() {
    let bytes = "HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nSet-Cookie: a=b\r\nX-Id: 1\r\ncontent-length: 0\r\n\r\n";
    let answer = outcome(answers(bytes)).await.answer.expect("an answer");
    assert_eq!(answer.headers, "retry-after: 7\nset-cookie: [redacted]\nx-id: 1\ncontent-length: 0");
    assert_eq!(answer.retry_after, Some(RetryAfter::Delay(Duration::from_secs(7))));
}

#[tokio::test]
async fn no_one_listening_is_a_failure_to_connect() {
    let receiver = Receiver::start(Vec::new()).await;
    let url = receiver.url();
    drop(receiver);
    tokio::task::yield_now().await;
    let outcome = send(&Sender::new(&local()).expect("a sender"), &url).await;
    assert_eq!(outcome.class, Class::Connect);
    assert!(outcome.error.expect("a story").contains("refused"));
}

#[tokio::test]
async fn what_arrives_is_exactly_what_was_meant() {
    let receiver = Receiver::start(answers(OK)).await;
    assert_eq!(send(&Sender::new(&local()).expect("a sender"), &receiver.url()).await.class, Class::Success);
    let request = receiver.requests().pop().expect("a request");
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "{\"n\":1}");
    let host = format!("host: {}", receiver.address);
    let mut lines: Vec<_> = head.lines().collect();
    lines[1..].sort_unstable();
    let agent = concat!("user-agent: Tidings/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        lines,
        ["POST /hook HTTP/1.1", "accept: */*", "content-length: 7", "content-type: application/json", &host, agent]
    );
}

#[tokio::test]
async fn the_time_to_connect_includes_the_tls_handshake() {
    let receiver = Receiver::start(vec![Step::Hang]).await;
    let sender = Sender::new(&Config { connect_timeout_seconds: 1, ..local() }).expect("a sender");
    let request = super::request(&sender, &format!("https://{}/", receiver.address));
    let outcome = sender.send(Request { timeout: Duration::from_secs(5), ..request }).await;
    assert_eq!(outcome.class, Class::Timeout, "{outcome:?}");
    assert!(outcome.duration < Duration::from_secs(3), "{outcome:?}");
}

/// Variables cannot be set in a process with threads, so a test above runs again in a process that has them.
#[test]
fn proxy_variables_are_not_honoured() {
    let mut again = std::process::Command::new(std::env::current_exe().expect("this binary"));
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(name, "http://127.0.0.1:9");
    }
    again.env_remove("NO_PROXY").env_remove("no_proxy");
    let test =
        format!("{}::what_arrives_is_exactly_what_was_meant", module_path!().split_once("::").expect("a path").1);
    let run = again.args(["--exact", &test]).output().expect("a run");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}
