use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;

use super::*;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};
use crate::domain::lease::{DialectRevision, DispatcherId, Holder};

const fn webhook(number: u128) -> WebhookId {
    WebhookId::from_u128(number)
}

fn claimed(webhook_id: WebhookId) -> Claimed {
    let tenant_id = TenantId::from_u128(1);
    let id = EventId::new(DateTime::UNIX_EPOCH, 0);
    Claimed {
        trace: None,
        claimed_at: DateTime::UNIX_EPOCH,
        tenant_id,
        delivery_id: id.delivery(1),
        webhook_id,
        dialect: DialectRevision(1),
        holder: Holder::new(DispatcherId(1)),
        attempt: 1,
        attempts_before: 0,
        event: Arc::new(Event { tenant_id, id, event_type: "a".into(), occurred_at: None, data: Bytes::new() }),
    }
}

fn filled(capacity: usize, lanes: &[(u128, usize)]) -> Lanes {
    let mut all = Lanes::new(capacity);
    for &(number, count) in lanes {
        for _ in 0..count {
            all.push(claimed(webhook(number)));
        }
        all.learn(webhook(number), 32);
    }
    all.hire(capacity);
    all
}

fn start_all(lanes: &mut Lanes) -> Vec<u128> {
    std::iter::from_fn(|| lanes.next()).map(|claimed| claimed.webhook_id.as_u128()).collect()
}

#[test]
fn lanes_take_turns() {
    let mut lanes = filled(1_024, &[(1, 3), (2, 1), (3, 2)]);
    assert_eq!(start_all(&mut lanes), [1, 2, 3, 1, 3, 1]);
}

#[test]
fn a_lane_starts_no_more_than_its_limit_and_goes_on_when_one_is_done() {
    let mut lanes = filled(1_024, &[(1, 100)]);
    assert_eq!(start_all(&mut lanes).len(), 32);
    lanes.hire(1);
    assert!(lanes.next().is_none());
    lanes.done(webhook(1), Pace::Faster);
    lanes.hire(1);
    assert!(lanes.next().is_some());
    assert_eq!((lanes.in_flight(), lanes.queued()), (32, 67));
}

#[test]
fn an_unknown_lane_starts_one_until_its_limit_is_learnt() {
    let mut lanes = Lanes::new(1_024);
    for _ in 0..5 {
        lanes.push(claimed(webhook(1)));
    }
    lanes.hire(5);
    assert_eq!(start_all(&mut lanes).len(), 1);
    assert_eq!(lanes.learn(webhook(1), 3), 2);
    lanes.hire(2);
    assert_eq!(start_all(&mut lanes).len(), 2);
}

#[test]
fn however_many_lanes_hang_a_fresh_one_finds_room() {
    let hanging: Vec<_> = (1..=200).map(|number| (number, 100)).collect();
    let mut lanes = filled(1_024, &hanging);
    let started = start_all(&mut lanes).len();
    assert!(started < 1_024, "{started} hang");
    lanes.push(claimed(webhook(999)));
    lanes.hire(1);
    assert_eq!(lanes.next().map(|claimed| claimed.webhook_id), Some(webhook(999)));
}

#[test]
fn a_silent_receiver_is_slowed_and_successes_bring_the_pace_back() {
    let mut lanes = filled(1_024, &[(1, 500)]);
    let id = webhook(1);
    assert_eq!(start_all(&mut lanes).len(), 32);
    for _ in 0..32 {
        lanes.done(id, Pace::Slower);
    }
    lanes.hire(100);
    assert_eq!(start_all(&mut lanes).len(), 8, "a quarter of the limit");
    while lanes.workers > 8 {
        assert!(lanes.next().is_none(), "the others leave");
    }
    lanes.done(id, Pace::Restart);
    for _ in 0..7 {
        lanes.done(id, Pace::Same);
    }
    lanes.workers = 1;
    let mut rounds = vec![];
    let mut hired = 1;
    for _ in 0..6 {
        let started: Vec<_> = (0..hired).filter_map(|_| lanes.next()).collect();
        // Whoever ends an attempt goes on, beside those hired for what the grown pace allows.
        hired = started.len();
        for _ in &started {
            lanes.done(id, Pace::Faster);
            hired += lanes.hire_beside(id);
        }
        rounds.push(started.len());
    }
    assert_eq!(rounds, [1, 2, 4, 8, 16, 32]);
}

#[test]
fn a_crowded_lane_is_named_until_half_of_it_is_gone() {
    let mut lanes = filled(1_024, &[(1, CROWDED)]);
    assert_eq!(lanes.crowded(), [webhook(1)]);
    assert_eq!(lanes.withdraw(webhook(1)).len(), CROWDED);
    assert!(lanes.crowded().is_empty());
    assert_eq!(lanes.queued(), 0);
}

#[test]
fn a_lane_running_low_asks_for_its_backlog() {
    let mut lanes = filled(1_024, &[(1, 2)]);
    lanes.note_backlog(webhook(1), true);
    start_all(&mut lanes);
    assert!(lanes.done(webhook(1), Pace::Faster));
    lanes.note_backlog(webhook(1), false);
    assert!(!lanes.done(webhook(1), Pace::Faster));
    assert!(lanes.by_webhook.is_empty(), "an idle lane is forgotten");
}

#[test]
fn workers_are_dismissed_when_there_is_nothing_to_start() {
    let mut lanes = Lanes::new(2);
    assert_eq!(lanes.hire(5), 2);
    assert!(lanes.next().is_none() && lanes.next().is_none());
    assert_eq!(lanes.hire(5), 2);
}
