//! Receivers that mean harm, beyond the plain failures in `outcomes`: each has an outcome, within the time of an attempt.

use std::time::Duration;

use bytes::Bytes;

use super::receiver::{Receiver, Step, answers};
use super::{TIMEOUT, local, request, send};
use crate::domain::outcome::{Class, Outcome};
use crate::net::{Request, Sender};

const AT_ONCE: Duration = Duration::ZERO;
const NOW_AND_THEN: Duration = Duration::from_millis(20);
static JUNK: [u8; 8_192] = [b'x'; 8_192];

/// One row: what the receiver does, how it does it, and what it comes to.
type Row = (&'static str, Vec<Step>, Class);

async fn play(rows: Vec<Row>) -> Vec<(&'static str, Outcome)> {
    let mut outcomes = Vec::new();
    for (what, script, class) in rows {
        let receiver = Receiver::start(script).await;
        let outcome = send(&Sender::new(&local()).expect("a sender"), &receiver.url()).await;
        assert_eq!(outcome.class, class, "{what}: {:?}", outcome.error);
        assert!(outcome.duration < TIMEOUT * 2, "{what}: {:?}", outcome.duration);
        assert!(outcome.answer.as_ref().is_none_or(|answer| answer.body.len() <= 16 * 1024), "{what}");
        outcomes.push((what, outcome));
    }
    outcomes
}

/// The first bytes of an answer, and what follows.
fn begins(bytes: &str, then: Step) -> Vec<Step> {
    vec![Step::Read, Step::Write(bytes.into()), then]
}

#[tokio::test]
async fn connections_that_break_before_the_status_line_have_failed_to_connect() {
    let mut rows: Vec<Row> = Vec::new();
    for part in
        ["H", "HTTP/1.1 20", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 OK\r\nx: y\r\n", "HTTP/1.1 100 Continue\r\n\r\n"]
    {
        rows.push(("resets within the head", begins(part, Step::Reset), Class::Connect));
        rows.push(("closes within the head", answers(part), Class::Connect));
        rows.push(("goes silent within the head", begins(part, Step::Hang), Class::Timeout));
    }
    rows.push(("drips its status line", begins("HTTP/1.1 200 ", Step::Repeat(b"O", NOW_AND_THEN)), Class::Timeout));
    rows.push((
        "drips 1xx",
        vec![Step::Read, Step::Repeat(b"HTTP/1.1 103 Hm\r\na: b\r\n\r\n", NOW_AND_THEN)],
        Class::Timeout,
    ));
    play(rows).await;
}

#[tokio::test]
async fn heads_of_odd_shapes_are_not_http_or_are_taken_for_what_they_say() {
    let head = |line: &str| answers(format!("{line}\r\ncontent-length: 0\r\n\r\n"));
    let with = |header: &str| answers(format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\nok"));
    play(vec![
        ("answers in another version", head("HTTP/2.0 200 OK"), Class::Protocol),
        ("answers in HTTP/3", head("HTTP/3 200 OK"), Class::Protocol),
        ("answers in small letters", head("http/1.1 200 OK"), Class::Protocol),
        ("is a radio station", head("ICY 200 OK"), Class::Protocol),
        ("has a status below 100", head("HTTP/1.1 099 Odd"), Class::Protocol),
        ("has no status", head("HTTP/1.1  OK"), Class::Protocol),
        ("has a negative status", head("HTTP/1.1 -20 OK"), Class::Protocol),
        ("is old", head("HTTP/1.0 200 OK"), Class::Success),
        ("gives no reason", head("HTTP/1.1 200"), Class::Success),
        ("gives an empty reason", head("HTTP/1.1 200 "), Class::Success),
        ("gives its reason in another alphabet", head("HTTP/1.1 200 \u{43e}\u{43a}"), Class::Success),
        ("ends lines as Unix does", answers("HTTP/1.1 200 OK\ncontent-length: 2\n\nok"), Class::Success),
        ("claims a negative length", with("content-length: -5"), Class::Protocol),
        ("claims a length with a sign", with("content-length: +2"), Class::Protocol),
        ("claims a length beyond all numbers", with("content-length: 99999999999999999999999"), Class::Protocol),
        ("claims two lengths in one line", with("content-length: 2, 3"), Class::Protocol),
        ("claims the same length twice", with("content-length: 2\r\ncontent-length: 2"), Class::Success),
        ("claims a length and chunks", with("content-length: 2\r\ntransfer-encoding: chunked"), Class::Success),
        ("codes its body unheard of", with("transfer-encoding: gzip, rot13"), Class::Success),
        ("folds a header", with("x: y\r\n z"), Class::Protocol),
        ("hides a zero in a header", with("x: y\0z"), Class::Protocol),
        ("names a header with nothing", with(": y"), Class::Protocol),
        ("sends one header of 200 KB", with(&format!("x: {}", "y".repeat(200_000))), Class::Protocol),
    ])
    .await;
}

#[tokio::test]
async fn whatever_follows_a_good_status_line_is_cut_short() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n";
    let then = |first: &str, more: &str, step: Step| begins(&format!("{first}{more}"), step);
    let outcomes = play(vec![
        ("sends chunks of nonsense size", then(chunked, "zz\r\nabc\r\n", Step::Hang), Class::Success),
        ("sends a chunk beyond all numbers", then(chunked, "fffffffffffffffff\r\nabc", Step::Hang), Class::Success),
        ("never ends a chunk's extension", then(chunked, "3;", Step::Repeat(&JUNK, AT_ONCE)), Class::Success),
        ("never ends its trailers", then(chunked, "0\r\n", Step::Repeat(b"a: b\r\n", AT_ONCE)), Class::Success),
        (
            "sends chunks of one byte, slowly",
            then(chunked, "", Step::Repeat(b"1\r\nx\r\n", NOW_AND_THEN)),
            Class::Success,
        ),
        ("sends chunks of one byte, for ever", then(chunked, "", Step::Repeat(b"1\r\nx\r\n", AT_ONCE)), Class::Success),
        ("sends more than anyone asked for", then(long, "", Step::Repeat(&JUNK, AT_ONCE)), Class::Success),
        ("resets amid the body", then(long, "half", Step::Reset), Class::Success),
        ("sends a bomb of zeros, packed", then(long, "\u{1f}\u{8b}", Step::Repeat(&JUNK, AT_ONCE)), Class::Success),
    ])
    .await;
    assert!(outcomes.iter().all(|(_, outcome)| outcome.status() == Some(200)));
}

/// An answer that comes with the one before must not be taken for that to the next request.
#[tokio::test]
async fn a_second_answer_is_not_taken_for_the_next_requests() {
    let two = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(vec![Step::Read, Step::Write(two.into()), Step::Again]).await;
    let sender = Sender::new(&local()).expect("a sender");
    for turn in 1..=5 {
        let outcome = send(&sender, &receiver.url()).await;
        assert_eq!((outcome.status(), receiver.connections()), (Some(500), turn), "{:?}", outcome.error);
    }
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_counts() {
    let refusal = b"HTTP/1.1 413 Too much\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let receiver = Receiver::start(vec![Step::ReadSome, Step::Write(refusal.to_vec()), Step::Hang]).await;
    let sender = Sender::new(&local()).expect("a sender");
    let large = Request { body: Bytes::from(vec![b' '; 8 * 1024 * 1024]), ..request(&sender, &receiver.url()) };
    let outcome = sender.send(large).await;
    assert_eq!((outcome.class, outcome.status()), (Class::HttpStatus, Some(413)), "{:?}", outcome.error);
    assert!(outcome.duration < TIMEOUT, "{:?}", outcome.duration);
}
