//! Retrying: when a failed delivery is attempted again, when it is given up, and what a receiver can ask for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{Receiver, Reply, World};

/// A world with a receiver that answers so, and one event of it, attempted once.
async fn attempted(dialect: &str, event_type: &str, more: &Value, reply: Reply) -> (World, Receiver) {
    let world = World::new().await;
    let receiver = Receiver::start().await;
    let tenant = world.tenant_with("sandbox", dialect).await;
    let mut webhook = json!({"url": receiver.url, "events": ["*"]});
    webhook.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let webhook = tenant.webhook_with(webhook).await;
    if webhook["state"] == "pending_verification" {
        receiver.then(Reply::Challenge);
        let id = webhook["id"].as_str().expect("an id");
        tenant.post(&format!("/v1/webhooks/{id}/verify"), json!({})).await.expect(200);
    }
    receiver.always(reply);
    tenant.event(event_type, json!({"document_id": "doc_1"})).await;
    world.drain().await;
    (world, receiver)
}

/// Waits as long as the only delivery does, again and again, and returns the seconds of each wait. Nothing may be sent before
/// its time.
async fn waits(world: &World, receiver: &Receiver) -> Vec<f64> {
    let mut waits = Vec::new();
    while world.count("outbox").await == 1 {
        let due: DateTime<Utc> = world.value("SELECT due_at FROM tidings.outbox").await;
        let wait = (due - world.clock.now()).to_std().expect("due later");
        let before = receiver.count();
        world.after(wait.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(receiver.count(), before, "nothing before its time");
        world.after(Duration::from_millis(1)).await;
        assert_eq!(receiver.count(), before + 1, "and then at once");
        waits.push(wait.as_secs_f64());
    }
    waits
}

#[track_caller]
fn assert_about(waits: &[f64], expected: &[f64]) {
    let close = |(wait, expected): (&f64, &f64)| (wait - expected).abs() <= expected * 0.1 + 0.001;
    assert!(waits.len() == expected.len() && waits.iter().zip(expected).all(close), "{waits:?} for {expected:?}");
}

async fn reason(world: &World) -> String {
    world.value("SELECT coalesce(string_agg(reason::text, ' '), 'none') FROM tidings.dead_letters").await
}

#[tokio::test]
async fn docintell_waits_1_2_4_and_8_seconds_and_gives_up() {
    let (world, receiver) = attempted("docintell", "document.uploaded", &json!({}), Reply::Status(500)).await;
    assert_about(&waits(&world, &receiver).await, &[1.0, 2.0, 4.0, 8.0]);
    assert_eq!((receiver.count(), reason(&world).await.as_str()), (5, "attempts_exhausted"));
}

#[tokio::test]
async fn number7ai_gets_four_attempts() {
    let (world, receiver) = attempted("number7ai", "job.failed", &json!({}), Reply::Status(404)).await;
    assert_about(&waits(&world, &receiver).await, &[1.0, 2.0, 4.0]);
    assert_eq!((receiver.count(), reason(&world).await.as_str()), (4, "attempts_exhausted"));
}

#[tokio::test]
async fn standard_gets_ten_attempts_over_about_75_hours() {
    let (world, receiver) = attempted("standard", "any", &json!({}), Reply::Status(500)).await;
    let waits = waits(&world, &receiver).await;
    assert_about(&waits, &[5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0]);
    assert_eq!((receiver.count(), reason(&world).await.as_str()), (10, "attempts_exhausted"));
}

#[tokio::test]
async fn a_400_is_final_in_docintell_and_a_failure_like_another_in_limai() {
    let (world, _) = attempted("docintell", "document.uploaded", &json!({}), Reply::Status(400)).await;
    assert_eq!((world.count("attempts").await, reason(&world).await.as_str()), (1, "terminal_status"));

    let (world, receiver) = attempted("limai", "DOCUMENT_EXTRACTED", &json!({}), Reply::Status(400)).await;
    assert_eq!(reason(&world).await, "none");
    assert_about(&waits(&world, &receiver).await, &[1.0, 2.0, 4.0, 8.0]);
    assert_eq!((world.count("attempts").await, reason(&world).await.as_str()), (5, "attempts_exhausted"));
}

#[tokio::test]
async fn a_webhooks_own_rules_take_the_place_of_its_dialects() {
    let retry = json!({"max_attempts": 4, "initial_seconds": 10, "factor": 3, "max_seconds": 60, "jitter": 0});
    let (world, receiver) =
        attempted("docintell", "document.uploaded", &json!({"retry": retry}), Reply::Status(500)).await;
    assert_eq!(waits(&world, &receiver).await, [10.0, 30.0, 60.0]);
    assert_eq!((receiver.count(), reason(&world).await.as_str()), (4, "attempts_exhausted"));
}

#[tokio::test]
async fn a_webhook_names_statuses_after_which_another_attempt_is_useless() {
    let retry = json!({"retry": {"max_attempts": 4, "initial_seconds": 10, "terminal_statuses": [422]}});
    let (world, _) = attempted("standard", "any", &retry, Reply::Status(422)).await;
    assert_eq!((world.count("attempts").await, reason(&world).await.as_str()), (1, "terminal_status"));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_nobody_follows_it() {
    let elsewhere = Receiver::start().await;
    let redirect = Reply::With(307, vec![("location", elsewhere.url.clone())], String::new());
    let (world, receiver) = attempted("standard", "any", &json!({}), redirect).await;
    assert_eq!((receiver.count(), elsewhere.count()), (1, 0));
    let attempt: String = world.value("SELECT concat_ws(' ', outcome, status, verdict) FROM tidings.attempts").await;
    assert_eq!(attempt, "http_status 307 retry");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_a_failure() {
    let more = json!({"timeout_seconds": 1});
    let (world, receiver) = attempted("standard", "any", &more, Reply::Hang).await;
    assert_eq!(receiver.count(), 1);
    let attempt: String = world.value("SELECT concat_ws(' ', outcome, status, verdict) FROM tidings.attempts").await;
    assert_eq!(attempt, "timeout retry");
    let took: i32 = world.value("SELECT duration_us / 1000 FROM tidings.attempts").await;
    assert!((1_000..2_000).contains(&took), "{took} ms");
}

#[tokio::test]
async fn every_attempt_is_signed_afresh_and_has_the_same_body() {
    let (world, receiver) = attempted("standard", "any", &json!({}), Reply::Status(500)).await;
    world.after(Duration::from_mins(1)).await;
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_ne!(received[0].header("webhook-timestamp"), received[1].header("webhook-timestamp"));
    assert_ne!(received[0].header("webhook-signature"), received[1].header("webhook-signature"));
}

#[tokio::test]
#[ignore = "takes 16 s; the CI script runs it"]
async fn docintell_keeps_its_times_by_a_real_clock() {
    let world = World::in_real_time().await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(500));
    let tenant = world.tenant_with("sandbox", "docintell").await;
    tenant.webhook(&receiver.url).await;
    world.run();
    tenant.event("document.uploaded", json!({})).await;
    receiver.wait_for(4).await;
    let received = receiver.wait_for(5).await;
    let waits: Vec<_> = received.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    for (wait, expected) in waits.iter().zip([1.0, 2.0, 4.0, 8.0]) {
        assert!((expected * 0.9..expected * 1.1 + 0.5).contains(wait), "{waits:?}");
    }
    world.drain().await;
    assert_eq!(tenant.dead_letter().await["reason"], "attempts_exhausted");
}
