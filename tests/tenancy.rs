//! Keys, roles and the walls between tenants.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::World;
use crate::support::world::Answer;

/// The routes about one webhook, with the role each takes.
const OF_A_WEBHOOK: [(Method, &str, &str); 8] = [
    (Method::GET, "", "viewer"),
    (Method::PATCH, "", "manager"),
    (Method::DELETE, "", "manager"),
    (Method::POST, "/verify", "manager"),
    (Method::POST, "/rotate", "manager"),
    (Method::POST, "/activate", "manager"),
    (Method::POST, "/deactivate", "manager"),
    (Method::POST, "/test", "manager"),
];

async fn call(world: &World, method: Method, path: &str, key: &str) -> Answer {
    world.send(world.request(method, path).bearer_auth(key).json(&json!({}))).await
}

#[tokio::test]
async fn another_tenants_webhook_is_as_if_it_did_not_exist() {
    let world = World::new().await;
    let (owner, other) = (world.tenant().await, world.tenant().await);
    let id = owner.webhook("https://a.example/").await["id"].as_str().expect("an id").to_owned();
    for (method, end, _) in OF_A_WEBHOOK {
        let foreign = call(&world, method.clone(), &format!("/v1/webhooks/{id}{end}"), &other.key).await;
        let missing = format!("/v1/webhooks/wh_00000000000000000000000000{end}");
        let missing = call(&world, method.clone(), &missing, &other.key).await;
        assert_eq!(foreign.problem(404), missing.problem(404));
        assert_eq!(foreign.json()["detail"], missing.json()["detail"], "{method} {end}");
    }
    assert_eq!(other.get("/v1/webhooks").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn a_key_may_do_what_its_roles_say_and_read() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let id = tenant.webhook("https://a.example/").await["id"].as_str().expect("an id").to_owned();
    for role in ["producer", "operator", "viewer"] {
        let key = world.key(&tenant.id, &[role]).await;
        for (method, end, needed) in OF_A_WEBHOOK {
            let answer = call(&world, method, &format!("/v1/webhooks/{id}{end}"), &key).await;
            if needed == "viewer" {
                answer.expect(200);
            } else {
                assert_eq!(answer.problem(403), "missing_role");
                assert!(answer.text.contains("`manager`"), "{}", answer.text);
            }
        }
        for path in ["/v1/tenants", "/v1/api-keys"] {
            assert_eq!(call(&world, Method::GET, path, &key).await.problem(403), "missing_role");
        }
    }
}

#[tokio::test]
async fn a_platform_key_acts_for_the_tenant_it_names() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    tenant.webhook("https://a.example/").await;
    let list = async |key: &str, name: &str| {
        world.send(world.request(Method::GET, "/v1/webhooks").bearer_auth(key).header("tidings-tenant", name)).await
    };
    let platform = crate::support::world::PLATFORM_KEY;
    assert_eq!(list(platform, &tenant.id).await.expect(200)["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(list(platform, "ten_00000000000000000000000000").await.problem(404), "not_found");
    assert_eq!(list(platform, "acme").await.problem(400), "invalid_tenant_header");
    assert_eq!(world.platform(Method::GET, "/v1/webhooks", None).await.problem(400), "invalid_tenant_header");
    assert_eq!(list(&tenant.key, &other.id).await.problem(403), "other_tenant");
    list(&tenant.key, &tenant.id).await.expect(200);
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_read() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let off_by_one = format!("{}0", &tenant.key[..tenant.key.len() - 1]);
    let long = "k".repeat(10_240);
    for authorization in ["", "Bearer", "Basic abc", &format!("Bearer {off_by_one}x"), &format!("Bearer {long}")] {
        let request = world.request(Method::POST, "/v1/webhooks").header("authorization", authorization);
        let answer = world.send(request.body("not even JSON")).await;
        assert_eq!(answer.problem(401), "unauthenticated");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    let twice = world.request(Method::GET, "/v1/webhooks").bearer_auth(&tenant.key).bearer_auth(&tenant.key);
    assert_eq!(world.send(twice).await.problem(401), "unauthenticated");
    assert_eq!(world.send(world.request(Method::GET, "/v1/webhooks")).await.problem(401), "unauthenticated");
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let made = json!({"tenant_id": tenant.id, "roles": ["viewer"]});
    let made = world.platform(Method::POST, "/v1/api-keys", Some(made)).await.expect(201);
    let key = made["key"].as_str().expect("a key");
    assert!(key.starts_with("tk_sandbox_"), "{key}");
    call(&world, Method::GET, "/v1/webhooks", key).await.expect(200);
    let path = format!("/v1/api-keys/{}", made["id"].as_str().expect("an id"));
    world.platform(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(call(&world, Method::GET, "/v1/webhooks", key).await.problem(401), "unauthenticated");
    assert_eq!(world.platform(Method::DELETE, &path, None).await.problem(404), "not_found");
    let filter = format!("/v1/api-keys?filter[tenant_id]={}", tenant.id);
    let keys = world.platform(Method::GET, &filter, None).await.expect(200);
    assert_eq!(keys["data"].as_array().map(Vec::len), Some(1));
    assert!(!keys.to_string().contains("tk_sandbox_"), "a key is shown once");
}

#[tokio::test]
async fn a_deleted_tenant_takes_its_keys_and_webhooks_along() {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    for _ in 0..2 {
        tenant.webhook_with(json!({"url": "https://a.example/", "events": ["*"], "is_active": false})).await;
    }
    tenant.event("a", json!(1)).await;
    let path = format!("/v1/tenants/{}", tenant.id);
    world.platform(Method::DELETE, &path, None).await.expect(204);
    assert_eq!(tenant.get("/v1/webhooks").await.problem(401), "unauthenticated");
    assert_eq!(world.platform(Method::GET, &path, None).await.problem(404), "not_found");
    assert_eq!((world.count("outbox").await, world.count("cancellations").await), (0, 2));
    assert_eq!(world.count("webhook_secrets").await, 0);
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_and_filtered() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut expected = Vec::new();
    for event in ["a.b", "a.*", "c"] {
        let made = tenant.webhook_with(json!({"url": "https://a.example/", "events": [event]})).await;
        expected.insert(0, made["id"].clone());
        // Ids made in the same millisecond have no order among them.
        world.clock.advance(std::time::Duration::from_millis(1));
    }
    let ids = |list: &Value| -> Vec<Value> {
        list["data"].as_array().into_iter().flatten().map(|one| one["id"].clone()).collect()
    };
    let first = tenant.get("/v1/webhooks?page[size]=2").await.expect(200);
    let next = format!("/v1/webhooks?page[size]=2&page[after]={}", first["page"]["next"].as_str().expect("a cursor"));
    let second = tenant.get(&next).await.expect(200);
    assert_eq!([ids(&first), ids(&second)].concat(), expected);
    assert_eq!(second["page"], json!({"size": 2, "next": null}));
    assert_eq!(world.tenant().await.get(&next).await.problem(400), "invalid_query");

    let filtered = tenant.get("/v1/webhooks?filter[event]=a.b&filter[is_active]=true").await.expect(200);
    assert_eq!(ids(&filtered), expected[1..]);
    assert_eq!(ids(&tenant.get("/v1/webhooks?filter[state]=inactive").await.expect(200)), Vec::<Value>::new());
    for query in ["page[size]=0", "page[size]=101", "page[after]=x", "filter[state]=x", "filter[url]=x", "limit=1"] {
        assert_eq!(tenant.get(&format!("/v1/webhooks?{query}")).await.problem(400), "invalid_query", "{query}");
    }
    assert_eq!(tenant.get("/v1/webhooks/wh_x").await.problem(400), "invalid_id");
}
