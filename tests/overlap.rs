//! Rotating: a new secret, and the old one's last hours, by the steered clock.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::receiver::Received;
use crate::support::world::Tenant;
use crate::support::{Receiver, World};

/// HMAC-SHA256, by hand: what a receiver computes.
pub fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

pub fn hmac_hex(key: &[u8], message: &[u8]) -> String {
    hex::encode(hmac(key, message))
}

/// The signature header that these secrets give a request, newest first, after the vendors' pages.
fn signed(dialect: &str, received: &Received, secrets: &[&str]) -> String {
    let body = std::str::from_utf8(&received.body).expect("UTF-8");
    match dialect {
        "standard" => {
            let content = format!("{}.{}.{body}", received.header("webhook-id"), received.header("webhook-timestamp"));
            let one = |secret: &&str| {
                let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
                format!("v1,{}", BASE64_STANDARD.encode(hmac(&key, content.as_bytes())))
            };
            secrets.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        "numora" => {
            let timestamp = received.header("x-numora-webhook-timestamp");
            let content = format!("{timestamp}.{body}");
            let one = |secret: &&str| format!(",v1={}", hmac_hex(secret.as_bytes(), content.as_bytes()));
            format!("t={timestamp}{}", secrets.iter().map(one).collect::<String>())
        }
        _ => {
            let [secret] = secrets else { panic!("{dialect} carries one signature") };
            format!("sha256={}", hmac_hex(secret.as_bytes(), &received.body))
        }
    }
}

struct Rotating<'a> {
    tenant: Tenant<'a>,
    receiver: Receiver,
    dialect: &'static str,
    webhook: Value,
}

impl<'a> Rotating<'a> {
    async fn start(world: &'a World, dialect: &'static str) -> Self {
        let tenant = world.tenant_with("sandbox", dialect).await;
        let receiver = Receiver::start().await;
        let webhook = tenant.webhook(&receiver.url).await;
        Self { tenant, receiver, dialect, webhook }
    }

    fn first(&self) -> String {
        self.webhook["signing_secret"].as_str().expect("a secret").to_owned()
    }

    async fn rotate(&self, body: Value) -> String {
        self.tenant.world.clock.advance(Duration::from_millis(1));
        let path = format!("/v1/webhooks/{}/rotate", self.webhook["id"].as_str().expect("an id"));
        let rotated = self.tenant.post(&path, body).await.expect(200);
        assert_eq!(rotated["webhook_config_id"], self.webhook["webhook_config_id"], "the shape of the create answer");
        rotated["signing_secret"].as_str().expect("a secret").to_owned()
    }

    /// What is sent now is signed with exactly these, newest first.
    async fn signs_with(&self, secrets: &[&String]) {
        let event_type = match self.dialect {
            "docintell" => "document.uploaded",
            _ => "push.failed",
        };
        self.tenant.event(event_type, json!({"a": 1})).await;
        self.tenant.world.drain().await;
        let received = self.receiver.received().pop().expect("a request");
        let name = match self.dialect {
            "standard" => "webhook-signature",
            "numora" => "x-numora-webhook-signature",
            _ => "x-docintell-signature",
        };
        let secrets: Vec<_> = secrets.iter().map(|secret| secret.as_str()).collect();
        assert_eq!(received.header(name), signed(self.dialect, &received, &secrets), "{}", self.dialect);
    }
}

const DAY: Duration = Duration::from_hours(24);
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn where_a_dialect_carries_several_both_sign_for_a_day() {
    let world = World::new().await;
    world.run();
    for dialect in ["standard", "numora"] {
        let it = Rotating::start(&world, dialect).await;
        let old = it.first();
        it.signs_with(&[&old]).await;
        let new = it.rotate(json!({})).await;
        assert_ne!(new, old);
        it.signs_with(&[&new, &old]).await;
        world.clock.advance(DAY.saturating_sub(MINUTE));
        it.signs_with(&[&new, &old]).await;
        world.clock.advance(MINUTE);
        it.signs_with(&[&new]).await;
    }
}

#[tokio::test]
async fn an_overlap_is_as_long_as_it_is_asked_for() {
    let world = World::new().await;
    world.run();
    let it = Rotating::start(&world, "standard").await;
    let old = it.first();
    let new = it.rotate(json!({"overlap_seconds": 60})).await;
    it.signs_with(&[&new, &old]).await;
    let newer = it.rotate(json!({"overlap_seconds": 120})).await;
    it.signs_with(&[&newer, &new, &old]).await;
    world.clock.advance(MINUTE);
    it.signs_with(&[&newer, &new]).await;
    let newest = it.rotate(json!({"overlap_seconds": 0})).await;
    it.signs_with(&[&newest]).await;
}

#[tokio::test]
async fn where_a_dialect_carries_one_the_new_one_signs_at_once_or_after_the_overlap() {
    let world = World::new().await;
    world.run();
    let it = Rotating::start(&world, "docintell").await;
    let second = it.rotate(json!({})).await;
    it.signs_with(&[&second]).await;
    let third = it.rotate(json!({"overlap_seconds": 3600})).await;
    it.signs_with(&[&second]).await;
    world.clock.advance(59 * MINUTE);
    it.signs_with(&[&second]).await;
    world.clock.advance(MINUTE);
    it.signs_with(&[&third]).await;
}

#[tokio::test]
async fn an_overlap_out_of_range_changes_nothing() {
    let world = World::new().await;
    world.run();
    let it = Rotating::start(&world, "standard").await;
    let path = format!("/v1/webhooks/{}/rotate", it.webhook["id"].as_str().expect("an id"));
    for wrong in [json!(-1), json!(604_801), json!("60"), json!(1.5), json!(u64::MAX)] {
        let answer = it.tenant.post(&path, json!({"overlap_seconds": wrong})).await;
        assert_eq!(answer.problem(422), "validation_failed", "{wrong}");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/overlap_seconds", "{wrong}");
    }
    it.signs_with(&[&it.first()]).await;
    for _ in 0..4 {
        it.rotate(json!({})).await;
    }
    assert_eq!(it.tenant.post(&path, json!({})).await.problem(409), "too_many_secrets");
    let last = it.rotate(json!({"overlap_seconds": 0})).await;
    it.signs_with(&[&last]).await;
}
