//! Rotation: which secrets sign, and when. The signatures are checked with the dialect's own verification.

use std::time::Duration;

use serde_json::{Value, json};
use tidings::domain::clock::later;

use crate::support::receiver::Received;
use crate::support::{Receiver, World};

/// Whether a request bears a signature by this secret.
fn is_signed(world: &World, dialect: &str, request: &Received, registered: &Value) -> bool {
    let profile = world.context.dialects.get(dialect).expect(dialect);
    let secret = registered["signing_secret"].as_str().expect("a secret").into();
    let keys = profile.keys(&[secret], None).expect("keys");
    let header = |name: &str| request.headers.get(name).map(|value| value.to_str().expect("ASCII").to_owned());
    profile.verify(&header, &request.body, &keys, world.clock.now(), Duration::from_mins(5)).is_ok()
}

struct Scene {
    world: World,
    receiver: Receiver,
    path: String,
    key: String,
    dialect: &'static str,
    first: Value,
}

impl Scene {
    async fn new(dialect: &'static str) -> Self {
        let world = World::new().await;
        world.run();
        let receiver = Receiver::start().await;
        let tenant = world.tenant().await;
        let body = json!({"url": receiver.url, "events": ["*"], "dialect": dialect});
        let first = tenant.webhook_with(body).await;
        let path = format!("/v1/webhooks/{}", first["id"].as_str().expect("an id"));
        let key = tenant.key.clone();
        Self { world, receiver, path, key, dialect, first }
    }

    async fn post(&self, end: &str, body: Value) -> crate::support::world::Answer {
        let request = self.world.request(reqwest::Method::POST, &format!("{}/{end}", self.path));
        self.world.send(request.bearer_auth(&self.key).json(&body)).await
    }

    async fn rotate(&self, body: Value) -> Value {
        let rotated = self.post("rotate", body).await.expect(200);
        assert_eq!(rotated["id"], self.first["id"]);
        rotated
    }

    /// Which of these sign a request made now.
    async fn signing(&self, registered: &[&Value]) -> Vec<bool> {
        self.post("test", json!({})).await.expect(200);
        let request = self.receiver.received().pop().expect("a request");
        registered.iter().map(|one| is_signed(&self.world, self.dialect, &request, one)).collect()
    }

    fn advance(&self, seconds: u64) {
        let before = self.world.clock.now();
        self.world.clock.advance(Duration::from_secs(seconds));
        assert_eq!(self.world.clock.now(), later(before, Duration::from_secs(seconds)));
    }
}

#[tokio::test]
async fn where_several_can_sign_both_do_for_a_day() {
    let scene = Scene::new("standard").await;
    scene.advance(1);
    let second = scene.rotate(json!({})).await;
    assert_ne!(second["signing_secret"], scene.first["signing_secret"]);
    assert_eq!(scene.signing(&[&scene.first, &second]).await, [true, true]);
    scene.advance(24 * 60 * 60);
    assert_eq!(scene.signing(&[&scene.first, &second]).await, [false, true]);
}

/// The process that registered the webhook is a little ahead of the one that delivers.
#[tokio::test]
async fn a_secret_that_begins_in_a_moment_is_waited_for_and_no_longer() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    tenant.webhook(&receiver.url).await;
    let ahead = "UPDATE tidings.webhook_secrets SET valid_from = valid_from + interval '500 milliseconds'";
    sqlx::query(ahead).execute(&world.pool).await.expect("moved");
    tenant.event("a", json!({})).await;
    world.look().await;
    world.dispatcher.quiet().await;
    assert_eq!(receiver.count(), 0);
    world.clock.advance(Duration::from_millis(500));
    let drained = tokio::time::timeout(Duration::from_secs(15), world.drain()).await;
    assert_eq!((drained, receiver.count()), (Ok(()), 1));
}

#[tokio::test]
async fn without_an_overlap_the_new_one_signs_alone() {
    for dialect in ["standard", "number7ai"] {
        let scene = Scene::new(dialect).await;
        let body = if dialect == "standard" { json!({"overlap_seconds": 0}) } else { json!({}) };
        let second = scene.rotate(body).await;
        assert_eq!(scene.signing(&[&scene.first, &second]).await, [false, true], "{dialect}");
    }
}

#[tokio::test]
async fn where_one_signs_the_new_one_takes_over_after_the_overlap() {
    let scene = Scene::new("number7ai").await;
    scene.advance(1);
    let second = scene.rotate(json!({"overlap_seconds": 60})).await;
    assert_eq!(scene.signing(&[&scene.first, &second]).await, [true, false]);
    scene.advance(60);
    assert_eq!(scene.signing(&[&scene.first, &second]).await, [false, true]);
}

#[tokio::test]
async fn a_rotation_without_overlap_ends_one_that_was_to_come() {
    let scene = Scene::new("number7ai").await;
    scene.advance(1);
    let second = scene.rotate(json!({"overlap_seconds": 60})).await;
    let third = scene.rotate(json!({})).await;
    assert_eq!(scene.signing(&[&scene.first, &second, &third]).await, [false, false, true]);
    scene.advance(60);
    assert_eq!(scene.signing(&[&scene.first, &second, &third]).await, [false, false, true]);
}

#[tokio::test]
async fn there_is_an_end_to_overlapping() {
    let scene = Scene::new("standard").await;
    for _ in 0..4 {
        scene.advance(1);
        scene.rotate(json!({})).await;
    }
    assert_eq!(scene.post("rotate", json!({})).await.problem(409), "too_many_secrets");
    scene.rotate(json!({"overlap_seconds": 0})).await;
    for wrong in [json!(-1), json!(604_801), json!("1"), json!(1.5)] {
        assert_eq!(scene.post("rotate", json!({"overlap_seconds": wrong})).await.problem(422), "validation_failed");
    }
}

#[tokio::test]
async fn rotations_of_one_microsecond_are_told_apart() {
    let scene = Scene::new("standard").await;
    let mut registered = Vec::new();
    for _ in 0..4 {
        registered.push(scene.rotate(json!({})).await);
    }
    scene.advance(1);
    assert_eq!(scene.signing(&registered.iter().collect::<Vec<_>>()).await, [true; 4]);
    let newest = scene.rotate(json!({"overlap_seconds": 0})).await;
    assert_eq!(scene.signing(&[&registered[3], &newest]).await, [false, true]);
}

#[tokio::test]
async fn rotations_at_the_same_time_leave_one_newest_secret() {
    let scene = Scene::new("number7ai").await;
    let rotations = (0..6).map(|_| scene.rotate(json!({})));
    let rotated = futures_util::future::join_all(rotations).await;
    let signing = scene.signing(&rotated.iter().collect::<Vec<_>>()).await;
    assert_eq!(signing.iter().filter(|signs| **signs).count(), 1);
}
