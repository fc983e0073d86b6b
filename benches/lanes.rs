//! Whose turn it is. Nothing here may cost more for many webhooks than for few, beside what caches forget.

use std::sync::Arc;

use chrono::DateTime;
use divan::Bencher;
use divan::counter::ItemsCount;
use tidings::dispatch::benched::Lanes;
use tidings::domain::event::Event;
use tidings::domain::ids::{TenantId, WebhookId};
use tidings::domain::lease::{Claimed, DialectRevision, DispatcherId, Holder};

use crate::samples::{event, event_id};

const WEBHOOKS: [usize; 3] = [1, 100, 10_000];
/// Deliveries that are put in and taken out: as many as one lane has room for, and one for each webhook.
const fn count(webhooks: usize) -> usize {
    if webhooks > 4_000 { webhooks } else { 4_000 }
}

/// What a process and a webhook may have under way.
const CAPACITY: usize = 1_024;
const LIMIT: usize = 32;

/// Deliveries to webhooks in turn.
fn deliveries(webhooks: usize) -> Vec<Claimed> {
    let (event, holder) = (Arc::new(event(1)), Holder::new(DispatcherId(1)));
    (0..count(webhooks)).map(|number| delivery(webhook(number % webhooks), &event, &holder)).collect()
}

const fn webhook(number: usize) -> WebhookId {
    // As ids are: most of them from one time, told apart by what stands behind it.
    WebhookId::from_u128(0x019c_0000_0000_0000_0000_0000_0000_0000 + (number as u128) * 0x9e37_79b9)
}

fn delivery(webhook_id: WebhookId, event: &Arc<Event>, holder: &Holder) -> Claimed {
    Claimed {
        tenant_id: TenantId::from_u128(1),
        delivery_id: event_id().delivery(1),
        webhook_id,
        dialect: DialectRevision(1),
        holder: holder.clone(),
        attempt: 1,
        attempts_before: 0,
        lapses: 0,
        event: Arc::clone(event),
        trace: None,
        claimed_at: DateTime::UNIX_EPOCH,
    }
}

/// Lanes in which deliveries wait, with all workers hired.
fn filled(deliveries: Vec<Claimed>) -> Lanes {
    let mut lanes = Lanes::new(CAPACITY);
    for claimed in deliveries {
        assert!(lanes.push(claimed, LIMIT), "there is room");
    }
    lanes.hire(CAPACITY);
    lanes
}

/// A delivery is handed over into a lane that others wait in.
#[divan::bench(args = WEBHOOKS)]
fn push(bencher: Bencher, webhooks: usize) {
    let empty = || (deliveries(webhooks), Lanes::new(CAPACITY));
    bencher.counter(ItemsCount::new(count(webhooks))).with_inputs(empty).bench_local_values(
        |(deliveries, mut lanes)| {
            for claimed in deliveries {
                lanes.push(claimed, LIMIT);
            }
            lanes
        },
    );
}

/// A worker ends one delivery and takes the next, until none waits.
#[divan::bench(args = WEBHOOKS)]
fn next_and_done(bencher: Bencher, webhooks: usize) {
    let full = || filled(deliveries(webhooks));
    bencher.counter(ItemsCount::new(count(webhooks))).with_inputs(full).bench_local_values(|mut lanes| {
        while let Some(claimed) = lanes.next() {
            lanes.done(claimed.webhook_id);
        }
        lanes
    });
}

/// A fresh event's way through, beside webhooks that hang: each has as much under way as it may, and more waiting.
#[divan::bench(args = [1, 100])]
fn fresh_beside_hanging(bencher: Bencher, hanging: usize) {
    let mut lanes = filled(deliveries(hanging));
    let under_way: Vec<_> = std::iter::from_fn(|| lanes.next()).collect();
    assert!(under_way.len() >= LIMIT.min(CAPACITY / hanging) / 2, "they hang");
    let (event, holder) = (Arc::new(event(1)), Holder::new(DispatcherId(1)));
    bencher.bench_local(|| {
        lanes.push(delivery(webhook(hanging), &event, &holder), LIMIT);
        lanes.hire(1);
        let fresh = lanes.next().expect("its turn");
        lanes.done(fresh.webhook_id);
        lanes.next()
    });
}
