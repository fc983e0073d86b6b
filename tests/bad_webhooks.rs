//! Bad webhooks: registrations that could not work, or could do harm, are refused with the member that is at fault.
//!
//! Names such as `localhost` are let through here, where receivers are on loopback; the tests of `net` refuse them.

use serde_json::{Value, json};

use super::bad_input::{is, nothing_is_stored};
use crate::support::World;

#[tokio::test]
async fn urls_that_could_mean_something_else_are_refused() {
    let world = World::new().await;
    let (live, sandbox) = (world.tenant_with("live", "standard").await, world.tenant().await);
    let (label, long) =
        (format!("https://{}.example/", "a".repeat(64)), format!("https://a.example/{}", "a".repeat(2_031)));
    let urls = "/hook //a.example a.example ftp://a.example file:///etc/passwd javascript:alert(1) http:/a.example \
        http://u:p@a.example http://u@a.example http://a.example/#x http://a.example\\@b.example http://a.example:0 \
        http://a.example:65536 http://a.example: http://a..b http://.a.example http://-a.example http:// http://% \
        http://2130706433 http://0x7f000001 http://0177.0.0.1 http://127.1 http://１２７.0.0.1 http://①②⑦.0.0.1 \
        http://[::1%25eth0] http://[fe80::1%eth0] http://[::1 http://a.example/%zz http://a.example/../b \
        http://10.0.0.1 http://169.254.169.254 http://100.64.0.1 http://192.168.0.1 http://0.0.0.0 http://224.0.0.1 \
        http://[::ffff:10.0.0.1] http://[64:ff9b::a00:1] http://[2002:a00:1::] http://[fe80::1] http://[fd00::1]";
    let odd = [
        " https://a.example",
        "https://a.example ",
        "https://a\t.example",
        "https://a.example/\r\n",
        "",
        &label,
        &long,
    ];
    for url in urls.split_ascii_whitespace().chain(odd) {
        let answer = sandbox.post("/v1/webhooks", json!({"url": url, "events": ["*"]})).await;
        is(&answer, "422 validation_failed /url", url);
    }
    is(
        &live.post("/v1/webhooks", json!({"url": "http://a.example", "events": ["*"]})).await,
        "422 validation_failed /url",
        "HTTP",
    );
    nothing_is_stored(&world, "a URL").await;
    assert_eq!(live.webhook("https://faß.de/").await["url"], "https://xn--fa-hia.de/");
}

#[tokio::test]
async fn webhooks_that_could_not_work_are_refused() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "limai").await;
    let retry = |name: &str, value: Value| {
        let mut retry = json!({"max_attempts": 3, "initial_seconds": 1});
        retry[name] = value;
        json!({"retry": retry})
    };
    let many: Vec<_> = (0..101).map(|number| format!("t.{number}")).collect();
    let headers: serde_json::Map<_, _> = (0..33).map(|number| (format!("X-{number}"), json!("x"))).collect();
    for (pointer, member) in [
        ("/url", json!({"url": null})),
        ("/url", json!({"url": 1})),
        ("/events", json!({"events": null})),
        ("/events", json!({"events": []})),
        ("/events", json!({"events": "*"})),
        ("/events", json!({"events": many, "dialect": "standard"})),
        ("/events/0", json!({"events": ["invoice.paid"]})),
        ("/events/1", json!({"events": ["DOCUMENT_EXTRACTED", "DOCUMENT_*"]})),
        ("/events/0", json!({"events": ["**"]})),
        ("/events/0", json!({"events": [""]})),
        ("/dialect", json!({"dialect": "klingon"})),
        ("/dialect", json!({"dialect": "../limai"})),
        ("/headers/X-A", json!({"headers": {"X-A": "x\r\nHost: evil.example"}})),
        ("/headers/X-A", json!({"headers": {"X-A": "é"}})),
        ("/headers/X-A", json!({"headers": {"X-A": 1}})),
        ("/headers/x_a", json!({"headers": {"X-A": "1", "x_a": "2"}})),
        ("/headers/X:A", json!({"headers": {"X:A": "x"}})),
        ("/headers/Host", json!({"headers": {"Host": "evil.example"}})),
        ("/headers/Content-Length", json!({"headers": {"Content-Length": "0"}})),
        ("/headers/Transfer-Encoding", json!({"headers": {"Transfer-Encoding": "chunked"}})),
        ("/headers/Proxy-Authorization", json!({"headers": {"Proxy-Authorization": "x"}})),
        ("/headers/x-webhook-signature", json!({"headers": {"x-webhook-signature": "x"}})),
        ("/headers/X-32", json!({"headers": headers})),
        ("/timeout_seconds", json!({"timeout_seconds": 0})),
        ("/timeout_seconds", json!({"timeout_seconds": 31})),
        ("/timeout_seconds", json!({"timeout_seconds": 1.5})),
        ("/rate_limit", json!({"rate_limit": 0})),
        ("/rate_limit", json!({"rate_limit": u64::MAX})),
        ("/max_in_flight", json!({"max_in_flight": -1})),
        ("/retry/max_attempts", retry("max_attempts", json!(0))),
        ("/retry/max_attempts", retry("max_attempts", json!(70_000))),
        ("/retry/initial_seconds", retry("initial_seconds", json!(0))),
        ("/retry/factor", retry("factor", json!(0.5))),
        ("/retry/max_seconds", retry("max_seconds", json!(1e300))),
        ("/retry/jitter", retry("jitter", json!(1.1))),
        ("/retry/terminal_statuses", retry("terminal_statuses", json!([200]))),
        ("/retry/initial_seconds", json!({"retry": {"max_attempts": 3}})),
        ("/retry", json!({"retry": [3, 1]})),
        ("/description", json!({"description": "x".repeat(1_001)})),
        ("/description", json!({"description": "\u{0}"})),
        ("/metadata", json!({"metadata": []})),
        ("/metadata/a", json!({"metadata": {"a": "\u{0}"}})),
        ("/metadata", json!({"metadata": {"a": "x".repeat(17_000)}})),
        ("/is_active", json!({"is_active": "yes"})),
        ("/is_active", json!({"is_active": null})),
        ("/secret", json!({"secret": "mine"})),
    ] {
        let mut registration = json!({"url": "https://a.example/", "events": ["*"]});
        registration.as_object_mut().expect("members").extend(member.as_object().expect("members").clone());
        let answer = tenant.post("/v1/webhooks", registration).await;
        is(&answer, &format!("422 validation_failed {pointer}"), &member.to_string());
    }
    nothing_is_stored(&world, "a webhook").await;
}
