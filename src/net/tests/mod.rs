//! The room seen from outside, with real sockets on 127.0.0.1.

mod headers;
mod hostile;
mod http2;
mod http2_shared;
mod names;
mod outcomes;
mod receiver;
mod reuse;
mod targets;
mod tls;

use std::time::Duration;

use bytes::Bytes;

use super::{Config, Headers, Request, Sender, Target};
use crate::domain::outcome::Outcome;

/// The time of an attempt in these tests.
const TIMEOUT: Duration = Duration::from_millis(400);

fn local() -> Config {
    Config { allow: vec!["127.0.0.0/8".parse().expect("a network")], ..Config::default() }
}

fn request(sender: &Sender, url: &str) -> Request {
    let mut headers = Headers::default();
    headers.set("content-type", "application/json").expect("a header");
    let target = Target::parse(url, true, sender.guard()).expect(url);
    Request { target, headers, body: Bytes::from_static(b"{\"n\":1}"), timeout: TIMEOUT }
}

async fn send(sender: &Sender, url: &str) -> Outcome {
    sender.send(request(sender, url)).await
}

/// With time enough for many to make connections at once on a busy machine.
async fn send_patiently(sender: &Sender, url: &str) -> Outcome {
    sender.send(Request { timeout: TIMEOUT * 50, ..request(sender, url) }).await
}
