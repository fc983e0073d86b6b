//! How much may wait, in a lane and in all.

use std::sync::Arc;

use bytes::Bytes;

use super::tests::{claimed, filled, webhook};
use super::*;
use crate::domain::event::Event;

/// Pushes until the lane has no room, and says how many it took.
fn fill(lanes: &mut Lanes, number: u128) -> usize {
    let full = (0..MEMORY).find(|_| lanes.push(claimed(webhook(number))).is_refused());
    full.expect("a lane cannot take everything")
}

#[test]
fn a_crowded_lane_is_named_until_half_of_its_share_is_gone() {
    let mut lanes = Lanes::new(1_024);
    let id = webhook(1);
    while lanes.crowded().is_empty() {
        assert!(!lanes.push(claimed(id)).is_refused());
    }
    lanes.learn(id, 32);
    lanes.hire(1);
    let crowded_at = lanes.queued();
    while !lanes.crowded().is_empty() {
        assert!(lanes.next().is_some());
        lanes.done(id, Pace::Faster);
    }
    assert!((crowded_at / 2..=crowded_at * 5 / 8).contains(&lanes.queued()), "{} of {crowded_at}", lanes.queued());
}

#[test]
fn a_full_lane_gives_back_what_comes_and_is_crowded_until_it_is_emptied() {
    let mut lanes = Lanes::new(1_024);
    let taken = fill(&mut lanes, 1);
    assert_eq!(lanes.crowded(), [webhook(1)]);
    assert!(lanes.by_webhook[&webhook(1)].backlog, "what it gave back is in the database");
    assert_eq!(lanes.withdraw(webhook(1)).len(), taken);
    assert!(lanes.crowded().is_empty());
    assert_eq!(lanes.load, Load::default());
}

#[test]
fn however_many_lanes_are_full_a_fresh_one_finds_memory() {
    let mut lanes = Lanes::new(1_024);
    let taken: Vec<_> = (1..=100).map(|number| fill(&mut lanes, number)).collect();
    assert!(taken.is_sorted_by(|one, next| one >= next), "the more the others hold, the less: {taken:?}");
    assert!(fill(&mut lanes, 101) >= 1, "a little always");
    let before = lanes.queued();
    let returned: usize = std::iter::repeat_with(|| lanes.overflow().len()).take_while(|count| *count > 0).sum();
    assert_eq!(lanes.queued() + returned, before);
    assert!(lanes.adds_up());
    assert!(fill(&mut lanes, 999) > 100, "the first gave back what the others need");
}

/// A delivery of 256 KiB.
fn large(number: u128) -> Claimed {
    static DATA: [u8; 256 * 1024] = [b' '; 256 * 1024];
    let small = claimed(webhook(number));
    Claimed { event: Arc::new(Event { data: Bytes::from_static(&DATA), ..(*small.event).clone() }), ..small }
}

#[test]
fn large_data_fills_a_lane_as_many_deliveries_do() {
    let mut lanes = Lanes::new(1_024);
    let taken = (0..1_000).find(|_| lanes.push(large(1)).is_refused());
    assert_eq!(taken, Some(51), "a fifth of the memory");
    lanes.learn(webhook(1), 32);
    lanes.hire(1);
    while lanes.queued() > 20 {
        assert!(lanes.next().is_some());
        lanes.done(webhook(1), Pace::Faster);
    }
    assert_eq!(lanes.room(webhook(1), true), 9, "up to an eighth of what is free, going by the last one");
    assert!(fill(&mut lanes, 2) > 1_000);
}

#[test]
fn what_is_late_is_claimed_beside_what_was_handed_over_until_the_lane_is_crowded() {
    let mut lanes = filled(1_024, &[(1, 500)]);
    let id = webhook(1);
    assert_eq!((lanes.room(id, false), lanes.room(id, true)), (0, AHEAD), "enough waits");
    fill(&mut lanes, 1);
    assert_eq!(lanes.room(id, true), 0);
    assert_eq!(lanes.room(webhook(2), true), LOW);
}

#[test]
fn a_lane_in_which_nothing_waits_takes_one_however_large() {
    let mut lanes = Lanes::new(1_024);
    let taken = (1..1_000).find(|number| lanes.push(large(*number)).is_refused());
    assert_eq!(taken, Some(510), "up to twice the memory, an event of each");
    assert_eq!(lanes.room(webhook(1), true), 0);
    assert!(!lanes.has_room());
    lanes.withdraw(webhook(2));
    assert_eq!((lanes.room(webhook(2), true), lanes.room(webhook(1), true)), (1, 0));
    assert!(lanes.overflow().is_empty(), "one stays in each");
}

#[test]
fn what_lapsed_before_does_not_wait_in_a_lane_that_may_hang() {
    let mut lanes = Lanes::new(64);
    let lapsed = || Claimed { lapses: 1, ..claimed(webhook(1)) };
    assert!(lanes.room(webhook(1), true) > 1);
    assert!(matches!(lanes.push(lapsed()), Pushed::Startable));
    assert!(lanes.push(lapsed()).is_refused(), "one may start before the limit is known");
    assert_eq!(lanes.room(webhook(1), true), 0);
    let startable = lanes.learn(webhook(1), 4);
    assert_eq!((startable, lanes.room(webhook(1), true)), (1, 3));
    for _ in 0..3 {
        assert!(matches!(lanes.push(lapsed()), Pushed::Startable));
    }
    assert!(lanes.push(lapsed()).is_refused());
    assert!(!lanes.push(claimed(webhook(1))).is_refused(), "what has not lapsed may wait");
    lanes.hire(1);
    assert!(lanes.next().is_some());
    lanes.done(webhook(1), Pace::Unasked);
    assert!(lanes.next().is_some());
    assert!(lanes.push(lapsed()).is_refused(), "it was not asked, so nothing more is known of it");
    lanes.done(webhook(1), Pace::Faster);
    assert!(lanes.room(webhook(1), true) > 4 && !lanes.push(lapsed()).is_refused(), "it moves");
    assert!(lanes.next().is_some());
    lanes.done(webhook(1), Pace::Unasked);
    assert!(lanes.next().is_some() && lanes.room(webhook(1), true) > 4, "it still does");
    lanes.done(webhook(1), Pace::Slower);
    assert!(lanes.room(webhook(1), true) == 0 && lanes.push(lapsed()).is_refused(), "it does not any more");
}
