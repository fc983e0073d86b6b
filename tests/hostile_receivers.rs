//! A hundred receivers that mean harm, all at once, at the built program: what they cost it, and what they cost others.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::support::fiend;
use crate::support::load::Api;
use crate::support::process::{Served, settings};
use crate::support::{Receiver, database};

const HOSTILE: usize = 100;
/// Events for the healthy receiver in a run, and the time between two.
const EVENTS: usize = 300;
const PAUSE: Duration = Duration::from_millis(20);

/// Kilobytes of memory that a process has now.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// What a run of healthy events saw.
struct Run {
    p50: Duration,
    p99: Duration,
    /// The most memory at any time of it, in kilobytes.
    memory: u64,
}

/// Reports events for the healthy receiver and measures from the call to the arrival of each.
async fn healthy_events(api: &Api, key: &str, receiver: &Receiver, pid: u32) -> Run {
    let before = receiver.count();
    let (mut reported, mut memory) = (Vec::new(), 0);
    for number in 0..EVENTS {
        let at = Instant::now();
        let event = json!({"type": "healthy.event", "data": {"number": number}});
        let (status, accepted) = api.post("/v1/events", key, &event).await;
        assert_eq!(status, 202, "{accepted}");
        reported.push((accepted["id"].as_str().expect("an id").to_owned(), at));
        memory = memory.max(resident(pid));
        sleep(PAUSE).await;
    }
    let received = receiver.wait_for(before + EVENTS).await;
    let mut took: Vec<_> = reported
        .iter()
        .map(|(id, at)| {
            let arrived = received.iter().find(|one| one.header("webhook-id") == id).expect("delivered");
            arrived.at - *at
        })
        .collect();
    took.sort_unstable();
    Run { p50: took[EVENTS / 2], p99: took[EVENTS * 99 / 100], memory }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half a minute, and a measurement"]
async fn a_hundred_hostile_receivers_cost_little_and_leave_the_others_alone() {
    let url = database::fresh().await;
    let served = Served::start(&[], &settings(&url)).await;
    let (api, pid) = (Api::new(&[served.address]), served.process.id());
    let key = api.tenant().await;
    let receiver = Receiver::start().await;
    let (status, healthy) =
        api.post("/v1/webhooks", &key, &json!({"url": receiver.url, "events": ["healthy.*"]})).await;
    assert_eq!(status, 201, "{healthy}");
    let alone = healthy_events(&api, &key, &receiver, pid).await;

    let retry = json!({"max_attempts": 50, "initial_seconds": 0.05, "factor": 1.0, "max_seconds": 0.1, "jitter": 0.0});
    for number in 0..HOSTILE {
        let hostile = json!({
            "url": fiend::ALL[number % fiend::ALL.len()].start().await, "events": ["hostile.*"], "retry": retry,
            "max_in_flight": 1, "timeout_seconds": 10,
        });
        let (status, hostile) = api.post("/v1/webhooks", &key, &hostile).await;
        assert_eq!(status, 201, "{hostile}");
    }
    for number in 0..20 {
        let event = json!({"type": "hostile.event", "data": {"number": number}});
        let (status, accepted) = api.post("/v1/events", &key, &event).await;
        assert_eq!((status, accepted["deliveries"].as_u64()), (202, Some(HOSTILE as u64)), "{accepted}");
    }
    sleep(Duration::from_secs(1)).await;
    let beside = healthy_events(&api, &key, &receiver, pid).await;
    let cost = beside.memory.saturating_sub(alone.memory) / 1024;
    println!(
        "healthy p50 {:?}, p99 {:?} alone; p50 {:?}, p99 {:?} beside {HOSTILE} hostile receivers, for {cost} MiB more",
        alone.p50, alone.p99, beside.p50, beside.p99
    );
    assert!(cost < 64, "{cost} MiB for {HOSTILE} hostile receivers");
    // How much longer they take is for a benchmark on a quiet machine to say; here each has arrived, and in the usual way.
    assert!(beside.p50 < Duration::from_secs(1), "healthy deliveries wait for hostile ones: {:?}", beside.p50);
    served.process.stop(Signal::KILL).await;
}
