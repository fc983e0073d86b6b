//! Tenancy: another tenant's things are not there, a key does what its roles say, and nobody else does anything.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use tidings::api::openapi::document;
use tidings::dialect::Dialects;

use crate::support::world::{Answer, PLATFORM_KEY, Tenant};
use crate::support::{Receiver, Reply, World};

/// Every route: who may use it, its method, its path. [`the_table_has_every_route`] holds it to the API's description.
const ROUTES: &str = "
    none     GET    /healthz
    none     GET    /readyz
    none     GET    /openapi.json
    none     GET    /metrics
    platform POST   /v1/tenants
    platform GET    /v1/tenants
    platform GET    /v1/tenants/{id}
    platform PATCH  /v1/tenants/{id}
    platform DELETE /v1/tenants/{id}
    platform POST   /v1/api-keys
    platform GET    /v1/api-keys
    platform DELETE /v1/api-keys/{id}
    any      GET    /v1/dialects
    any      GET    /v1/dialects/{name}
    manager  POST   /v1/webhooks
    viewer   GET    /v1/webhooks
    viewer   GET    /v1/webhooks/{id}
    manager  PATCH  /v1/webhooks/{id}
    manager  DELETE /v1/webhooks/{id}
    manager  POST   /v1/webhooks/{id}/verify
    manager  POST   /v1/webhooks/{id}/rotate
    manager  POST   /v1/webhooks/{id}/activate
    manager  POST   /v1/webhooks/{id}/deactivate
    manager  POST   /v1/webhooks/{id}/test
    viewer   GET    /v1/webhooks/{id}/health
    producer POST   /v1/events
    viewer   GET    /v1/events
    producer POST   /v1/events/batch
    viewer   GET    /v1/events/{id}
    operator DELETE /v1/events/{id}/data
    viewer   GET    /v1/event-types
    viewer   GET    /v1/event-types/{name}
    manager  PUT    /v1/event-types/{name}
    manager  DELETE /v1/event-types/{name}
    viewer   GET    /v1/deliveries
    viewer   GET    /v1/deliveries/{id}
    viewer   GET    /v1/deliveries/{id}/attempts
    operator POST   /v1/deliveries/{id}/resend
    viewer   GET    /v1/attempts
    viewer   GET    /v1/dead-letters
    viewer   GET    /v1/dead-letters/{id}
    operator DELETE /v1/dead-letters/{id}
    operator POST   /v1/dead-letters/{id}/resend
    operator POST   /v1/replays
    viewer   GET    /v1/replays
    viewer   GET    /v1/replays/{id}
    operator POST   /v1/replays/{id}/pause
    operator POST   /v1/replays/{id}/resume
    operator POST   /v1/replays/{id}/cancel
";

const ROLES: [&str; 4] = ["manager", "producer", "operator", "viewer"];

struct Route {
    role: &'static str,
    method: Method,
    path: &'static str,
}

impl Route {
    /// Its path with this id, or with one that nothing has.
    fn at(&self, id: Option<&str>) -> String {
        let prefix = match self.path.split('/').nth(2) {
            Some("tenants") => "ten",
            Some("api-keys") => "key",
            Some("webhooks") => "wh",
            Some("events") => "evt",
            Some("replays") => "rpl",
            _ => "dlv",
        };
        let missing = format!("{prefix}_01jq000000aaaaaaaaaaaaaaaa");
        self.path.replace("{id}", id.unwrap_or(&missing)).replace("{name}", "standard")
    }

    /// A body that passes, so that nothing but the id is at fault.
    fn body(&self) -> Option<Value> {
        (self.method == Method::PATCH).then(|| json!({"description": "taken over"}))
    }
}

fn routes() -> impl Iterator<Item = Route> {
    ROUTES.lines().filter_map(|line| {
        let [role, method, path] = line.split_ascii_whitespace().collect::<Vec<_>>()[..] else { return None };
        Some(Route { role, method: method.parse().expect("a method"), path })
    })
}

#[test]
fn the_table_has_every_route() {
    let document = document(&Dialects::builtin().expect("built-in dialects"));
    let mut served = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let role = match &operation["security"] {
                Value::Array(none) if none.is_empty() => "none",
                needs if needs[0]["platform_key"].is_array() => "platform",
                needs => needs[0]["api_key"][0].as_str().unwrap_or("any"),
            };
            served.push(format!("{role} {} {path}", method.to_uppercase()));
        }
    }
    let mut known: Vec<_> = routes().map(|route| format!("{} {} {}", route.role, route.method, route.path)).collect();
    served.sort();
    known.sort();
    assert_eq!(served, known);
}

/// What a tenant has: a webhook, an event, and its delivery, which is dead.
async fn furnish(owner: &Tenant<'_>, receiver: &Receiver) -> (String, String, String) {
    receiver.always(Reply::Status(400));
    let webhook = owner.webhook(&receiver.url).await["id"].as_str().expect("an id").to_owned();
    let event = owner.event("document.uploaded", json!({})).await;
    owner.world.drain().await;
    let letters = owner.get("/v1/dead-letters").await.expect(200);
    (webhook, event, letters["data"][0]["id"].as_str().expect("a dead letter").to_owned())
}

/// An answer without what differs each time.
fn told(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body.as_object_mut().expect("a problem").remove("request_id");
    (answer.status, body)
}

#[tokio::test]
async fn another_tenants_ids_are_not_there_on_any_route() {
    let world = World::new().await;
    let (owner, stranger) = (world.tenant_with("sandbox", "docintell").await, world.tenant().await);
    let receiver = Receiver::start().await;
    let (webhook, event, delivery) = furnish(&owner, &receiver).await;
    let before = owner.get(&format!("/v1/webhooks/{webhook}")).await.expect(200);
    let replay = owner.post("/v1/replays", json!({"source": "dead_letters", "all": true})).await.expect(201);
    let replay = replay["id"].as_str().expect("an id").to_owned();

    for route in routes().filter(|route| route.path.contains("{id}") && route.role != "platform") {
        let id = match route.path.split('/').nth(2) {
            Some("webhooks") => &webhook,
            Some("events") => &event,
            Some("replays") => &replay,
            _ => &delivery,
        };
        let (there, missing) = (route.at(Some(id)), route.at(None));
        let method = || route.method.clone();
        for body in [route.body(), None] {
            let theirs = stranger.call(method(), &there, body.clone()).await;
            let nobodys = stranger.call(method(), &missing, body.clone()).await;
            assert_eq!(told(&theirs), told(&nobodys), "{} {there}", route.method);
            if body == route.body() {
                assert_eq!(theirs.problem(404), "not_found", "{} {there}", route.method);
            }
        }
        let mut request = world.request(method(), &there).bearer_auth(PLATFORM_KEY);
        request = request.header("tidings-tenant", &stranger.id);
        let acting = world.send(route.body().into_iter().fold(request, |request, body| request.json(&body))).await;
        assert_eq!(acting.problem(404), "not_found", "{} {there}", route.method);
    }
    for list in ["deliveries", "dead-letters"] {
        let found = stranger.get(&format!("/v1/{list}?filter[webhook_id]={webhook}")).await.expect(200);
        assert_eq!(found["data"], json!([]), "{list}");
    }

    assert_eq!(owner.get(&format!("/v1/webhooks/{webhook}")).await.expect(200), before);
    assert_eq!(owner.get(&format!("/v1/deliveries/{delivery}")).await.expect(200)["state"], "dead");
    assert_eq!(owner.get(&format!("/v1/replays/{replay}")).await.expect(200)["state"], "running");
    assert_eq!(stranger.get("/v1/replays").await.expect(200)["data"], json!([]));
    world.drain().await;
    assert_eq!(receiver.count(), 1, "nothing was sent for a stranger");
}

#[tokio::test]
async fn a_key_does_what_its_roles_say() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    for role in ROLES {
        let key = world.key(&tenant.id, &[role]).await;
        let holder = Tenant { key, ..tenant.clone() };
        for route in routes() {
            let answer = holder.call(route.method.clone(), &route.at(None), Some(json!({}))).await;
            let at = format!("{role}: {} {}", route.method, route.path);
            let looks = route.role == "viewer" && role != "producer";
            if looks || ["none", "any", role].contains(&route.role) {
                assert!(![401, 403].contains(&answer.status), "{at}: {}", answer.text);
                continue;
            }
            assert_eq!(answer.problem(403), "missing_role", "{at}");
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains(route.role), "{at}: {detail} names the role");
        }
    }
    assert_eq!((world.count("webhooks").await, world.count("events").await), (0, 0));
}

#[tokio::test]
async fn without_a_valid_key_nothing_answers() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let call = |values: Vec<Vec<u8>>, route: &Route| {
        let request = world.request(route.method.clone(), &route.at(None)).body("not even JSON");
        let value = |bytes: Vec<u8>| HeaderValue::from_bytes(&bytes).expect("a header");
        let request = values.into_iter().fold(request, |request, bytes| request.header(AUTHORIZATION, value(bytes)));
        world.send(request)
    };
    for route in routes().filter(|route| route.role != "none") {
        let answer = call(Vec::new(), &route).await;
        assert_eq!(answer.problem(401), "unauthenticated", "{} {}", route.method, route.path);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }

    let made = json!({"tenant_id": tenant.id, "roles": ["viewer"]});
    let revoked = world.platform(Method::POST, "/v1/api-keys", Some(made)).await.expect(201);
    let revoked_key = revoked["key"].as_str().expect("a key");
    let events = Route { role: "viewer", method: Method::GET, path: "/v1/events" };
    call(vec![format!("Bearer {revoked_key}").into()], &events).await.expect(200);
    let gone = format!("/v1/api-keys/{}", revoked["id"].as_str().expect("an id"));
    world.platform(Method::DELETE, &gone, None).await.expect(204);

    let key = &tenant.key;
    let (good, last) = (format!("Bearer {key}"), if key.ends_with('0') { "1" } else { "0" });
    for (what, values) in [
        ("empty", vec![Vec::new()]),
        ("no key", vec![b"Bearer ".to_vec()]),
        ("another scheme", vec![format!("Basic {key}").into()]),
        ("no scheme", vec![key.clone().into()]),
        ("one character off", vec![format!("Bearer {}{last}", &key[..key.len() - 1]).into()]),
        ("one character short", vec![format!("Bearer {}", &key[..key.len() - 1]).into()]),
        ("another case", vec![format!("Bearer {}", key.to_uppercase()).into()]),
        ("revoked", vec![format!("Bearer {revoked_key}").into()]),
        ("the same twice", vec![good.clone().into(), good.clone().into()]),
        ("two", vec![good.clone().into(), b"Bearer x".to_vec()]),
        ("10 KB", vec![format!("Bearer {}", "k".repeat(10_240)).into()]),
        ("not ASCII", vec!["Bearer ключ".into()]),
        ("not UTF-8", vec![b"Bearer \xff\xfe".to_vec()]),
    ] {
        let answer = call(values, &events).await;
        assert_eq!(answer.problem(401), "unauthenticated", "{what}");
        assert!(!answer.text.contains(&key[..20]), "{what}: no part of a key is told");
    }
    call(vec![good.into()], &events).await.expect(200);
}

#[tokio::test]
async fn a_platform_key_acts_for_the_tenant_it_names() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let webhook = tenant.webhook("https://example.com/hook").await["id"].as_str().expect("an id").to_owned();
    let acting = |key: &str, names: &[&str]| {
        let request = world.request(Method::GET, &format!("/v1/webhooks/{webhook}")).bearer_auth(key);
        world.send(names.iter().fold(request, |request, name| request.header("tidings-tenant", *name)))
    };
    assert_eq!(acting(PLATFORM_KEY, &[&tenant.id]).await.expect(200)["id"], webhook.as_str());
    assert_eq!(acting(&tenant.key, &[&tenant.id]).await.expect(200)["id"], webhook.as_str());
    assert_eq!(acting(&tenant.key, &[&other.id]).await.problem(403), "other_tenant");
    assert_eq!(acting(PLATFORM_KEY, &["ten_01jq000000aaaaaaaaaaaaaaaa"]).await.problem(404), "not_found");
    for wrong in [&[][..], &[""], &["Acme"], &[&webhook], &[&tenant.id, &tenant.id], &[&tenant.id.to_uppercase()]] {
        assert_eq!(acting(PLATFORM_KEY, wrong).await.problem(400), "invalid_tenant_header", "{wrong:?}");
    }

    world.platform(Method::DELETE, &format!("/v1/tenants/{}", tenant.id), None).await.expect(204);
    assert_eq!(acting(PLATFORM_KEY, &[&tenant.id]).await.problem(404), "not_found", "gone with all it had");
    assert_eq!(acting(&tenant.key, &[]).await.problem(401), "unauthenticated");
}

#[tokio::test]
async fn what_changes_nothing_of_a_tenant_is_no_change() {
    let world = World::new().await;
    let path = format!("/v1/tenants/{}", world.tenant().await.id);
    let made = world.platform(Method::GET, &path, None).await.expect(200);
    world.clock.advance(Duration::from_secs(1));
    for same in [json!({}), json!({"name": "Acme"}), json!({"name": "Acme", "default_dialect": "standard"})] {
        assert_eq!(world.platform(Method::PATCH, &path, Some(same)).await.expect(200), made);
    }
    for change in [json!({"name": "Ajax"}), json!({"default_dialect": "numora"})] {
        let before = world.platform(Method::GET, &path, None).await.expect(200);
        world.clock.advance(Duration::from_secs(1));
        let changed = world.platform(Method::PATCH, &path, Some(change)).await.expect(200);
        assert_ne!(changed["updated_at"], before["updated_at"]);
    }
}
