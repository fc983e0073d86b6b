//! What is sealed and does not open any more, since it was damaged: its webhook is shown all the same, and can be mended.

use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::world::Tenant;
use crate::support::{Receiver, World};

const DAMAGED_HEADERS: &str = "UPDATE tidings.webhook_revisions
    SET headers_sealed = set_byte(headers_sealed, 30, get_byte(headers_sealed, 30) # 1) WHERE headers_sealed IS NOT NULL";
const DAMAGED_SECRETS: &str =
    "UPDATE tidings.webhook_secrets SET sealed = set_byte(sealed, 30, get_byte(sealed, 30) # 1)";

/// A webhook that has had an event, and is damaged since; its path, and that of the attempts.
async fn damaged(tenant: &Tenant<'_>, receiver: &Receiver, damage: &'static str) -> (String, String) {
    let headers = json!({"X-Team": "blue", "X-Api-Token": "hush"});
    let body = json!({"url": receiver.url, "events": ["*"], "headers": headers});
    let webhook = tenant.webhook_with(body).await;
    tenant.event("a", json!(1)).await;
    tenant.world.drain().await;
    let deliveries = tenant.get("/v1/deliveries").await.expect(200);
    tenant.world.pool.execute(damage).await.expect("damaged");
    let path = |noun, one: &Value| format!("/v1/{noun}/{}", one["id"].as_str().expect("an id"));
    (path("webhooks", &webhook), format!("{}/attempts", path("deliveries", &deliveries["data"][0])))
}

async fn dry_run(tenant: &Tenant<'_>) -> Value {
    let forecast = tenant.post("/v1/events?dry_run=true", json!({"type": "a", "data": 1})).await.expect(200);
    forecast["matches"][0].clone()
}

#[tokio::test]
async fn a_webhook_whose_headers_do_not_open_is_shown_and_sending_them_again_mends_it() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let (path, attempts) = damaged(&tenant, &receiver, DAMAGED_HEADERS).await;
    let unreadable = json!({"X-Team": "[unreadable]", "X-Api-Token": "[unreadable]"});

    assert_eq!(tenant.get("/v1/webhooks").await.expect(200)["data"][0]["headers"], unreadable);
    assert_eq!(tenant.get(&path).await.expect(200)["headers"], unreadable);
    let told = dry_run(&tenant).await;
    let shown = told["request"]["headers"].as_array().expect("headers");
    assert_eq!(shown.iter().filter(|header| header["value"] == "[unreadable]").count(), 2, "{told}");
    let attempts = tenant.get(&attempts).await.expect(200);
    assert!(attempts["data"][0]["request_unavailable"].is_string(), "{attempts}");

    let refused = tenant.post(&format!("{path}/test"), json!({})).await;
    assert_eq!(refused.problem(409), "unreadable_headers");
    assert!(refused.text.contains("[unreadable]"), "{}", refused.text);

    let changed = tenant.patch(&path, json!({"description": "damaged"})).await.expect(200);
    assert_eq!((&changed["headers"], &changed["description"]), (&unreadable, &json!("damaged")));
    let rotated = tenant.post(&format!("{path}/rotate"), json!({})).await.expect(200);
    assert!(rotated["signing_secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{rotated}");
    assert_eq!(rotated["headers"], unreadable);

    let refused = tenant.patch(&path, json!({"headers": unreadable})).await.expect(422);
    assert_eq!(refused["errors"][0]["code"], "redacted_value");
    let mended = tenant.patch(&path, json!({"headers": {"X-Team": "red"}})).await.expect(200);
    assert_eq!(mended["headers"], json!({"X-Team": "red"}));
    tenant.event("a", json!(2)).await;
    world.drain().await;
    let last = receiver.received().pop().expect("a request");
    assert_eq!((receiver.count(), last.header("x-team")), (2, "red"));
}

#[tokio::test]
async fn a_webhook_whose_secret_does_not_open_is_shown_and_rotating_mends_it() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    let (path, attempts) = damaged(&tenant, &receiver, DAMAGED_SECRETS).await;

    let told = dry_run(&tenant).await;
    assert!(told["request"].is_null() && told["unrenderable"]["detail"].is_string(), "{told}");
    let attempts = tenant.get(&attempts).await.expect(200);
    assert!(attempts["data"][0]["request_unavailable"].is_string(), "{attempts}");

    let refused = tenant.post(&format!("{path}/test"), json!({})).await;
    assert_eq!(refused.problem(409), "unreadable_secret");
    assert!(refused.text.contains("rotate"), "{}", refused.text);

    world.clock.advance(std::time::Duration::from_secs(1));
    tenant.post(&format!("{path}/rotate"), json!({"overlap_seconds": 0})).await.expect(200);
    tenant.post(&format!("{path}/test"), json!({})).await.expect(200);
    assert!(dry_run(&tenant).await["request"].is_object());
    tenant.event("a", json!(2)).await;
    world.drain().await;
    assert_eq!(receiver.count(), 3, "the one that ended is not needed");
}

#[tokio::test]
async fn a_challenge_that_cannot_be_signed_is_told_and_so_is_a_master_key_that_is_missing() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "limai").await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let path = format!("/v1/webhooks/{}/verify", webhook["id"].as_str().expect("an id"));
    for (damage, told) in [
        ("UPDATE tidings.webhook_secrets SET key_id = '00000000'", "restore the master key"),
        (DAMAGED_SECRETS, "rotate"),
    ] {
        world.pool.execute(damage).await.expect("damaged");
        let refused = tenant.post(&path, json!({})).await;
        assert_eq!(refused.problem(409), "unreadable_secret");
        assert!(refused.text.contains(told), "{}", refused.text);
    }
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn a_token_that_was_damaged_is_made_anew_by_a_rotation_and_one_whose_key_is_missing_is_kept() {
    const TOKEN_KEY: &str = "UPDATE tidings.webhook_secrets SET key_id = '00000000' WHERE kind = 'token'";
    const TOKEN: &str = "UPDATE tidings.webhook_secrets SET sealed = set_byte(sealed, 30, get_byte(sealed, 30) # 1) WHERE kind = 'token'";
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "beltic").await;
    let receiver = Receiver::start().await;
    let webhook = tenant.webhook(&receiver.url).await;
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let old = webhook["token"].as_str().expect("a token");
    let rotate = async || tenant.post(&format!("{path}/rotate"), json!({})).await.expect(200);

    let key_id: String = world.value("SELECT DISTINCT key_id FROM tidings.webhook_secrets").await;
    world.pool.execute(TOKEN_KEY).await.expect("damaged");
    let refused = tenant.post(&format!("{path}/test"), json!({})).await;
    assert_eq!(refused.problem(409), "unreadable_secret");
    assert!(refused.text.contains("restore") && !refused.text.contains("rotate"), "{}", refused.text);
    assert_eq!(rotate().await["token"], Value::Null, "it opens where the key is");
    let restored = sqlx::query("UPDATE tidings.webhook_secrets SET key_id = $1").bind(key_id);
    restored.execute(&world.pool).await.expect("restored");
    tenant.post(&format!("{path}/test"), json!({})).await.expect(200);
    assert_eq!(receiver.received().pop().expect("a request").header("x-webhook-token"), old);

    world.pool.execute(TOKEN).await.expect("damaged");
    let refused = tenant.post(&format!("{path}/test"), json!({})).await;
    assert_eq!(refused.problem(409), "unreadable_secret");
    assert!(refused.text.contains("token") && refused.text.contains("rotate"), "{}", refused.text);
    let event = json!({"type": "processed", "data": {}});
    let told = tenant.post("/v1/events?dry_run=true", event.clone()).await.expect(200)["matches"][0].clone();
    assert!(told["request"].is_null() && told["unrenderable"]["detail"].is_string(), "{told}");
    let new = rotate().await["token"].as_str().expect("a token").to_owned();
    assert_ne!(new, old);
    assert_eq!(rotate().await["token"], Value::Null, "it is shown once, and stays");
    assert!(tenant.post("/v1/events?dry_run=true", event).await.expect(200)["matches"][0]["request"].is_object());
    tenant.event("processed", json!({"n": 1})).await;
    world.drain().await;
    assert_eq!(receiver.received().pop().expect("a request").header("x-webhook-token"), new);
}
