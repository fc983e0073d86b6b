//! The outbox against a model of it: whatever producers, processes, receivers and operators do, in whatever order, the tables hold
//! what the books say. A sequence that goes wrong is cut down to the steps that it takes, and printed as a list.
//!
//! `PROPTEST_CASES` sets how many sequences are tried, `PROPTEST_RNG_SEED` which.

mod books;
mod hands;
mod steps;

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;

use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use tokio::runtime::Runtime;

use hands::Bench;
use steps::{Ending, Fact, Step};

/// Sequences where nobody says how many: some seconds' worth.
const CASES: u32 = 24;
/// Milliseconds for cutting a sequence down that went wrong.
const SHRINKING: u32 = 120_000;

#[test]
fn the_outbox_is_what_a_model_of_it_says() {
    let runtime = runtime();
    let bench = RefCell::new(runtime.block_on(Bench::new()));
    let defaults =
        Config { max_shrink_time: SHRINKING, max_shrink_iters: 10_000, failure_persistence: None, ..Config::default() };
    let cases = std::env::var_os("PROPTEST_CASES").map_or(CASES, |_| defaults.cases);
    let good = Cell::new(0);
    let is_good_so_far = Cell::new(true);
    let played = TestRunner::new(Config { cases, ..defaults }).run(&steps::sequences(), |steps| {
        let played = runtime.block_on(bench.borrow_mut().play(&steps));
        is_good_so_far.set(is_good_so_far.get() && played.is_ok());
        good.set(good.get() + u32::from(is_good_so_far.get()));
        played.map_err(TestCaseError::fail)
    });
    match played {
        Ok(()) => {}
        Err(TestError::Fail(why, steps)) => {
            panic!("after {} good sequences: {why}\nafter these steps:\n{}", good.get(), list(&steps))
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_result_that_is_recorded_again_settles_no_later_attempt() {
    let fact = Fact { tenant: 0, kind: 1, key: None, data: 0 };
    let steps = [
        Step::Accept { facts: vec![fact], to: Some(0), crowded: None, all_or_nothing: false, answer_lost: false },
        Step::Settle { worker: 0, skip: 0, count: 1, endings: vec![Ending::Unrenderable], answer_lost: true },
        Step::ResendDeadLetter { letter: 0 },
        Step::Claim { worker: 0, quotas: [1; 3], answer_lost: false },
        Step::SettleAgain { worker: 0 },
    ];
    let played = runtime().block_on(async { Bench::new().await.play(&steps).await });
    assert_eq!(played, Ok(()));
}

#[test]
fn of_two_results_under_one_lease_the_one_that_ends_the_delivery_counts() {
    let fact = Fact { tenant: 0, kind: 1, key: None, data: 0 };
    let steps = [
        Step::Accept { facts: vec![fact], to: Some(0), crowded: None, all_or_nothing: false, answer_lost: false },
        Step::Wait { millis: 3_600_000 },
        Step::Rescue,
        Step::Claim { worker: 0, quotas: [1; 3], answer_lost: false },
        Step::Settle {
            worker: 0,
            skip: 0,
            count: 2,
            endings: vec![Ending::RetryAfter(5), Ending::Success],
            answer_lost: false,
        },
    ];
    let played = runtime().block_on(async { Bench::new().await.play(&steps).await });
    assert_eq!(played, Ok(()));
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn list(steps: &[Step]) -> String {
    let mut text = String::new();
    for (number, step) in (1..).zip(steps) {
        let _ = writeln!(text, "{number:3} {step:?}");
    }
    text
}
