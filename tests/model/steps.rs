//! Steps: what processes, producers and operators may do, in any order. Numbers choose among what there is, so that a sequence
//! still makes sense when steps of it are left out.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Processes that dispatch.
pub const WORKERS: u8 = 3;
/// Places for webhooks: the tenant, what it wants, and whether it has a rate limit (of which nothing is leased at accept).
pub const PLACES: [(usize, &str, bool); 3] = [(0, "*", false), (0, "a", true), (1, "*", false)];
/// Types of events.
pub const TYPES: [&str; 2] = ["a", "b"];

/// An event to be reported.
#[derive(Debug, Clone)]
pub struct Fact {
    pub tenant: u8,
    pub kind: u8,
    pub key: Option<u8>,
    pub data: u8,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    Success,
    RetryAfter(u8),
    Terminal,
    /// Nothing was sent, so there is no attempt to record.
    Unrenderable,
}

#[derive(Debug, Clone)]
pub enum Step {
    /// Over REST. `to` is the process that is offered the leases; where the answer is lost, it never hears of them.
    Accept {
        facts: Vec<Fact>,
        to: Option<u8>,
        crowded: Option<u8>,
        all_or_nothing: bool,
        answer_lost: bool,
    },
    /// In SQL, in a transaction of the producer's.
    Enqueue {
        fact: Fact,
        commit: bool,
    },
    /// At most so many of each place.
    Claim {
        worker: u8,
        quotas: [u8; 3],
        answer_lost: bool,
    },
    /// Two processes at the same moment.
    ClaimTogether {
        workers: [u8; 2],
        quota: u8,
    },
    /// Some of what a process has in its hands, whether or not it still holds it. Where the answer is lost, it tries again later.
    Settle {
        worker: u8,
        skip: u8,
        count: u8,
        endings: Vec<Ending>,
        answer_lost: bool,
    },
    SettleAgain {
        worker: u8,
    },
    Release {
        worker: u8,
        count: u8,
    },
    Renew {
        worker: u8,
    },
    /// Gives up numbers that it doubted and has nothing of in its hands.
    Retire {
        worker: u8,
    },
    Rescue,
    /// It gives everything back and starts anew.
    Close {
        worker: u8,
    },
    /// It forgets everything and starts anew.
    Kill {
        worker: u8,
    },
    Wait {
        millis: u32,
    },
    Deactivate {
        place: u8,
    },
    Activate {
        place: u8,
        skip_backlog: bool,
    },
    /// The receiver answered 410, to a request of this revision or an older one.
    Gone {
        place: u8,
        stale: bool,
    },
    Park {
        place: u8,
        seconds: u8,
        stale: bool,
    },
    Delete {
        place: u8,
    },
    /// Where the place is free.
    Register {
        place: u8,
    },
    Resend {
        delivery: u8,
    },
    ResendDeadLetter {
        letter: u8,
    },
    DeleteDeadLetter {
        letter: u8,
    },
    Erase {
        event: u8,
    },
    /// Takes the place of a replay that was started before.
    Replay {
        tenant: u8,
        dead_letters: bool,
        place: Option<u8>,
        rate: u32,
    },
    Page,
}

impl Step {
    pub fn wait(&self) -> Duration {
        match self {
            Self::Wait { millis } => Duration::from_millis(u64::from(*millis)),
            _ => Duration::ZERO,
        }
    }
}

/// Of 45 steps, more or less; any length, so that they can be cut down to what matters.
pub fn sequences() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 0..90)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => producing(),
        46 => dispatching(),
        12 => prop::sample::select(vec![1, 100, 600, 3_000, 11_000, 31_000, 3_600_000, 90_000_000])
            .prop_map(|millis| Step::Wait { millis }),
        14 => managing(),
        20 => operating(),
    ]
}

fn worker() -> impl Strategy<Value = u8> {
    0..WORKERS
}

fn place() -> impl Strategy<Value = u8> {
    0..3u8
}

/// True once in ten times.
fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn fact() -> impl Strategy<Value = Fact> {
    (0..2u8, 0..2u8, option::weighted(0.3, 0..2u8), 0..2u8).prop_map(|(tenant, kind, key, data)| Fact {
        tenant,
        kind,
        key,
        data,
    })
}

fn producing() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (vec(fact(), 1..4), option::of(worker()), option::weighted(0.1, place()), any::<bool>(), rarely()).prop_map(
            |(facts, to, crowded, all_or_nothing, answer_lost)| Step::Accept { facts, to, crowded, all_or_nothing, answer_lost }
        ),
        1 => (fact(), prop::bool::weighted(0.8)).prop_map(|(fact, commit)| Step::Enqueue { fact, commit }),
    ]
}

fn dispatching() -> impl Strategy<Value = Step> {
    let ending = prop_oneof![
        3 => Just(Ending::Success),
        3 => (1..60u8).prop_map(Ending::RetryAfter),
        2 => Just(Ending::Terminal),
        1 => Just(Ending::Unrenderable),
    ];
    prop_oneof![
        12 => (worker(), [0..4u8, 0..4u8, 0..4u8], rarely())
            .prop_map(|(worker, quotas, answer_lost)| Step::Claim { worker, quotas, answer_lost }),
        3 => ([worker(), worker()], 1..4u8).prop_map(|(workers, quota)| Step::ClaimTogether { workers, quota }),
        14 => (worker(), 0..3u8, 1..5u8, vec(ending, 1..4), rarely()).prop_map(
            |(worker, skip, count, endings, answer_lost)| Step::Settle { worker, skip, count, endings, answer_lost }
        ),
        3 => worker().prop_map(|worker| Step::SettleAgain { worker }),
        3 => (worker(), 1..4u8).prop_map(|(worker, count)| Step::Release { worker, count }),
        5 => worker().prop_map(|worker| Step::Renew { worker }),
        2 => worker().prop_map(|worker| Step::Retire { worker }),
        5 => Just(Step::Rescue),
        1 => worker().prop_map(|worker| Step::Close { worker }),
        1 => worker().prop_map(|worker| Step::Kill { worker }),
    ]
}

fn managing() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => place().prop_map(|place| Step::Deactivate { place }),
        6 => (place(), rarely()).prop_map(|(place, skip_backlog)| Step::Activate { place, skip_backlog }),
        1 => (place(), any::<bool>()).prop_map(|(place, stale)| Step::Gone { place, stale }),
        2 => (place(), 1..60u8, rarely()).prop_map(|(place, seconds, stale)| Step::Park { place, seconds, stale }),
        1 => place().prop_map(|place| Step::Delete { place }),
        2 => place().prop_map(|place| Step::Register { place }),
    ]
}

fn operating() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u8>().prop_map(|delivery| Step::Resend { delivery }),
        4 => any::<u8>().prop_map(|letter| Step::ResendDeadLetter { letter }),
        1 => any::<u8>().prop_map(|letter| Step::DeleteDeadLetter { letter }),
        2 => any::<u8>().prop_map(|event| Step::Erase { event }),
        3 => (0..2u8, any::<bool>(), option::weighted(0.3, place()), prop::sample::select(vec![1, 4, 1_000]))
            .prop_map(|(tenant, dead_letters, place, rate)| Step::Replay { tenant, dead_letters, place, rate }),
        4 => Just(Step::Page),
    ]
}
