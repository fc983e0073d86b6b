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

/// The carrier's file before it had a token.
fn without_token() -> String {
    let from = CARRIER.find("[token]").expect("a table");
    let to = CARRIER.find("[body]").expect("a table");
    format!("{}{}", &CARRIER[..from], &CARRIER[to..]).replace("  \"Carrier-Key: Token {token}\",\n", "")
}

/// Another process takes over, with this file.
async fn replaced<'a>(before: &World, file: &str, worlds: &'a mut Vec<World>) -> &'a World {
    before.close().await;
    let after = before.beside_with(dialects(file)).await;
    after.run();
    worlds.push(after);
    worlds.last().expect("a world")
}

fn at(webhook: &Value, action: &str) -> String {
    format!("/v1/webhooks/{}{action}", webhook["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn what_does_not_fit_an_edited_file_is_told_and_a_rotation_makes_it_fit() {
    let before = World::with(dialects(&without_token())).await;
    let receiver = Receiver::start().await;
    let (key, webhook) = registered(&before, &receiver).await;
    assert_eq!(webhook["token"], Value::Null);
    let mut worlds = Vec::new();
    let after = replaced(&before, CARRIER, &mut worlds).await;
    let tenant = crate::support::world::Tenant { world: after, id: String::new(), key };
    tenant.event("parcel.lost", json!({"n": 1})).await;
    after.drain().await;
    let letter = tenant.dead_letter().await;
    let told = letter["detail"].as_str().expect("a detail");
    assert_eq!((&letter["reason"], &letter["attempts"]), (&json!("unrenderable"), &json!(0)));
    assert!(["`carrier`", "`token`", "rotate", "resend"].iter().all(|word| told.contains(word)), "{told}");
    let refused = tenant.post(&at(&webhook, "/test"), json!({})).await;
    assert_eq!(refused.problem(409), "unfit_secret");
    assert!(refused.text.contains("rotate"), "{}", refused.text);

    let rotated = tenant.post(&at(&webhook, "/rotate"), json!({"overlap_seconds": 0})).await.expect(200);
    assert!(rotated["token"].as_str().is_some_and(|token| token.starts_with("tok-")), "{rotated}");
    let again = tenant.post(&at(&webhook, "/rotate"), json!({"overlap_seconds": 0})).await.expect(200);
    assert_eq!(again["token"], Value::Null, "it is shown once, and stays");
    let path = format!("/v1/dead-letters/{}/resend", letter["id"].as_str().expect("an id"));
    tenant.post(&path, json!({})).await.expect(202);
    after.drain().await;
    let expected = json!({"signing_secret": again["signing_secret"], "token": rotated["token"]});
    assert_signed(&receiver.only(), &expected);
}

#[tokio::test]
async fn a_restored_file_lets_what_was_never_sent_be_resent() {
    let before = World::with(dialects(CARRIER)).await;
    let receiver = Receiver::start().await;
    let (key, webhook) = registered(&before, &receiver).await;
    let tenant = |world| crate::support::world::Tenant { world, id: String::new(), key: key.clone() };
    let edited = CARRIER.replace("prefix = \"carrier_\"", "prefix = \"haulier_\"").replace("\"when\"", "\"at\"");
    let mut worlds = Vec::new();
    let after = replaced(&before, &edited, &mut worlds).await;
    tenant(after).event("parcel.lost", json!({"n": 1})).await;
    tenant(after).event("parcel.found", json!({"n": 2})).await;
    after.drain().await;
    let letters = tenant(after).get("/v1/dead-letters").await.expect(200)["data"].clone();
    let ids: Vec<_> =
        letters.as_array().expect("letters").iter().map(|one| one["id"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), 2, "{letters}");
    // Too early: it is a dead letter once more, and for the same reason.
    let path = format!("/v1/dead-letters/{}/resend", ids[0]);
    tenant(after).post(&path, json!({})).await.expect(202);
    after.drain().await;
    let letter = tenant(after).get(&format!("/v1/dead-letters/{}", ids[0])).await.expect(200);
    assert!(letter["detail"].as_str().expect("a detail").contains("`haulier_`"), "{letter}");
    assert_eq!(receiver.count(), 0);

    let mut worlds = Vec::new();
    let restored = replaced(after, CARRIER, &mut worlds).await;
    let replay = json!({"source": "dead_letters", "all": true});
    let started = crate::replay::start(&tenant(restored), replay).await;
    crate::replay::finish(&tenant(restored), &started).await;
    assert_eq!(receiver.count(), 2);
    for request in receiver.received() {
        assert_signed(&request, &webhook);
        assert!(request.json()["when"].is_u64(), "written as the restored file says");
    }
}

#[tokio::test]
async fn what_was_attempted_keeps_its_revision_also_when_it_is_resent() {
    let before = World::with(dialects(CARRIER)).await;
    let receiver = Receiver::start().await;
    receiver.then(Reply::Status(425)).always(Reply::Status(204));
    let (key, _) = registered(&before, &receiver).await;
    let tenant = |world| crate::support::world::Tenant { world, id: String::new(), key: key.clone() };
    tenant(&before).event("parcel.lost", json!({"n": 1})).await;
    before.drain().await;
    let letter = tenant(&before).dead_letter().await;
    let mut worlds = Vec::new();
    let after = replaced(&before, &CARRIER.replace("\"when\"", "\"at\""), &mut worlds).await;
    let path = format!("/v1/dead-letters/{}/resend", letter["id"].as_str().expect("an id"));
    tenant(after).post(&path, json!({})).await.expect(202);
    after.drain().await;
    let received = receiver.received();
    assert!(received.len() == 2 && received[0].body == received[1].body, "{received:?}");
}
