//! Identifiers: made for each event, written into each answer and header, read from each path.

use chrono::DateTime;
use divan::{Bencher, black_box};
use tidings::domain::ids::{DeliveryId, EventId, InvalidId};

use crate::samples::event_id;

#[divan::bench]
fn make() -> DeliveryId {
    EventId::new(black_box(DateTime::UNIX_EPOCH), black_box(0x5eed)).delivery(1)
}

#[divan::bench]
fn write(bencher: Bencher) {
    let id = event_id();
    bencher.bench(|| black_box(id).to_string());
}

#[divan::bench]
fn read() -> Result<EventId, InvalidId> {
    black_box("evt_01kma6q2xr3v8w5t9y7z4h0000").parse()
}

#[divan::bench]
fn read_another_kind() -> Result<DeliveryId, InvalidId> {
    black_box("evt_01kma6q2xr3v8w5t9y7z4h0000").parse()
}
