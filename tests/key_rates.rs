//! Rates of API keys: a key that has one is told when to ask again; one that has none is never refused.

use reqwest::Method;
use serde_json::{Value, json};

use super::bad_input::is;
use crate::support::World;
use crate::support::world::Tenant;

async fn holder<'w>(tenant: &Tenant<'w>, rate: Value) -> Tenant<'w> {
    let mut wanted = json!({"tenant_id": tenant.id, "roles": ["viewer"]});
    wanted.as_object_mut().expect("members").extend(rate.as_object().expect("members").clone());
    let made = tenant.world.platform(Method::POST, "/v1/api-keys", Some(wanted)).await.expect(201);
    Tenant { key: made["key"].as_str().expect("a key").to_owned(), ..tenant.clone() }
}

#[tokio::test]
async fn a_key_that_asks_too_often_is_told_when_to_ask_again() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let slow = holder(&tenant, json!({"requests_per_second": 1, "burst": 3})).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let answer = slow.get("/v1/dialects").await;
        if answer.status == 429 {
            assert_eq!(answer.problem(429), "rate_limited");
            assert_eq!(answer.headers["retry-after"], "1", "whole seconds, rounded up");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..3], [200; 3], "the burst");
    assert!(statuses.contains(&429), "{statuses:?}");
    let free = holder(&tenant, json!({})).await;
    for _ in 0..20 {
        free.get("/v1/dialects").await.expect(200);
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    slow.get("/v1/dialects").await.expect(200);
}

#[tokio::test]
async fn a_rate_is_shown_with_the_key_and_checked() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    holder(&tenant, json!({"requests_per_second": 7})).await;
    let keys =
        world.platform(Method::GET, &format!("/v1/api-keys?filter[tenant_id]={}", tenant.id), None).await.expect(200);
    let rates: Vec<_> = keys["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| (&key["requests_per_second"], &key["burst"]))
        .collect();
    assert!(rates.contains(&(&json!(7), &json!(7))), "a burst is as much as a second brings: {rates:?}");
    assert!(rates.contains(&(&Value::Null, &Value::Null)), "the tenant's first key has none: {rates:?}");
    for (pointer, rate) in [
        ("/requests_per_second", json!({"requests_per_second": 0})),
        ("/requests_per_second", json!({"requests_per_second": 100_001})),
        ("/requests_per_second", json!({"requests_per_second": "1"})),
        ("/burst", json!({"requests_per_second": 1, "burst": 0})),
        ("/burst", json!({"burst": 1})),
    ] {
        let mut wanted = json!({"tenant_id": tenant.id, "roles": ["viewer"]});
        wanted.as_object_mut().expect("members").extend(rate.as_object().expect("members").clone());
        let answer = world.platform(Method::POST, "/v1/api-keys", Some(wanted)).await;
        is(&answer, &format!("422 validation_failed {pointer}"), &rate.to_string());
    }
}
