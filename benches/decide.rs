//! What follows an attempt.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use divan::{Bencher, black_box};
use tidings::dialect::Dialects;
use tidings::domain::outcome::{Answer, Class, Outcome, RetryAfter};
use tidings::domain::retry::{self, RetryPolicy};

/// An attempt that ended.
struct Ended {
    name: &'static str,
    attempt: u16,
    outcome: Outcome,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn answered(name: &'static str, attempt: u16, status: u16, retry_after: Option<RetryAfter>) -> Ended {
    let class = if (200..300).contains(&status) { Class::Success } else { Class::HttpStatus };
    let answer = Answer { status, headers: String::new(), body: Bytes::new(), retry_after };
    Ended { name, attempt, outcome: Outcome { class, answer: Some(answer), error: None, duration: Duration::ZERO } }
}

fn ends() -> Vec<Ended> {
    let mut timeout = answered("timeout", 1, 0, None);
    timeout.outcome = Outcome { class: Class::Timeout, answer: None, ..timeout.outcome };
    vec![
        answered("200", 1, 200, None),
        answered("500, the third time", 3, 500, None),
        answered("500, the last time", 10, 500, None),
        answered("503, Retry-After", 1, 503, Some(RetryAfter::Delay(Duration::from_secs(90)))),
        answered("410", 1, 410, None),
        timeout,
    ]
}

#[divan::bench(args = ends())]
fn decide(bencher: Bencher, ended: &Ended) {
    let dialects = Dialects::builtin().expect("the built-in dialects");
    let policy: &RetryPolicy = dialects.get("standard").expect("a dialect").retry();
    bencher.bench(|| {
        retry::decide(policy, black_box(ended.attempt), black_box(&ended.outcome), DateTime::UNIX_EPOCH, 0.5)
    });
}
