//! A dialect is data: one more file, and Tidings speaks it.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha512;
use tidings::dialect::Dialects;

use crate::support::{Receiver, Reply, World};

const CARRIER: &str = r#"
name = "carrier"
title = "Carrier"
event_types = ["parcel.lost", "parcel.found"]
timeout_seconds = 5
headers = [
  "Carrier-Kind: {type}",
  "Carrier-Id: {id}",
  "Carrier-Time: {timestamp}",
  "Carrier-Proof: key=1;{signatures}",
  "Carrier-Key: Token {token}",
]

[timestamp]
source = "attempt"
format = "rfc3339-millis"

[signature]
algorithm = "sha512"
signed = "{id}|{timestamp}|{body}"
encoding = "base64"
prefix = "hs512="

[secret]
prefix = "carrier_"
random_bytes = 24
encoding = "base64"
key = "decoded"

[token]
prefix = "tok-"
random_bytes = 16
encoding = "hex"

[body]
time_format = "unix-seconds"
template = '{"what": {"kind": "{type}", "id": "{id}"}, "...": "{data}", "when": "{occurred_at}"}'

[retry]
waits_seconds = [7, 70]
jitter = 0
terminal_statuses = ["420-429"]
"#;

fn dialects(text: &str) -> Dialects {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("carrier.toml"), text).expect("a file");
    Dialects::load(Some(folder.path())).expect("dialects")
}

async fn registered(world: &World, receiver: &Receiver) -> (String, Value) {
    let tenant = world.tenant_with("sandbox", "carrier").await;
    let webhook = tenant.webhook(&receiver.url).await;
    (tenant.key, webhook)
}

/// As the maker of Carrier would check it.
fn assert_signed(request: &crate::support::receiver::Received, webhook: &Value) {
    let secret = webhook["signing_secret"].as_str().expect("a secret").strip_prefix("carrier_").expect("its prefix");
    let key = BASE64_STANDARD.decode(secret).expect("base64");
    assert_eq!(key.len(), 24);
    let id = request.json()["what"]["id"].as_str().expect("an id").to_owned();
    let mut hmac = Hmac::<Sha512>::new_from_slice(&key).expect("a key");
    hmac.update(format!("{id}|{}|", request.header("carrier-time")).as_bytes());
    hmac.update(&request.body);
    let proof = BASE64_STANDARD.encode(hmac.finalize().into_bytes());
    assert_eq!(request.header("carrier-proof"), format!("key=1;hs512={proof}"));
    assert_eq!(request.header("carrier-key"), format!("Token {}", webhook["token"].as_str().expect("a token")));
}

#[tokio::test]
async fn a_file_alone_makes_a_dialect_from_registration_to_dead_letter() {
    let world = World::with(dialects(CARRIER)).await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(500));
    receiver.always(Reply::Status(425));
    let (key, webhook) = registered(&world, &receiver).await;
    let tenant = crate::support::world::Tenant { world: &world, id: String::new(), key };
    let unknown = json!({"url": receiver.url, "events": ["parcel.eaten"]});
    tenant.post("/v1/webhooks", unknown).await.expect(422);

    let data = json!({"weight": 1.5});
    let event = json!({"type": "parcel.lost", "data": data, "occurred_at": "2026-03-21T14:24:11Z"});
    tenant.post("/v1/events", event).await.expect(202);
    world.drain().await;
    world.after(Duration::from_secs(7)).await;
    let received = receiver.received();
    assert_eq!(received.len(), 2);
    for request in &received {
        assert_eq!(request.header("carrier-kind"), "parcel.lost");
        assert_eq!(request.header("content-type"), "application/json");
        assert_signed(request, &webhook);
    }
    let id = received[0].json()["what"]["id"].as_str().expect("an id").to_owned();
    let body = format!(r#"{{"what":{{"kind":"parcel.lost","id":"{id}"}},"weight":1.5,"when":1774103051}}"#);
    assert_eq!(received[0].body, body.as_bytes());
    assert_eq!(tenant.dead_letter().await["reason"], "terminal_status", "425 is terminal in its file");
}

#[tokio::test]
async fn a_delivery_keeps_the_revision_it_was_accepted_under() {
    let before = World::with(dialects(CARRIER)).await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(500));
    let (key, _) = registered(&before, &receiver).await;
    let tenant = crate::support::world::Tenant { world: &before, id: String::new(), key };
    tenant.event("parcel.lost", json!({"n": 1})).await;
    before.drain().await;

    let edited =
        CARRIER.replace("\"when\"", "\"at\"").replace("Carrier-Kind", "Carrier-Event").replace("[7, 70]", "[1]");
    let after = before.beside_with(dialects(&edited)).await;
    receiver.always(Reply::Status(204));
    after.after(Duration::from_secs(1)).await;
    assert_eq!(receiver.count(), 1, "its schedule too is the one it was accepted under");
    after.after(Duration::from_secs(7)).await;
    let tenant = crate::support::world::Tenant { world: &after, ..tenant };
    tenant.event("parcel.lost", json!({"n": 2})).await;
    after.drain().await;

    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[1].header("carrier-kind"), "parcel.lost");
    let new = &received[2];
    assert_eq!((new.header("carrier-kind"), new.header("carrier-event")), ("", "parcel.lost"));
    assert!(new.json()["at"].is_u64() && new.json()["when"].is_null(), "a new event is written as the file is now");
}
