//! The JSON around events: what a producer sends, and what it is told.

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use tidings::api::benched;

use crate::samples::{SIZES, data, event_id};

const BATCH: usize = 100;

fn event(kibibytes: usize) -> String {
    let data = String::from_utf8(data(kibibytes).into()).expect("text");
    format!(r#"{{"type":"document.processed","idempotency_key":"order-4711","data":{data}}}"#)
}

/// `POST /v1/events`.
#[divan::bench(args = SIZES)]
fn read_event(bencher: Bencher, kibibytes: usize) {
    let body = Bytes::from(event(kibibytes));
    benched::read_event(body.clone()).expect("an event");
    bencher.counter(BytesCount::from(body.len())).bench(|| benched::read_event(black_box(body.clone())));
}

/// `POST /v1/events/batch` with 100 events.
#[divan::bench(args = SIZES)]
fn read_batch(bencher: Bencher, kibibytes: usize) {
    let body = Bytes::from(format!(r#"{{"events":[{}]}}"#, vec![event(kibibytes); BATCH].join(",")));
    assert_eq!(benched::read_batch(body.clone()).expect("a batch").len(), BATCH);
    bencher
        .counter(BytesCount::from(body.len()))
        .counter(ItemsCount::new(BATCH))
        .bench(|| benched::read_batch(black_box(body.clone())));
}

/// What is wrong is looked for anew where something is, so it costs more than what is right.
#[divan::bench]
fn read_wrong_event(bencher: Bencher) {
    let body = Bytes::from(event(1).replacen(r#""idempotency_key":"order-4711""#, r#""idempotency_key":4711"#, 1));
    assert!(benched::read_event(body.clone()).is_err(), "it is refused");
    bencher.bench(|| benched::read_event(black_box(body.clone())));
}

/// The 202, for one event and for a batch.
#[divan::bench(args = [1, BATCH])]
fn answer(bencher: Bencher, events: usize) {
    let ids = vec![event_id(); events];
    bencher.counter(ItemsCount::new(events)).bench(|| match black_box(&ids)[..] {
        [id] => benched::answer(id),
        ref ids => benched::answer_batch(ids),
    });
}
