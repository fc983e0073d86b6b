//! Every route of the description does its work once, and fails once in its main way.
//!
//! A route that is added without a step here fails the last lines: what a route answers is recorded, not listed.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::described::DOCUMENT;
use crate::support::world::Tenant;
use crate::support::{Receiver, Reply, World};

/// Somebody who walks through the API.
struct Walk<'w> {
    tenant: Tenant<'w>,
}

impl Walk<'_> {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> crate::support::world::Answer {
        let method: Method = method.parse().expect("a method");
        if path.starts_with("/v1/tenants") || path.starts_with("/v1/api-keys") {
            self.tenant.world.platform(method, path, body).await
        } else {
            self.tenant.call(method, path, body).await
        }
    }

    async fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).await.expect(200)
    }

    async fn post(&self, path: &str, body: Value, status: u16) -> Value {
        self.call("POST", path, Some(body)).await.expect(status)
    }
}

fn id(value: &Value) -> &str {
    value["id"].as_str().expect("an id")
}

#[tokio::test]
async fn every_route_works_and_fails_as_it_is_described() {
    let world = World::new().await;
    let walk = Walk { tenant: world.tenant().await };
    world.run();
    platform(&walk).await;
    webhooks(&walk).await;
    events(&walk).await;
    event_types(&walk).await;
    replays(&walk).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        walk.call("GET", path, None).await;
    }
    walk.get("/openapi.json").await;
    walk.get("/v1/dialects").await;
    walk.get("/v1/dialects/numora").await;
    failures(&walk).await;

    let seen = world.seen();
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let own = operation["operationId"].as_str().expect("an id");
            let statuses: BTreeSet<_> = seen.iter().filter(|(id, _)| id == own).map(|(_, status)| *status).collect();
            assert!(statuses.iter().any(|status| *status < 300), "{method} {path} never did its work: {statuses:?}");
            let fails =
                operation["security"] == json!([]) || statuses.iter().any(|status| [400, 404, 422].contains(status));
            assert!(fails, "{method} {path} never failed in its main way: {statuses:?}");
        }
    }
}

async fn platform(walk: &Walk<'_>) {
    let tenant = walk.post("/v1/tenants", json!({"name": "Acme", "environment": "live"}), 201).await;
    walk.get("/v1/tenants").await;
    let path = format!("/v1/tenants/{}", id(&tenant));
    walk.get(&path).await;
    walk.call("PATCH", &path, Some(json!({"name": "Acme 2"}))).await.expect(200);
    let wanted = json!({"tenant_id": id(&tenant), "roles": ["viewer"], "requests_per_second": 5});
    let key = walk.post("/v1/api-keys", wanted, 201).await;
    walk.get("/v1/api-keys").await;
    walk.call("DELETE", &format!("/v1/api-keys/{}", id(&key)), None).await.expect(204);
    walk.call("DELETE", &path, None).await.expect(204);
}

async fn webhooks(walk: &Walk<'_>) {
    let receiver = Receiver::start().await;
    let webhook =
        walk.post("/v1/webhooks", json!({"url": receiver.url, "events": ["*"], "dialect": "limai"}), 201).await;
    receiver.always(Reply::Challenge);
    let path = format!("/v1/webhooks/{}", id(&webhook));
    walk.post(&format!("{path}/verify"), json!({}), 200).await;
    walk.get("/v1/webhooks").await;
    walk.get(&path).await;
    walk.call("PATCH", &path, Some(json!({"description": "for the books"}))).await.expect(200);
    walk.post(&format!("{path}/rotate"), json!({}), 200).await;
    walk.post(&format!("{path}/test"), json!({}), 200).await;
    walk.get(&format!("{path}/health")).await;
    walk.post(&format!("{path}/deactivate"), json!({}), 200).await;
    walk.post(&format!("{path}/activate?skip_backlog=true"), json!({}), 200).await;
    walk.call("DELETE", &path, None).await.expect(204);
}

async fn events(walk: &Walk<'_>) {
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(500));
    let once = json!({"max_attempts": 1, "initial_seconds": 1});
    walk.post("/v1/webhooks", json!({"url": receiver.url, "events": ["a.*"], "retry": once}), 201).await;
    walk.post("/v1/events?dry_run=true", json!({"type": "a.b", "data": 1}), 200).await;
    let event = walk.post("/v1/events", json!({"type": "a.b", "data": 1}), 202).await;
    walk.post("/v1/events/batch", json!({"events": [{"type": "a.c", "data": 2}, {"type": "a.d", "data": 3}]}), 202)
        .await;
    walk.tenant.world.drain().await;
    walk.get("/v1/events").await;
    walk.get(&format!("/v1/events/{}", id(&event))).await;
    let deliveries = walk.get("/v1/deliveries").await;
    let delivery = id(&deliveries["data"][0]).to_owned();
    walk.get(&format!("/v1/deliveries/{delivery}")).await;
    walk.get(&format!("/v1/deliveries/{delivery}/attempts")).await;
    walk.get("/v1/attempts").await;
    let letters = walk.get("/v1/dead-letters").await;
    let letters: Vec<_> = letters["data"].as_array().expect("a list").iter().map(id).collect();
    assert_eq!(letters.len(), 3, "all are given up after one attempt");
    walk.get(&format!("/v1/dead-letters/{}", letters[0])).await;
    receiver.always(Reply::Status(200));
    walk.post(&format!("/v1/dead-letters/{}/resend", letters[0]), json!({}), 202).await;
    walk.call("DELETE", &format!("/v1/dead-letters/{}", letters[1]), None).await.expect(204);
    walk.post(&format!("/v1/deliveries/{}/resend", letters[2]), json!({}), 202).await;
    let erased = walk.call("DELETE", &format!("/v1/events/{}/data", id(&event)), None).await;
    assert!(erased.status < 300, "{}", erased.text);
}

async fn event_types(walk: &Walk<'_>) {
    let path = "/v1/event-types/a.b";
    for status in [201, 200] {
        let said = json!({"schema": {"type": "integer"}, "example": 1, "deprecated": true});
        walk.call("PUT", path, Some(said)).await.expect(status);
    }
    walk.get("/v1/event-types").await;
    walk.get(path).await;
    walk.post("/v1/events", json!({"type": "a.b", "data": "1"}), 422).await;
    walk.call("DELETE", path, None).await.expect(204);
}

async fn replays(walk: &Walk<'_>) {
    let everything = |dry_run: bool| json!({"source": "dead_letters", "all": true, "dry_run": dry_run});
    walk.post("/v1/replays", everything(true), 200).await;
    let replay = walk.post("/v1/replays", everything(false), 201).await;
    walk.get("/v1/replays").await;
    let path = format!("/v1/replays/{}", id(&replay));
    walk.get(&path).await;
    for word in ["pause", "resume", "cancel"] {
        walk.call("POST", &format!("{path}/{word}"), None).await.expect(200);
    }
}

/// For each operation with an id, one that nothing has; for each list, a page of none; for the rest, an empty body.
async fn failures(walk: &Walk<'_>) {
    for (path, item) in DOCUMENT["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            if operation["security"] == json!([]) {
                continue;
            }
            let schema = operation["parameters"][0]["schema"]["$ref"].as_str().unwrap_or_default();
            let prefix = [("Tenant", "ten"), ("Key", "key"), ("Webhook", "wh"), ("Event", "evt"), ("Replay", "rpl")];
            let prefix = prefix
                .iter()
                .find(|(noun, _)| schema.ends_with(&format!("/{noun}Id")))
                .map_or("dlv", |(_, prefix)| prefix);
            let missing = format!("{prefix}_01jq000000aaaaaaaaaaaaaaaa");
            let at = path.replace("{id}", &missing).replace("{name}", "klingon");
            let is_list = method == "get" && !path.contains('{');
            let at = if is_list { format!("{at}?page[size]=0") } else { at };
            // Nothing at all may be said of an event type.
            let empty = if method == "put" { json!([]) } else { json!({}) };
            let body = operation.get("requestBody").map(|_| empty);
            let answer = walk.call(&method.to_uppercase(), &at, body).await;
            assert!([400, 404, 422].contains(&answer.status), "{method} {at}: {} {}", answer.status, answer.text);
        }
    }
}
