//! The console: whoever has a key sees and does what the key may, and nothing else.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder};
use rustix::process::Signal;
use serde_json::json;
use url::form_urlencoded::Serializer;

use crate::support::process::{Served, settings};
use crate::support::world::{PLATFORM_KEY, Tenant, World};
use crate::support::{Receiver, Reply, database};

/// A browser: it keeps one cookie, and follows redirects when told to.
struct Browser {
    client: reqwest::Client,
    base: String,
    cookie: Option<String>,
}

/// What a browser got.
struct Page {
    status: u16,
    /// Where it is sent on.
    place: Option<String>,
    text: String,
}

impl Page {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.place, self.text);
        self
    }

    /// It holds each of these.
    #[track_caller]
    fn with(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.text.contains(text), "no {text} in {}", self.text);
        }
        self
    }

    /// It holds none of these.
    #[track_caller]
    fn without(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(!self.text.contains(text), "{text} in {}", self.text);
        }
        self
    }

    /// The first link that holds this.
    #[track_caller]
    fn link(&self, part: &str) -> String {
        let mut links = self.text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let link = links.find(|link| link.contains(part));
        link.unwrap_or_else(|| panic!("no link with {part} in {}", self.text))
            .replace("&amp;", "&")
            .replace("&#38;", "&")
    }
}

impl Browser {
    fn new(base: String) -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        Self { client, base, cookie: None }
    }

    fn at(world: &World) -> Self {
        Self::new(format!("http://{}", world.address))
    }

    /// One that has signed in.
    async fn of(world: &World, key: &str) -> Self {
        let mut browser = Self::at(world);
        let answer = browser.post("/console/sign-in", &[("key", key)]).await.expect(303);
        assert_eq!(answer.place.as_deref(), Some("/console?signed_in=true"));
        browser
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match &self.cookie {
            Some(cookie) => request.header(COOKIE, cookie),
            None => request,
        }
    }

    async fn send(&mut self, request: RequestBuilder) -> Page {
        let response = request.send().await.expect("an answer");
        let headers = response.headers().clone();
        let policy = headers["content-security-policy"].to_str().expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(headers["x-content-type-options"] == "nosniff" && headers["cache-control"] == "no-store");
        if let Some(cookie) = headers.get(SET_COOKIE) {
            let pair = cookie.to_str().expect("a text").split(';').next().expect("a pair");
            self.cookie = (!pair.ends_with('=')).then(|| pair.to_owned());
        }
        let place = headers.get(LOCATION).map(|place| place.to_str().expect("a place").to_owned());
        Page { status: response.status().as_u16(), place, text: response.text().await.expect("a text") }
    }

    async fn get(&mut self, path: &str) -> Page {
        let request = self.request(Method::GET, path);
        self.send(request).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let request = filled(self.request(Method::POST, path), form);
        self.send(request).await
    }

    /// Sends a form, and opens the page that it leads to.
    async fn go(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let place = self.post(path, form).await.expect(303).place.expect("a place");
        self.get(&place).await.expect(200)
    }
}

/// A request with a form that somebody filled in.
fn filled(request: RequestBuilder, form: &[(&str, &str)]) -> RequestBuilder {
    let body = Serializer::new(String::new()).extend_pairs(form).finish();
    request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
}

/// The tenant's part of the console.
fn part(tenant: &Tenant<'_>, path: &str) -> String {
    format!("/console/{}{path}", tenant.id)
}

const PARTS: [&str; 6] = ["", "/webhooks", "/events", "/deliveries", "/dead-letters", "/replays"];

#[tokio::test]
async fn a_key_is_the_way_in_and_its_end_is_the_way_out() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut browser = Browser::at(&world);
    for path in PARTS {
        let page = browser.get(&part(&tenant, path)).await.expect(303);
        assert!(page.place.is_some_and(|place| place.starts_with("/console/sign-in?to=")), "{path}");
    }
    browser.get("/console/sign-in").await.expect(200).with(&["API key"]);
    browser
        .post("/console/sign-in", &[("key", "tk_sandbox_nobody")])
        .await
        .expect(401)
        .with(&["unknown, or was revoked"]);
    browser.get("/console?signed_in=true").await.expect(200).with(&["did not keep the session"]);

    let key = world.key(&tenant.id, &["viewer"]).await;
    let mut browser = Browser::of(&world, &format!(" {key}\n")).await;
    let cookie = browser.cookie.clone().expect("a cookie");
    assert!(!cookie.contains(&key));
    let start = browser.get("/console?signed_in=true").await.expect(303);
    assert_eq!(start.place, Some(part(&tenant, "")));
    browser.get(&part(&tenant, "")).await.expect(200).with(&["Nothing has been attempted yet"]);

    let altered = format!("{}{}", &cookie[..cookie.len() - 1], if cookie.ends_with('A') { 'B' } else { 'A' });
    browser.cookie = Some(altered);
    browser.get(&part(&tenant, "")).await.expect(303);

    browser.cookie = Some(cookie.clone());
    browser.post("/console/sign-out", &[]).await.expect(303);
    assert_eq!(browser.cookie, None);

    // What somebody copied of it ends with the key.
    browser.cookie = Some(cookie.clone());
    let keys = world.platform(Method::GET, "/v1/api-keys", None).await.expect(200);
    let keys = keys["data"].as_array().expect("keys");
    let viewer = keys.iter().find(|one| one["roles"] == json!(["viewer"])).expect("the viewer's");
    let path = format!("/v1/api-keys/{}", viewer["id"].as_str().expect("an id"));
    world.platform(Method::DELETE, &path, None).await.expect(204);
    browser.get(&part(&tenant, "")).await.expect(303);

    // And with the day.
    let mut browser = Browser::of(&world, &tenant.key).await;
    world.clock.advance(Duration::from_hours(12));
    browser.get(&part(&tenant, "")).await.expect(303);
}

#[tokio::test]
async fn whoever_signs_in_comes_to_the_page_they_wanted() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut browser = Browser::at(&world);
    let wanted = part(&tenant, "/deliveries?state=dead&event=%22%3Ca%3E");
    let before = browser.get(&wanted).await.expect(303).place.expect("a place");
    let page = browser.get(&before).await.expect(200);
    let to = wanted.strip_prefix("/console").expect("a page");
    page.with(&[&format!(r#"name="to" value="{}""#, to.replace('&', "&#38;"))]);

    let start = browser.post("/console/sign-in", &[("key", "tk_sandbox_nobody"), ("to", to)]).await.expect(401);
    start.with(&[r#"name="to""#]);
    let start = browser.post("/console/sign-in", &[("key", &tenant.key), ("to", to)]).await.expect(303).place;
    let page = browser.get(&start.expect("a place")).await.expect(303);
    assert_eq!(page.place, Some(wanted));

    // Only pages of the console are come to, and only those that somebody may ask for again.
    for elsewhere in ["https://elsewhere.example/", "elsewhere", "//elsewhere.example/", "/\n", ""] {
        let start = browser.post("/console/sign-in", &[("key", &tenant.key), ("to", elsewhere)]).await.expect(303);
        let page = browser.get(&start.place.expect("a place")).await.expect(303);
        assert!(page.place.is_some_and(|place| place.starts_with("/console/")), "{elsewhere}");
    }
    browser.cookie = None;
    assert_eq!(browser.get("/console").await.expect(303).place.as_deref(), Some("/console/sign-in"));
    let page = browser.post(&part(&tenant, "/webhooks"), &[("url", "https://a.example/")]).await.expect(303);
    assert_eq!(page.place.as_deref(), Some("/console/sign-in"));
}

#[tokio::test]
async fn what_somebody_types_is_registered_sent_and_shown() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let tenant = world.tenant().await;
    let mut browser = Browser::of(&world, &tenant.key).await;
    browser.get(&part(&tenant, "/webhooks/new")).await.expect(200).with(&["standard", "beltic"]);
    let form = [
        ("url", receiver.url.as_str()),
        ("events", "invoice.*, run.failed\n"),
        ("dialect", ""),
        ("description", "<b>&\"'"),
    ];
    let made = browser.post(&part(&tenant, "/webhooks"), &form).await.expect(200).with(&["whsec_", "not shown again"]);
    let secret = made.text.split("whsec_").nth(1).and_then(|rest| rest.split('<').next()).expect("a secret").to_owned();
    let webhook = made.link("/webhooks/wh_");
    let stored = &tenant.get("/v1/webhooks").await.expect(200)["data"][0];
    assert_eq!((&stored["events"], &stored["description"]), (&json!(["invoice.*", "run.failed"]), &json!("<b>&\"'")));

    let data = "{\"a\":\n 1e2,  \"b\":\"</pre><script>alert(1)</script>\",\"b\":\"\\u00e9\"}";
    world.drain().await;
    let sent = browser
        .post(&part(&tenant, "/events"), &[("type", " invoice.paid"), ("data", &data.replace('\n', "\r\n"))])
        .await
        .expect(303);
    let event = sent.place.expect("a place");
    world.drain().await;
    // Dispatchers tell how webhooks fare every few seconds.
    world.after(Duration::from_secs(6)).await;
    let request = receiver.only();
    assert!(String::from_utf8_lossy(&request.body).ends_with(&format!("\"data\":{data}}}")), "byte for byte");
    let shown = browser.get(&event).await.expect(200).with(&["invoice.paid", "delivered", "1e2,  "]);
    let delivery = shown.link("/deliveries/dlv_");
    let place = receiver.url.clone();
    browser.get(&delivery).await.expect(200).with(&[&place, "webhook-signature: v1,", "Answered", "Resend"]);
    browser.get(&webhook).await.expect(200).with(&[
        &place,
        "100 %",
        "invoice.*, run.failed",
        "&#60;b&#62;&#38;&#34;&#39;",
    ]);
    browser.get(&part(&tenant, "")).await.expect(200).with(&["One attempt", "invoice.paid", &place, "<rect"]);
    browser.get(&part(&tenant, "/webhooks")).await.expect(200).with(&[&place, "active", "100 %"]);
    browser.get(&part(&tenant, "/deliveries?state=delivered&event=invoice.paid")).await.expect(200).with(&[&place]);
    browser.get(&part(&tenant, "/deliveries?state=dead")).await.expect(200).with(&["No delivery is like this"]);

    for path in PARTS.map(|path| part(&tenant, path)).iter().chain([&webhook, &event, &delivery]) {
        browser.get(path).await.expect(200).without(&[&secret, "<script>alert", "<b>", &tenant.key]);
    }
}

#[tokio::test]
async fn what_the_api_refuses_is_told_beside_what_was_typed() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut browser = Browser::of(&world, &tenant.key).await;
    let form = [("url", "http://10.0.0.1/x"), ("events", "a b"), ("dialect", "beltic"), ("description", "mine")];
    let page = browser.post(&part(&tenant, "/webhooks"), &form).await.expect(422);
    page.with(&["/url", "/events", "http://10.0.0.1/x", "a b", "<option selected>beltic", "mine"]);
    assert_eq!(world.count("webhooks").await, 0);

    let event = [("type", "a"), ("data", "{'x': 1}")];
    let page = browser.post(&part(&tenant, "/events"), &event).await.expect(422);
    page.with(&["not JSON: key must be a string at line 1 column 2", "{&#39;x&#39;: 1}"]);
    let page = browser.post(&part(&tenant, "/events"), &[("type", "../"), ("data", "1")]).await.expect(422);
    page.with(&["type", "../"]);
    assert_eq!(world.count("events").await, 0);

    let webhook = tenant.webhook("http://127.0.0.1:9/").await;
    let path = part(&tenant, &format!("/webhooks/{}", webhook["id"].as_str().expect("an id")));
    let form = [("url", "ftp://x/"), ("events", "*"), ("description", "")];
    browser.post(&path, &form).await.expect(422).with(&["ftp://x/", "http://127.0.0.1:9/"]);
    let form = [("url", "http://127.0.0.1:10/"), ("events", "a.b"), ("description", "moved")];
    browser.go(&path, &form).await.with(&["Changed.", "http://127.0.0.1:10/", "moved"]);
    // What others have changed since the form was shown stays, unless somebody typed something else.
    let shown = [("shown_url", "http://127.0.0.1:9/"), ("shown_events", "*"), ("shown_description", "a\nb")];
    let typed = [("url", "http://127.0.0.1:9/"), ("events", "a.b, c"), ("description", "a\r\nb")];
    browser.go(&path, &[shown, typed].concat()).await.with(&["http://127.0.0.1:10/", "a.b, c", "moved"]);
    let refused = [("url", "http://127.0.0.1:9/"), ("events", "a b c.*.d"), ("description", "")];
    let page = browser.post(&path, &[shown, refused].concat()).await.expect(422);
    page.with(&[r#"name="shown_url" value="http://127.0.0.1:9/""#, "a b c.*.d"]);
    // A filter that is refused is there to be put right.
    for query in [
        "deliveries?webhook_id=a+b",
        "dead-letters?webhook_id=a+b",
        "webhooks?event=a+b",
        "events?type=a+b",
        "replays?state=a+b",
    ] {
        let page = browser.get(&part(&tenant, &format!("/{query}"))).await.expect(400);
        let (_, name) = query.trim_end_matches("=a+b").split_once('?').expect("a filter");
        page.with(&[&format!("filter[{name}]"), "req_", "aria-current", &format!("name=\"{name}\"")]).without(&[
            "data-live",
            "class=\"empty\"",
            "Resend all",
        ]);
    }
    let refused = browser.get(&part(&tenant, "/deliveries?event=a.b&state=good")).await.expect(400);
    refused.with(&["name=\"event\" value=\"a.b\""]);
    browser.get(&part(&tenant, "/deliveries/dlv_1")).await.expect(400);
    browser.get(&part(&tenant, "/events?after=nonsense")).await.expect(400);
}

#[tokio::test]
async fn buttons_do_what_they_say() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let tenant = world.tenant().await;
    let mut browser = Browser::of(&world, &tenant.key).await;
    let retry = json!({"max_attempts": 1, "initial_seconds": 1, "factor": 1, "max_seconds": 1, "jitter": 0});
    let body = json!({"url": receiver.url, "events": ["*"], "retry": retry});
    let webhook = tenant.post("/v1/webhooks", body).await.expect(201);
    world.drain().await;
    let path = part(&tenant, &format!("/webhooks/{}", webhook["id"].as_str().expect("an id")));
    let state = async || tenant.get("/v1/webhooks").await.expect(200)["data"][0]["state"].as_str().map(str::to_owned);

    browser.go(&format!("{path}/deactivate"), &[]).await.with(&["accepted and held", "Activate without its backlog"]);
    assert_eq!(state().await.as_deref(), Some("inactive"));
    tenant.post("/v1/events", json!({"type": "held", "data": 1})).await.expect(202);
    browser.go(&format!("{path}/skip"), &[]).await.with(&["what was held for it is cancelled"]);
    browser.get(&part(&tenant, "/deliveries?state=cancelled")).await.expect(200).with(&["held"]);
    browser.go(&format!("{path}/deactivate"), &[]).await;
    browser.go(&format!("{path}/activate"), &[]).await.with(&["Activated: what was held is delivered"]);
    world.drain().await;

    let test = browser.post(&format!("{path}/test"), &[]).await.expect(200);
    test.with(&["Test delivery", "webhook-id: ", ">204<"]);
    let secret = webhook["signing_secret"].as_str().expect("a secret");
    let rotated = browser.post(&format!("{path}/rotate"), &[("overlap_seconds", "60")]).await.expect(200);
    rotated.with(&["whsec_", "a new secret"]).without(&[secret]);
    browser
        .post(&format!("{path}/rotate"), &[("overlap_seconds", "soon")])
        .await
        .expect(422)
        .with(&["overlap_seconds"]);

    // Two die. One is given up, one resent; then a third with all that match.
    receiver.always(Reply::Status(500));
    for name in ["one", "two", "three"] {
        tenant.post("/v1/events", json!({"type": name, "data": 1})).await.expect(202);
    }
    world.drain().await;
    let letters = browser.get(&part(&tenant, "/dead-letters")).await.expect(200);
    letters.with(&["one", "two", "three", "attempts exhausted", "500", "Resend all"]);
    let letter = async |name: &str| {
        let list = tenant.get(&format!("/v1/dead-letters?filter[event]={name}")).await.expect(200);
        part(&tenant, &format!("/dead-letters/{}", list["data"][0]["id"].as_str().expect("an id")))
    };
    let one = format!("{}/delete", letter("one").await);
    browser.go(&one, &[]).await.with(&["Given up for good"]).without(&["<td>one</td>"]);
    receiver.always(Reply::Status(204));
    let two = format!("{}/resend", letter("two").await);
    browser.go(&two, &[]).await.with(&["being delivered again"]).without(&["<td>two</td>"]);
    world.drain().await;
    browser.get(&part(&tenant, "/deliveries?state=delivered&event=two")).await.expect(200).with(&["<td>two</td>"]);
    let filtered = browser.get(&part(&tenant, "/dead-letters?event=three")).await.expect(200);
    filtered.with(&["Resend all that match", "name=\"event\" value=\"three\""]);
    let replay = browser.go(&part(&tenant, "/replays"), &[("event", "three")]).await;
    replay.with(&["dead letters: event three", "Pause", "data-live"]);
    let replays = tenant.get("/v1/replays").await.expect(200);
    assert_eq!(replays["data"][0]["filter"], json!({"event": "three"}));
    let path = part(&tenant, &format!("/replays/{}", replays["data"][0]["id"].as_str().expect("an id")));
    browser.go(&format!("{path}/pause"), &[]).await.with(&["Paused.", "Resume"]);
    browser.go(&format!("{path}/resume"), &[]).await.with(&["It goes on.", "Pause"]);
    browser.go(&format!("{path}/cancel"), &[]).await.with(&["cancelled"]).without(&["Pause", "Resume", "data-live"]);
    browser.get(&part(&tenant, "/replays?state=cancelled")).await.expect(200).with(&["event three"]);
    // Without a filter, all of them.
    browser.go(&part(&tenant, "/replays"), &[]).await.with(&["all dead letters"]);
}

#[tokio::test]
async fn a_webhook_is_verified_and_deleted() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let tenant = world.tenant_with("sandbox", "limai").await;
    let mut browser = Browser::of(&world, &tenant.key).await;
    receiver.always(Reply::Status(404));
    let webhook = tenant.post("/v1/webhooks", json!({"url": receiver.url, "events": ["*"]})).await.expect(201);
    let path = part(&tenant, &format!("/webhooks/{}", webhook["id"].as_str().expect("an id")));
    browser.get(&path).await.expect(200).with(&["pending verification", ">Verify</button>"]).without(&["Send a test"]);
    browser.post(&format!("{path}/verify"), &[]).await.expect(422).with(&["404"]);
    receiver.always(Reply::Challenge);
    browser.go(&format!("{path}/verify"), &[]).await.with(&["Verified.", "active"]);
    browser.go(&format!("{path}/delete"), &[]).await.with(&["The webhook is deleted", "No webhook yet"]);
    browser.get(&path).await.expect(404);
    for verb in ["test", "rotate", "nonsense"] {
        browser.post(&format!("{path}/{verb}"), &[]).await.expect(404);
    }
}

#[tokio::test]
async fn a_key_sees_and_does_what_it_may() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    let webhook = tenant.webhook("http://127.0.0.1:9/").await;
    let id = webhook["id"].as_str().expect("an id");
    let others = other.webhook("http://127.0.0.1:9/").await;
    let mut viewer = Browser::of(&world, &world.key(&tenant.id, &["viewer"]).await).await;
    for path in PARTS {
        let page = viewer.get(&part(&tenant, path)).await.expect(200);
        page.without(&["Register a webhook", "Send an event", "Resend all"]);
        viewer.get(&part(&other, path)).await.expect(404);
    }
    let path = part(&tenant, &format!("/webhooks/{id}"));
    viewer.get(&path).await.expect(200).without(&["Send a test", "Rotate", "Delete", "Deactivate"]);
    viewer.get(&part(&tenant, &format!("/webhooks/{}", others["id"].as_str().expect("an id")))).await.expect(404);
    for verb in ["deactivate", "delete", "rotate", "test"] {
        viewer.post(&format!("{path}/{verb}"), &[]).await.expect(403).with(&["role `manager`"]);
    }
    viewer.post(&part(&tenant, "/events"), &[("type", "a"), ("data", "1")]).await.expect(403);
    assert_eq!(tenant.get("/v1/webhooks").await.expect(200)["data"][0]["state"], "active");

    let mut producer = Browser::of(&world, &world.key(&tenant.id, &["producer"]).await).await;
    producer.get(&part(&tenant, "/webhooks")).await.expect(403).with(&["role `viewer`"]);
    let start = producer.get("/console").await.expect(303);
    assert_eq!(start.place, Some(part(&tenant, "/events/new")), "the one page that is of use");
    let sent = producer.post(&part(&tenant, "/events"), &[("type", "a"), ("data", "1")]).await.expect(200);
    sent.with(&["Accepted as", "evt_"]);
    assert_eq!(world.count("events").await, 1);
}

#[tokio::test]
async fn a_platform_key_goes_from_tenant_to_tenant() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut browser = Browser::of(&world, PLATFORM_KEY).await;
    let start = browser.get("/console").await.expect(303);
    assert_eq!(start.place.as_deref(), Some("/console/tenants"));
    let tenants = browser.get("/console/tenants").await.expect(200).with(&["Acme", "sandbox", &tenant.id]);
    let overview = browser.get(&tenants.link(&tenant.id)).await.expect(200).with(&["Acme"]);
    assert_eq!(overview.link("/console/tenants"), "/console/tenants");
    let form = [("url", "http://127.0.0.1:9/"), ("events", "*"), ("dialect", "beltic"), ("description", "")];
    browser.post(&part(&tenant, "/webhooks"), &form).await.expect(200).with(&["Signing secret", "Token"]);
    assert_eq!(tenant.get("/v1/webhooks").await.expect(200)["data"].as_array().map(Vec::len), Some(1));
    browser.get("/console/ten_00000000000000000000000000").await.expect(404);

    let mut tenants_own = Browser::of(&world, &tenant.key).await;
    tenants_own.get("/console/tenants").await.expect(403);
}

#[tokio::test]
async fn whatever_is_sent_is_answered_by_a_page() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut nobody = Browser::at(&world);
    let long = "k".repeat(70_000);
    nobody.post("/console/sign-in", &[("key", &long)]).await.expect(413).with(&["<h1>", "64 KiB"]);
    nobody.post("/console/sign-in", &[]).await.expect(401);
    let json = nobody.request(Method::POST, "/console/sign-in").json(&json!({"key": "x"}));
    nobody.send(json).await.expect(415).with(&["<h1>"]);
    nobody.get("/console/sign-out").await.expect(405).with(&["<h1>No page"]);
    let slash = nobody.request(Method::GET, "/console/").send().await.expect("an answer");
    assert_eq!((slash.status().as_u16(), slash.headers()[LOCATION].to_str().ok()), (308, Some("/console")));

    let mut browser = Browser::of(&world, &tenant.key).await;
    browser.get("/console?signed_in=x").await.expect(303);
    browser.post(&part(&tenant, "/events"), &[("type", "a")]).await.expect(422).with(&["not JSON"]);
    browser.post(&part(&tenant, "/webhooks"), &[]).await.expect(422).with(&["/url", "/events"]);
    let filter = "(".repeat(9_000);
    browser.get(&part(&tenant, &format!("/deliveries?event={filter}"))).await.expect(414).with(&["<h1>"]);
    browser.get(&part(&tenant, "/x/y/z")).await.expect(405).with(&["<h1>No page"]);
    // What is no filter of a list narrows no replay.
    browser.go(&part(&tenant, "/replays"), &[("state", "dead"), ("x", "y")]).await.with(&["all dead letters"]);
}

#[tokio::test]
async fn a_page_counts_as_one_request_of_its_key() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    for number in 0..6 {
        tenant.webhook(&format!("http://127.0.0.1:9/{number}")).await;
    }
    let body = json!({"tenant_id": tenant.id, "roles": ["viewer"], "description": "slow", "requests_per_second": 3});
    let key = world.platform(Method::POST, "/v1/api-keys", Some(body)).await.expect(201);
    let mut browser = Browser::of(&world, key["key"].as_str().expect("a key")).await;
    // Signing in counts, and then each page, however much it asks for.
    let page = browser.get(&part(&tenant, "/webhooks")).await.expect(200);
    let page = page.without(&["cannot be told now"]).with(&["9/0<", "9/1<", "9/2<", "9/3<", "9/4<", "9/5<"]);
    browser.get(&page.link("/webhooks/wh_")).await.expect(200);
    let refused = browser.request(Method::GET, &part(&tenant, "/webhooks")).send().await.expect("an answer");
    assert!(refused.status() == 429 && refused.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn what_was_delivered_is_resent_as_another_delivery() {
    let (world, receiver) = (World::new().await, Receiver::start().await);
    let tenant = world.tenant().await;
    tenant.webhook(&receiver.url).await;
    world.drain().await;
    tenant.event("a", json!(1)).await;
    world.drain().await;
    let mut browser = Browser::of(&world, &tenant.key).await;
    let first = browser.get(&part(&tenant, "/deliveries")).await.expect(200).link("/deliveries/dlv_");
    let place = browser.post(&format!("{first}/resend"), &[]).await.expect(303).place.expect("a place");
    assert!(!place.starts_with(&first), "{place}");
    browser.get(&place).await.expect(200).with(&["being delivered again"]);
}

#[tokio::test]
async fn lists_go_on_where_a_page_ends() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut browser = Browser::of(&world, &tenant.key).await;
    for number in 0..30 {
        world.clock.advance(Duration::from_millis(1));
        tenant.post("/v1/events", json!({"type": format!("number.{number}"), "data": 1})).await.expect(202);
    }
    let first =
        browser.get(&part(&tenant, "/events")).await.expect(200).with(&["number.29<", "number.5<", "owed to nobody"]);
    let second = browser.get(&part(&tenant, &format!("/events{}", first.link("?after=")))).await.expect(200);
    second.with(&["number.4<", "number.0<"]).without(&["number.5<", "Older"]);
}

#[tokio::test]
async fn other_sites_send_nothing_and_other_paths_are_not_there() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut browser = Browser::of(&world, &tenant.key).await;
    let form = [("url", "http://127.0.0.1:9/"), ("events", "*")];
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        let request = browser.request(Method::POST, &part(&tenant, "/webhooks")).header(name, value);
        let request = filled(request, &form);
        browser.send(request).await.expect(403).with(&["another site"]);
        let request = browser.request(Method::POST, "/console/sign-in").header(name, value);
        let request = filled(request, &[("key", "x")]);
        browser.send(request).await.expect(403);
    }
    assert_eq!(world.count("webhooks").await, 0);
    for path in ["/console/x", "/console/ten_1/webhooks", "/console/a/b/c/d/e", &part(&tenant, "/other")] {
        browser.get(path).await.expect(404).with(&["no such page"]);
    }
    // The API's own answers stay what they are.
    let answer = world.send(world.request(Method::GET, "/v1/nothing")).await;
    assert_eq!(answer.problem(404), "unknown_path");
}

#[tokio::test]
async fn style_and_script_are_there_and_kept_until_they_change() {
    let world = World::new().await;
    let page = Browser::at(&world).get("/console/sign-in").await.expect(200);
    for (part, media_type) in [("style.css", "text/css"), ("icon.svg", "image/svg+xml")] {
        let answer = world.request(Method::GET, &page.link(part)).send().await.expect("an answer");
        assert!(answer.headers()["content-type"].to_str().expect("a text").starts_with(media_type));
        assert!(answer.headers()["cache-control"].to_str().expect("a text").contains("immutable"));
        assert!(!answer.text().await.expect("a text").is_empty());
    }
    let script = page.text.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a script");
    let answer = world.request(Method::GET, script).send().await.expect("an answer");
    assert!(answer.status() == 200 && answer.headers()["x-content-type-options"] == "nosniff");
}

#[tokio::test]
async fn where_it_is_turned_off_it_is_not_there() {
    // The first in a process to speak of TLS chooses who provides it; no call here needs it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let url = database::fresh().await;
    let mut settings = settings(&url);
    for (console, status) in [("true", 303), ("false", 404)] {
        settings.push(("server.console", console));
        let served = Served::start(&["--role", "api"], &settings).await;
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
        let answer = client.get(format!("http://{}/console", served.address)).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{console}");
        assert_eq!(served.process.stop(Signal::TERM).await.code, Some(0));
    }
}
