//! Whatever comes between workers and deliveries, none that waits is forgotten.

use proptest::prelude::*;

use super::tests::{claimed, webhook};
use super::*;

impl Lanes {
    /// Whether what they hold together is what each holds.
    pub(super) fn adds_up(&self) -> bool {
        let mut load = Load::default();
        for lane in self.by_webhook.values() {
            let deliveries = lane.queue.len();
            load.deliveries += deliveries;
            load.moving += if lane.pace == usize::MAX { deliveries } else { 0 };
            load.bytes += lane.queue.iter().map(lane::weight).sum::<usize>();
        }
        self.load == load
    }
}

/// What may happen to lanes.
#[derive(Debug, Clone, Copy)]
enum Step {
    Push(u128),
    Learn(u128),
    /// A worker that was hired asks for work.
    Ask,
    /// One of those under way ends.
    End(usize, Pace),
    /// What waits is taken back.
    Withdraw(u128),
}

/// Lanes, with workers that do as those of the dispatcher.
struct Floor {
    lanes: Lanes,
    /// Hired, and about to ask.
    asking: usize,
    under_way: Vec<WebhookId>,
    limit: usize,
}

impl Floor {
    fn step(&mut self, step: Step) {
        match step {
            Step::Push(number) => {
                let pushed = self.lanes.push(claimed(webhook(number)));
                self.asking += self.lanes.hire(usize::from(matches!(pushed, Pushed::Startable)));
            }
            Step::Learn(number) => {
                let startable = self.lanes.learn(webhook(number), self.limit);
                self.asking += self.lanes.hire(startable);
            }
            Step::Ask if self.asking > 0 => {
                self.asking -= 1;
                let Some(claimed) = self.lanes.next() else { return self.check() };
                self.under_way.push(claimed.webhook_id);
                self.asking += self.lanes.hire_for_turns();
                let startable = self.lanes.learn(claimed.webhook_id, self.limit);
                self.asking += self.lanes.hire(startable);
            }
            Step::End(which, pace) if !self.under_way.is_empty() => {
                let id = self.under_way.swap_remove(which % self.under_way.len());
                self.lanes.done(id, pace);
                self.asking += 1 + self.lanes.hire_beside(id);
            }
            Step::Withdraw(number) => drop(self.lanes.withdraw(webhook(number))),
            Step::Ask | Step::End(..) => {}
        }
        self.check();
    }

    /// Nothing that may start is without somebody who will ask for it, and what all lanes hold is known.
    fn check(&self) {
        assert!(self.lanes.adds_up());
        assert_eq!(self.lanes.workers, self.asking + self.under_way.len());
        assert!(self.asking > 0 || !self.may_start() || self.under_way.len() == self.lanes.capacity, "nobody asks");
    }

    /// Whether something waits that may start.
    fn may_start(&self) -> bool {
        let free = self.lanes.capacity - self.lanes.in_flight;
        self.lanes.by_webhook.values().any(|lane| lane.may_start(free))
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    const ALL: [Pace; 5] = [Pace::Faster, Pace::Same, Pace::Unasked, Pace::Slower, Pace::Restart];
    let pace = prop::sample::select(&ALL[..]);
    prop_oneof![
        4 => (1..6_u128).prop_map(Step::Push),
        1 => (1..6_u128).prop_map(Step::Learn),
        4 => Just(Step::Ask),
        3 => (any::<usize>(), pace).prop_map(|(which, pace)| Step::End(which, pace)),
        1 => (1..6_u128).prop_map(Step::Withdraw),
    ]
}

proptest! {
    #[test]
    fn everything_that_waits_gets_its_turn(
        capacity in 1..40_usize,
        limit in 1..12_usize,
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let mut floor = Floor { lanes: Lanes::new(capacity), asking: 0, under_way: Vec::new(), limit };
        for step in steps {
            floor.step(step);
        }
        while floor.asking > 0 || !floor.under_way.is_empty() {
            while floor.asking > 0 {
                floor.step(Step::Ask);
            }
            floor.step(Step::End(0, Pace::Same));
        }
        prop_assert_eq!((floor.lanes.queued(), floor.lanes.workers), (0, 0));
    }
}
