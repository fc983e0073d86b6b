//! No secret is found where it does not belong: canaries are planted wherever a secret can be, everything that Tidings can do
//! is done with them, and then whatever it wrote, answered or stored is searched for each in every spelling.
//!
//! Where a secret may be shown is listed in [`witness`](crate::support::witness): in the answer that makes it, once.

mod ground;

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tidings::config::Loaded;
use tidings::net::check_custom_headers;

use crate::support::World;
use crate::support::canary::{Canaries, canary};
use crate::support::collector::Collector;
use crate::support::process::{Served, run};
use crate::support::secure::Secure;
use crate::support::shell::Shell;
use crate::support::witness::Witness;
use ground::{Given, Receivers, dump, forbid};

/// A text that is no secret, and must be found wherever is searched, or the search looks at nothing.
const OPEN: &str = "openly-shown-description";

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}

/// Custom headers of which each is a secret.
fn own_headers(witness: &mut Witness) -> Value {
    let (basic, bearer, key) = (canary("basic"), canary("bearer"), canary("api-key"));
    for (name, secret) in [("a basic password", &basic), ("a bearer", &bearer), ("a header's key", &key)] {
        witness.canaries.plant(name, secret);
    }
    let basic = BASE64_STANDARD.encode(format!("user:{basic}"));
    json!({"Authorization": format!("Basic {basic}"), "X-Access-Token": bearer, "X-Api-Key": key})
}

/// Tenant, keys, a webhook for each dialect and each class of outcome: their paths.
async fn furnish(witness: &mut Witness, platform: &str, urls: &[(&str, String)]) -> (String, Vec<String>) {
    let tenant = json!({"name": OPEN, "environment": "sandbox"});
    let (status, tenant) = witness.call(Method::POST, "/v1/tenants", platform, Some(tenant)).await;
    assert_eq!(status, 201, "{tenant}");
    let roles = ["manager", "producer", "operator", "viewer"];
    let wanted = json!({"tenant_id": id(&tenant), "roles": roles, "description": OPEN});
    let (_, key) = witness.call(Method::POST, "/v1/api-keys", platform, Some(wanted.clone())).await;
    let (_, revoked) = witness.call(Method::POST, "/v1/api-keys", platform, Some(wanted)).await;
    witness.call(Method::DELETE, &format!("/v1/api-keys/{}", id(&revoked)), platform, None).await;
    witness.call(Method::GET, "/v1/webhooks", revoked["key"].as_str().expect("a key"), None).await;
    let key = key["key"].as_str().expect("a key").to_owned();
    let mut paths = Vec::new();
    for (dialect, url) in urls {
        let url = format!("{}/{}?{}", url.trim_end_matches('/'), witness.private("path"), witness.private("query"));
        let body = json!({
            "url": url, "events": ["*"], "dialect": dialect, "headers": own_headers(witness), "description": OPEN,
            "timeout_seconds": 1, "retry": {"max_attempts": 2, "initial_seconds": 0.2},
        });
        let (status, webhook) = witness.call(Method::POST, "/v1/webhooks", &key, Some(body)).await;
        assert_eq!(status, 201, "{webhook}");
        paths.push(format!("/v1/webhooks/{}", id(&webhook)));
    }
    (key, paths)
}

/// Everything that befalls a webhook, but its deletion.
async fn befall(witness: &mut Witness, key: &str, path: &str) {
    for (end, body) in [
        ("verify", json!({})),
        ("rotate", json!({"overlap_seconds": 60})),
        ("test", json!({})),
        ("deactivate", json!({})),
        ("activate", json!({})),
    ] {
        witness.call(Method::POST, &format!("{path}/{end}"), key, Some(body)).await;
    }
    let headers = own_headers(witness);
    witness.call(Method::PATCH, path, key, Some(json!({"headers": headers}))).await;
    for end in ["", "/health"] {
        witness.call(Method::GET, &format!("{path}{end}"), key, None).await;
    }
}

/// Events of every type that a dialect has, until each was delivered or given up; then once more, resent and replayed.
async fn deliver(witness: &mut Witness, key: &str) {
    for event in ["document.processing", "job.completed", "processed", "DOCUMENT_REVIEWED", "document.uploaded", "a.b"]
    {
        let body = json!({"type": event, "data": {"n": witness.private("data")}, "idempotency_key": event});
        assert_eq!(witness.call(Method::POST, "/v1/events", key, Some(body)).await.0, 202);
    }
    let same = json!({"type": "a.b", "data": {"other": witness.private("data")}, "idempotency_key": "a.b"});
    assert_eq!(witness.call(Method::POST, "/v1/events", key, Some(same.clone())).await.0, 409);
    witness.call(Method::POST, "/v1/events?dry_run=true", key, Some(same)).await;
    settled(witness, key).await;
    let (_, letters) = witness.call(Method::GET, "/v1/dead-letters?page[size]=100", key, None).await;
    let letters = letters["data"].as_array().expect("a list").clone();
    assert!(letters.len() >= 5, "{letters:?}");
    for letter in &letters {
        witness.call(Method::GET, &format!("/v1/deliveries/{}/attempts", id(letter)), key, None).await;
    }
    let resend = format!("/v1/dead-letters/{}/resend", id(&letters[0]));
    assert_eq!(witness.call(Method::POST, &resend, key, Some(json!({}))).await.0, 202);
    let replay = json!({"source": "dead_letters", "all": true});
    assert!(witness.call(Method::POST, "/v1/replays", key, Some(replay)).await.0 < 300);
    settled(witness, key).await;
    for list in ["events", "deliveries", "attempts", "dead-letters", "replays", "webhooks"] {
        assert_eq!(witness.call(Method::GET, &format!("/v1/{list}?page[size]=100"), key, None).await.0, 200, "{list}");
    }
}

async fn settled(witness: &mut Witness, key: &str) {
    for _ in 0..300 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (_, pending) = witness.call(Method::GET, "/v1/deliveries?filter[state]=pending", key, None).await;
        if pending["data"] == json!([]) {
            return;
        }
    }
    panic!("deliveries stay pending");
}

/// Requests that are refused, with a secret in each.
async fn err(witness: &mut Witness, key: &str, webhook: &str) {
    let mut secret = |name: &str| {
        let secret = canary(name);
        witness.canaries.plant(&format!("what was given as {name}"), &secret);
        secret
    };
    let bodies = [
        json!({"url": format!("https://user:{}@example.com/", secret("userinfo")), "events": ["*"]}),
        json!({"url": "https://example.com/", "events": ["*"], "signing_secret": secret("an unknown member")}),
        json!({"url": "https://example.com/", "events": ["*"], "headers": secret("headers")}),
        json!({"url": "https://example.com/", "events": ["*"], "headers": {"X-Key": [secret("a list")]}}),
        json!({"url": "https://example.com/", "events": ["*"], "headers": {"X-Key": format!("{}\r\n", secret("a line"))}}),
        json!({"url": "https://example.com/", "events": ["*"], "headers": {"Host": secret("Host")}}),
        json!({"url": "https://example.com/", "events": ["*"], "is_active": secret("is_active")}),
        json!({"url": "https://example.com/", "events": ["*"], "timeout_seconds": secret("timeout_seconds")}),
        json!({"url": [secret("url")], "events": ["*"]}),
    ];
    let cut = format!(r#"{{"url": "https://example.com/", "headers": {{"Authorization": "{}"#, secret("a cut body"));
    let (wrong, other, query) = (secret("a wrong key"), secret("a wrong scheme"), secret("a query"));
    for body in bodies {
        for (method, path) in [(Method::POST, "/v1/webhooks"), (Method::PATCH, webhook)] {
            let (status, answer) = witness.call(method, path, key, Some(body.clone())).await;
            assert_eq!(status, 422, "{body}: {answer}");
        }
    }
    let post =
        witness.request(&Method::POST, "/v1/webhooks").bearer_auth(key).header("content-type", "application/json");
    assert_eq!(witness.send(&Method::POST, "/v1/webhooks", post.body(cut)).await.0, 400);
    for authorization in [format!("Bearer {wrong}"), format!("Bearer tk_live_{wrong}"), format!("Basic {other}"), other]
    {
        let request = witness.request(&Method::GET, "/v1/webhooks").header("authorization", authorization);
        assert_eq!(witness.send(&Method::GET, "/v1/webhooks", request).await.0, 401);
    }
    for path in [format!("/v1/webhooks?key={query}"), format!("/v1/webhooks?page[after]={query}")] {
        assert_eq!(witness.call(Method::GET, &path, key, None).await.0, 400);
    }
    for path in ["/v1/webhooks/wh_01jq000000aaaaaaaaaaaaaaaa", "/v1/nowhere", "/openapi.json", "/metrics", "/docs"] {
        witness.call(Method::GET, path, key, None).await;
    }
}

/// What an operator sees at a prompt.
async fn operate(witness: &mut Witness, address: std::net::SocketAddr, key: &str, given: &Given) -> String {
    let mut shell = Shell::new(200);
    let profile_key = canary("tk_live_");
    witness.canaries.plant("the key of a profile", &profile_key);
    let text =
        format!("[mine]\nurl = \"http://{address}\"\nkey = \"{profile_key}\"\n[broken]\nkeyy = \"{profile_key}\"\n");
    shell.write(".config/tidings/profiles.toml", &text);
    shell.write("key-file", &format!("{profile_key}\nand more\n"));
    let mut seen = String::new();
    for arguments in [
        &["webhooks", "list", "--profile", "mine"][..],
        &["webhooks", "list", "--profile", "broken"],
        &["webhooks", "list", "--key-file", "key-file"],
    ] {
        let printed = shell.run(arguments).await;
        assert_ne!(printed.code, 0, "{}", printed.transcript());
        seen += &printed.transcript();
    }
    shell.set("TIDINGS_URL", &format!("http://{address}"));
    shell.set("TIDINGS_KEY", key);
    for arguments in [
        &["webhooks", "list"][..],
        &["webhooks", "list", "--json"],
        &["deliveries", "list", "--json"],
        &["dead-letters", "list"],
        &["tail", "--last", "50", "--count", "50"],
        &["keys", "list"],
        &["webhooks", "--help"],
        &["--help"],
    ] {
        seen += &shell.run(arguments).await.transcript();
    }
    let letters = shell.run(&["dead-letters", "list", "--json"]).await.json();
    for letter in &letters {
        seen += &shell.run(&["deliveries", "attempts", &id(letter), "--full"]).await.transcript();
    }
    shell.set("TIDINGS_KEY", &given.platform_key);
    for arguments in [&["keys", "list"][..], &["tenants", "list", "--json"]] {
        seen += &shell.run(arguments).await.transcript();
    }
    for arguments in [&["check-config"][..], &["keys", "rotate-master", "--check"], &["serve", "--role", "nobody"]] {
        seen += &run(arguments, &given.settings()).await.text;
    }
    let wrong: Vec<_> = given.settings.iter().map(|(name, value)| (*name, format!("{value}!"))).collect();
    for (name, value) in &wrong {
        let mut settings = given.settings();
        settings.retain(|(own, _)| own != name);
        settings.push((name, value));
        if *name != "log.level" && *name != "server.listen" {
            seen += &run(&["check-config"], &settings).await.text;
        }
    }
    seen
}

#[tokio::test]
async fn no_secret_is_where_it_does_not_belong() {
    let (secure, collector) = (Secure::start().await, Collector::start().await);
    let mut planted = Vec::new();
    let given = Given::new(&mut planted, &secure, &collector).await;
    let served = Served::start(&[], &given.settings()).await;
    let mut witness = Witness::new(served.address);
    for (name, secret) in planted {
        witness.canaries.plant(&name, &secret);
    }
    let receivers = Receivers::start(&mut witness).await;
    let (key, webhooks) = furnish(&mut witness, &given.platform_key, &receivers.urls(&secure)).await;
    forbid(&given.old_url).await;
    for path in &webhooks {
        befall(&mut witness, &key, path).await;
    }
    deliver(&mut witness, &key).await;
    err(&mut witness, &key, &webhooks[0]).await;
    let (_, metrics) = witness.text("/metrics").await;
    let screens = operate(&mut witness, served.address, &key, &given).await;
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", served.process.id())).expect("its arguments");
    let tables = dump(&given.old_url).await;
    let log = served.process.stop(Signal::TERM).await.text;

    // Everything went the way it should: secrets were made, credentials went out, and each place is really searched.
    assert_eq!(witness.shown(), 2 + 11 + 10, "keys, registrations with a token, rotations");
    let sent = secure.received();
    assert!(sent.iter().any(|headers| headers.contains_key("x-access-token")), "over HTTP/2, too: {sent:?}");
    let went_out = format!("{:?} {sent:?}", receivers.well.received());
    let found = witness.canaries.found_in(&went_out).join(" ");
    for one in ["a basic password", "a bearer", "a header's key"] {
        assert!(found.contains(one), "the search finds {one} where it is: {found}");
    }
    for class in ["success", "http_status", "timeout", "connect", "tls", "protocol", "dns", "blocked_address"] {
        assert!(log.contains(&format!("outcome={class}")) || log.contains(&format!("outcome=\"{class}\"")), "{class}");
    }
    let spans = collector.text();
    let webhook = webhooks[0].rsplit('/').next().expect("an id");
    for (place, text) in
        [("the log", &log), ("a span", &spans), ("an answer", &witness.answers), ("a screen", &screens)]
    {
        assert!(text.contains(webhook), "{place} is not what is searched: {}", text.len());
    }
    for dependency in ["pooling idle connection", "peer=Client", "fill_cache"] {
        assert!(log.contains(dependency), "dependencies log at this level, too: {dependency}");
    }
    let everything: String = tables.iter().map(|(_, rows)| rows.as_str()).collect();
    assert!(everything.contains(OPEN) && everything.contains("execute sqlx"), "the database is searched, and its log");

    let mut report = String::new();
    for (place, text) in tables.iter().map(|(place, text)| (place.as_str(), text)).chain([
        ("the log", &log),
        ("a span", &spans),
        ("an answer", &witness.answers),
        ("a screen", &screens),
        ("the command line", &arguments),
    ]) {
        witness.canaries.search(place, text, &mut report);
    }
    for (place, text) in
        [("the log", &log), ("a span", &spans), ("/metrics", &metrics), ("the command line", &arguments)]
    {
        witness.private.search(place, text, &mut report);
    }
    assert!(metrics.contains("tidings_attempts_total") && !witness.private.found_in(&witness.answers).is_empty());
    if !report.is_empty() {
        let count = report.lines().count();
        writeln!(report, "{count} in all").expect("a text");
        panic!("{report}");
    }
}

#[tokio::test]
async fn no_debug_text_holds_a_secret() {
    let world = World::new().await;
    let mut canaries = Canaries::default();
    let mut given = |name: &str, secret: String| {
        canaries.plant(name, &secret);
        secret
    };
    let key = || BASE64_STANDARD.encode(rand::random::<[u8; 32]>());
    let (master, further) = (given("master", key()), given("further", key()));
    let variables = [
        ("TIDINGS__SECRETS__MASTER_KEY", master.clone()),
        ("TIDINGS__SECRETS__FURTHER_MASTER_KEYS", further),
        ("TIDINGS__SERVER__PLATFORM_KEY", given("platform", canary("tk_platform_"))),
        (
            "TIDINGS__DATABASE__URL",
            format!("postgres://me:{}@db/x?password={}", given("one", canary("one")), given("two", canary("two"))),
        ),
        ("TIDINGS__TELEMETRY__OTLP_HEADERS", format!("x-key={}", given("header", canary("header")))),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    let loaded = Loaded::load(None, variables).expect("a configuration");
    let tenant = world.tenant().await;
    given("the key of a tenant", tenant.key.clone());
    let keys = loaded.config.secrets.keys().expect("keys");
    let headers = vec![("Authorization".to_owned(), given("bearer", canary("bearer")))];
    let checked = check_custom_headers(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())), &[""]);
    let shown = format!("{loaded:?} {loaded:#?} {keys:?} {:?} {:?} {loaded}", world.context, checked);
    assert!(shown.contains("lease_seconds") && shown.contains("authorization"), "{shown}");
    assert_eq!(canaries.found_in(&shown), Vec::<&str>::new(), "{shown}");
    let found = canaries.found_in(&format!("{headers:?} {master}")).join(" ");
    assert!(found.contains("bearer") && found.contains("master"), "what is shown is found: {found}");
}
