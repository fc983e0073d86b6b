use std::sync::Arc;

use bytes::Bytes;
use chrono::DateTime;

use super::*;
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};
use crate::domain::lease::{DialectRevision, DispatcherId, Holder};

pub(super) const fn webhook(number: u128) -> WebhookId {
    WebhookId::from_u128(number)
}

pub(super) fn claimed(webhook_id: WebhookId) -> Claimed {
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
        lapses: 0,
        event: Arc::new(Event { tenant_id, id, event_type: "a".into(), occurred_at: None, data: Bytes::new() }),
    }
}

pub(super) fn filled(capacity: usize, lanes: &[(u128, usize)]) -> Lanes {
    let mut all = Lanes::new(capacity);
    for &(number, count) in lanes {
        for _ in 0..count {
            assert!(!all.push(claimed(webhook(number))).is_refused(), "there is room");
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
        assert!(!lanes.push(claimed(webhook(1))).is_refused());
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
    assert!(!lanes.push(claimed(webhook(999))).is_refused());
    lanes.hire(1);
    assert_eq!(lanes.next().map(|claimed| claimed.webhook_id), Some(webhook(999)));
}

#[test]
fn a_silent_receiver_is_slowed_and_successes_bring_the_pace_back() {
    let mut lanes = filled(1_024, &[(1, 500)]);
    let id = webhook(1);
    assert_eq!(start_all(&mut lanes).len(), 32);
    assert_eq!((lanes.queued(), lanes.moving()), (468, 468));
    for _ in 0..32 {
        lanes.done(id, Pace::Slower);
    }
    assert_eq!((lanes.queued(), lanes.moving()), (468, 0), "what waits for it does not move");
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
    assert_eq!((lanes.queued(), lanes.moving()), (397, 397));
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
fn an_idle_lane_keeps_its_pace_for_a_while_and_no_buffer() {
    let mut lanes = filled(1_024, &[(1, 500)]);
    let id = webhook(1);
    while let Some(claimed) = lanes.next() {
        lanes.done(claimed.webhook_id, Pace::Slower);
        lanes.hire(1);
    }
    let (start, minute) = (Duration::from_secs(7), Duration::from_mins(1));
    assert!(lanes.by_webhook[&id].queue.capacity() >= 500);
    lanes.forget_backlogs(start);
    assert_eq!(lanes.by_webhook[&id].queue.capacity(), 0);

    lanes.forget_backlogs(start + lane::REMEMBERED);
    assert!(!lanes.push(claimed(id)).is_refused());
    lanes.forget_backlogs(start + lane::REMEMBERED + minute);
    assert!(lanes.next().is_some(), "what waits stays");
    lanes.forget_backlogs(start + lane::REMEMBERED + minute);
    lanes.done(id, Pace::Slower);
    lanes.forget_backlogs(start + lane::REMEMBERED + 2 * minute);
    assert_eq!(lanes.by_webhook[&id].pace, 8, "its time begins anew with each delivery");
    lanes.forget_backlogs(start + lane::REMEMBERED * 2 + 3 * minute);
    assert!(lanes.by_webhook.is_empty());
}

#[test]
fn workers_are_dismissed_when_there_is_nothing_to_start() {
    let mut lanes = Lanes::new(2);
    assert_eq!(lanes.hire(5), 2);
    assert!(lanes.next().is_none() && lanes.next().is_none());
    assert_eq!(lanes.hire(5), 2);
}

#[test]
fn nobody_is_called_for_what_may_not_start() {
    let mut lanes = filled(1_024, &[(1, 30)]);
    let startable = |lanes: &mut Lanes, number| matches!(lanes.push(claimed(webhook(number))), Pushed::Startable);
    assert_eq!(start_all(&mut lanes).len(), 30);
    assert_eq!([(); 4].map(|()| startable(&mut lanes, 1)), [true, true, false, false], "its limit is 32");
    assert_eq!([(); 2].map(|()| startable(&mut lanes, 2)), [true, false], "its limit is not known yet");
}

#[test]
fn a_lane_keeps_up_with_its_pace() {
    let mut lanes = filled(1_024, &[(1, 500)]);
    let id = webhook(1);
    for _ in start_all(&mut lanes) {
        lanes.done(id, Pace::Restart);
    }
    while lanes.next().is_some() || lanes.workers > lanes.in_flight() {}
    assert_eq!(lanes.in_flight(), 1);
    for under_way in 2..=32 {
        lanes.done(id, Pace::Faster);
        for _ in 0..=lanes.hire_beside(id) {
            assert!(lanes.next().is_some(), "nobody is called in vain");
        }
        assert_eq!(lanes.in_flight(), under_way);
    }
}

#[test]
fn what_may_start_since_others_have_ended_is_started() {
    let mut lanes = Lanes::new(40);
    let start = |lanes: &mut Lanes, number| {
        let pushed = lanes.push(claimed(webhook(number)));
        lanes.learn(webhook(number), 32);
        let is_called = matches!(pushed, Pushed::Startable);
        while lanes.hire(1) == 1 && lanes.next().is_some() {}
        is_called
    };
    assert!((2..=36).all(|number| start(&mut lanes, number)), "each lane has room for one");
    let called = (0..7).filter(|_| start(&mut lanes, 1)).count();
    assert_eq!((called, lanes.queued()), (1, 6), "little is free");
    for number in 2..=36 {
        lanes.done(webhook(number), Pace::Faster);
        while lanes.next().is_some() && lanes.hire_for_turns() == 1 {}
    }
    assert_eq!((lanes.in_flight(), lanes.queued()), (4, 3), "an eighth of what is free");
}

#[test]
fn some_are_taken_out_and_the_others_keep_their_order_and_their_room() {
    let held_by =
        |number, place| Claimed { holder: Holder::new(DispatcherId(number)), attempt: place, ..claimed(webhook(1)) };
    let mut lanes = Lanes::new(1_024);
    lanes.hire(16);
    for place in 1..=6 {
        assert!(!lanes.push(held_by(i32::from(place % 2), place)).is_refused(), "there is room");
    }
    assert!(!lanes.push(Claimed { holder: Holder::new(DispatcherId(0)), ..claimed(webhook(2)) }).is_refused());
    let before = lanes.load.bytes;
    let taken = lanes.withdraw_those(|claimed| claimed.holder.id() == DispatcherId(1));
    assert_eq!(taken.iter().map(|claimed| claimed.attempt).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!((lanes.queued(), lanes.load.bytes), (4, before / 7 * 4));
    lanes.learn(webhook(1), 16);
    let left: Vec<_> =
        std::iter::from_fn(|| lanes.next()).map(|claimed| (claimed.webhook_id, claimed.attempt)).collect();
    let of_first: Vec<_> = left.iter().filter(|(id, _)| *id == webhook(1)).map(|(_, place)| *place).collect();
    assert_eq!((of_first, left.len(), lanes.load.bytes), (vec![2, 4, 6], 4, 0));
}
