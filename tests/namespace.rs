//! Proof that no path leads to a forbidden address: the built program in a network of its own in which every address
//! there is leads to one listener, with a DNS server that lies.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tokio::time::Instant;

use crate::support::database;
use crate::support::honeypot::Honeypot;
use crate::support::liar::{self, Answer, Zone};
use crate::support::load::Api;
use crate::support::process::{Served, settings};

/// Set inside, to what is to be proven.
const INSIDE: &str = "TIDINGS_TEST_NAMESPACE";

/// An address of an interface inside, from a network that is public elsewhere.
const OWN: [&str; 2] = ["193.0.14.129", "2a10:50c0::ad1:ff"];

/// Every address local, from the loopback's own address; the resolver and the hosts file are ours. Nothing of it has a
/// name, so all of it is gone with the last process in it, however that ends.
const PREPARE: &str = "set -e
    ip link set lo up
    ip address add 193.0.14.129/32 dev lo
    ip -6 address add 2a10:50c0::ad1:ff/128 dev lo nodad
    ip route add local 0.0.0.0/0 dev lo src 127.0.0.1
    ip -6 route add local ::/0 dev lo src ::1
    mount --bind $1/resolv.conf /etc/resolv.conf
    mount --bind $1/hosts /etc/hosts
    shift
    exec \"$@\"";

const FORBIDDEN: &str = "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.254 100.64.0.1 100.100.100.200 127.0.0.1 127.8.8.8 \
    168.63.129.16 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.254 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 \
    192.168.255.254 198.18.0.1 198.51.100.1 203.0.113.1 240.0.0.1 161.26.0.1 ::1 fc00::1 fd00:ec2::254 fd20:ce::254 \
    ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::a00:1 2002:7f00:1::1 2001::1 \
    2001:db8::1 2001:10::1 3fff::1 100::1 fec0::1 2a00:1450::5efe:a00:1";

/// Forbidden ones that the test itself visits at the end.
const CANARIES: &str = "10.11.12.13 fd00::77";

/// Controls: these must all be reached.
const PUBLIC: &str = "1.1.1.1 8.8.8.8 9.9.9.9 11.0.0.1 44.1.2.3 93.184.216.34 100.63.255.255 100.128.0.1 104.16.0.1 \
    126.255.255.254 128.0.0.1 168.63.129.17 169.253.1.1 172.15.0.1 172.32.0.1 185.1.1.1 192.0.1.1 192.167.1.1 192.169.1.1 \
    198.17.1.1 198.20.1.1 203.0.112.1 212.1.1.1 223.255.255.254 2001:4860:4860::8888 2003::1 2400:cb00::1 \
    2606:4700:4700::1111 2620:fe::fe 2a00:1450::1";

#[test]
#[ignore = "a minute, as root"]
fn no_path_reaches_a_forbidden_address() {
    let can = geteuid().is_root() && runs("ip", &["-V"]) && runs("unshare", &["--net", "--mount", "true"]);
    if !can {
        let in_ci = std::env::var_os("CI").is_some() && geteuid().is_root();
        assert!(!in_ci, "a network namespace needs `ip` (iproute2) and `unshare`, and the right to use them");
        eprintln!("left out: the proof in a network namespace needs root, `ip` and `unshare`");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("resolv.conf", "nameserver 127.0.0.1\nsearch corp.test\noptions timeout:1 attempts:1\n");
    write("hosts", "127.0.0.1 localhost\n10.9.9.9 listed.attack.test\n93.184.216.9 listed.public.test\n");
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "sh", "-c", PREPARE, "sh"]).arg(folder.path());
    command.arg(std::env::current_exe().expect("this program"));
    command.args(["namespace::all_paths_inside", "--exact", "--ignored", "--nocapture"]).env(INSIDE, "1");
    // Variables that must not be honoured.
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env(name, "http://10.66.66.66:8000");
    }
    let ended = command.env_remove("NO_PROXY").env_remove("no_proxy").output().expect("unshare runs");
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{text}\n{}", String::from_utf8_lossy(&ended.stderr));
    let figures = text.lines().find(|line| line.contains("attempts")).unwrap_or_else(|| panic!("no figures in {text}"));
    println!("{figures}");
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|ended| ended.status.success())
}

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split_ascii_whitespace().map(|one| one.parse().expect(one)).collect()
}

fn literal(address: IpAddr) -> String {
    format!("http://{}/hook", SocketAddr::new(address, 8000))
}

/// Names that lead to forbidden addresses, each in its own way, with their answers.
fn attacks(forbidden: &[IpAddr]) -> Zone {
    let mut zone = Zone::new();
    let public: [IpAddr; 2] = [[93, 184, 216, 77].into(), "2606:2800:220::77".parse().expect("an address")];
    for (n, &address) in forbidden.iter().enumerate() {
        let mut add = |kind: &str, answers: Vec<Answer>| zone.insert(format!("{kind}{n}.attack.test"), answers);
        add("plain", vec![Answer::of(&[address])]);
        add("mixed", vec![Answer::of(&[public[0], public[1], address])]);
        let chain = ["a", "b", "c"].map(|hop| format!("{hop}{n}.elsewhere.test")).into();
        add("chain", vec![Answer { chain, addresses: vec![address] }]);
        // Another answer each time: what was vetted is not what the next question would give.
        add("turn", vec![Answer::of(&public), Answer::of(&[address])]);
    }
    // Complete names only: these exist below the search domain alone, one with a public address.
    zone.insert("wiki.corp.test".into(), vec![Answer::of(&public)]);
    zone.insert("intranet.attack.test.corp.test".into(), vec![Answer::of(&[[10, 0, 0, 5].into()])]);
    zone
}

struct Inside {
    api: Api,
    key: String,
    pool: PgPool,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in its namespace"]
async fn all_paths_inside() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let mut forbidden = addresses(FORBIDDEN);
    forbidden.extend(addresses(&OWN.join(" ")));
    let public = addresses(PUBLIC);
    let mut zone = attacks(&forbidden);
    let hostile: BTreeSet<String> = zone
        .keys()
        .filter(|name| name.ends_with(".attack.test"))
        .map(|name| format!("http://{name}:8000/hook"))
        .collect();
    for (n, &address) in public.iter().enumerate() {
        let chain = if n % 2 == 0 { Vec::new() } else { vec![format!("edge{n}.cdn.test")] };
        zone.insert(format!("good{n}.public.test"), vec![Answer { chain, addresses: vec![address] }]);
    }
    let honeypot = Honeypot::start(&[80, 443, 8000]).await;
    liar::start((Ipv4Addr::LOCALHOST, 53).into(), zone).await;
    let url = database::fresh().await;
    let inside = register(&url, &forbidden, &public, &hostile).await;
    let refusals = refused_at_registration(&inside.0, &forbidden).await;
    let (tests, challenges) = tests_and_challenges(&inside.0, &inside.1, public.len()).await;
    deliver_and_resend(&inside.0).await;

    let (sent, controls) = judge_outcomes(&outcomes(&inside.0.pool).await, &public);
    trap_is_set(&honeypot).await;
    judge_destinations(&honeypot, &forbidden, &public);
    let all = i64::from(refusals + tests + challenges) + sent;
    assert!(all >= 300 && controls > 50, "{all} attempts, {controls} controls");
    println!(
        "{all} attempts ({refusals} at registration, {tests} tests, {challenges} challenges, {sent} deliveries, \
         resends and replays): 0 of {} forbidden addresses reached; {controls} public controls, all delivered",
        forbidden.len()
    );
}

/// Holds what was recorded at each URL to what may be; the number of attempts, and of public URLs that got everything.
fn judge_outcomes(attempts: &BTreeMap<String, BTreeMap<String, i64>>, public: &[IpAddr]) -> (i64, usize) {
    let (mut sent, mut controls, mut wrong) = (0, 0, Vec::new());
    for (target, outcomes) in attempts {
        sent += outcomes.values().sum::<i64>();
        let is_public = target.contains("public.test") || public.iter().any(|one| target == &literal(*one));
        let allowed: &[&str] = match target.as_str() {
            target if target.contains("turn") => &["blocked_address", "success"],
            target if target.contains("wiki") || target.contains("intranet") => &["dns"],
            target if target.contains("/redirect") => &["http_status"],
            _ if is_public => &["success"],
            _ => &["blocked_address"],
        };
        controls += usize::from(allowed == ["success"]);
        if outcomes.keys().any(|outcome| !allowed.contains(&outcome.as_str())) {
            wrong.push(format!("{target}: {outcomes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    (sent, controls)
}

/// Whoever does go to a forbidden address here is seen, else all of this would prove nothing.
async fn trap_is_set(honeypot: &Honeypot) {
    for address in addresses(CANARIES) {
        assert!(!honeypot.seen().contains_key(&address), "{address} was not to be visited before");
        let _visit = tokio::net::TcpStream::connect((address, 8000)).await.expect("every address is local");
        let end = Instant::now() + Duration::from_secs(5);
        while !honeypot.seen().contains_key(&address) {
            assert!(Instant::now() < end, "{address} was visited unseen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Holds the connections that were made to those that may be.
fn judge_destinations(honeypot: &Honeypot, forbidden: &[IpAddr], public: &[IpAddr]) {
    let seen = honeypot.seen();
    let reached: Vec<_> = forbidden.iter().filter(|address| seen.contains_key(address)).collect();
    assert!(reached.is_empty(), "reached: {reached:?}");
    let beside = addresses("93.184.216.77 2606:2800:220::77 93.184.216.9").into_iter().chain(addresses(CANARIES));
    let known: BTreeSet<IpAddr> = public.iter().copied().chain(beside).collect();
    let strange: Vec<_> = seen.keys().filter(|address| !known.contains(address)).collect();
    assert!(strange.is_empty(), "nobody was meant to go to {strange:?}");
    let missed: Vec<_> =
        public.iter().filter(|address| seen.get(address).is_none_or(|visits| visits.requests < 2)).collect();
    assert!(missed.is_empty(), "controls that got nothing: {missed:?}");
}

/// Registers everything; addresses that no one may register were taken under another policy, before the program started
/// anew with this one.
async fn register(
    url: &str,
    forbidden: &[IpAddr],
    public: &[IpAddr],
    hostile: &BTreeSet<String>,
) -> (Inside, Vec<String>, Served) {
    let strict: Vec<_> = settings(url).into_iter().filter(|(key, _)| *key != "egress.allow").collect();
    let lenient = [&strict[..], &[("egress.allow", "0.0.0.0/0,::/0")]].concat();
    let before = Served::start(&[], &lenient).await;
    let api = Api::new(&[before.address]);
    let key = api.tenant().await;
    let mut targets: Vec<String> = hostile.iter().cloned().collect();
    targets.extend(forbidden.iter().chain(public).map(|&address| literal(address)));
    targets.extend((0..public.len()).map(|n| format!("http://good{n}.public.test:8000/hook")));
    targets.extend((0..3).map(|n| format!("http://good{n}.public.test:8000/redirect")));
    for target in
        ["wiki", "intranet.attack.test", "listed.attack.test", "listed.public.test", "localhost", "a.localhost."]
    {
        targets.push(format!("http://{target}:8000/hook"));
    }
    targets.push("https://plain0.attack.test/hook".into());
    let mut ids = Vec::new();
    let retry = json!({"max_attempts": 2, "initial_seconds": 0.05, "factor": 1.0, "max_seconds": 1.0, "jitter": 0.0});
    for target in &targets {
        let webhook = json!({"url": target, "events": ["*"], "retry": retry});
        let (status, webhook) = api.post("/v1/webhooks", &key, &webhook).await;
        assert_eq!(status, 201, "{target}: {webhook}");
        ids.push(webhook["id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(before.process.stop(Signal::TERM).await.code, Some(0));
    let served = Served::start(&[], &strict).await;
    let pool = PgPool::connect(url).await.expect("the database");
    (Inside { api: Api::new(&[served.address]), key, pool }, ids, served)
}

/// POST and PATCH, each address by itself and inside another spelling; counts the refusals.
async fn refused_at_registration(inside: &Inside, forbidden: &[IpAddr]) -> i32 {
    let innocent = json!({"url": "http://8.8.8.8:8000/changed", "events": ["never"]});
    let (_, innocent) = inside.api.post("/v1/webhooks", &inside.key, &innocent).await;
    let path = format!("/v1/webhooks/{}", innocent["id"].as_str().expect("an id"));
    let mut refusals = 0;
    let odd = ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "①②⑦.0.0.1", "localhost", "[::ffff:7f00:1]"];
    let odd = odd.map(|host| format!("http://{host}:8000/hook"));
    for target in forbidden.iter().map(|&address| literal(address)).chain(odd) {
        let (status, refused) =
            inside.api.post("/v1/webhooks", &inside.key, &json!({"url": target, "events": ["*"]})).await;
        assert_eq!((status, &refused["errors"][0]["pointer"]), (422, &json!("/url")), "{target}: {refused}");
        let (status, refused) = inside.api.patch(&path, &inside.key, &json!({"url": target})).await;
        assert_eq!((status, &refused["errors"][0]["pointer"]), (422, &json!("/url")), "{target}: {refused}");
        refusals += 2;
    }
    refusals
}

/// One test delivery of each webhook, and a challenge to each kind of name; counts both.
async fn tests_and_challenges(inside: &Inside, ids: &[String], public: usize) -> (i32, i32) {
    let (mut tests, mut challenges) = (0, 0);
    for id in ids {
        let (status, tested) = inside.api.post(&format!("/v1/webhooks/{id}/test"), &inside.key, &json!({})).await;
        assert_eq!(status, 200, "{tested}");
        tests += 1;
    }
    for n in 0..public {
        for (name, passes) in [("plain", false), ("mixed", false), ("chain", false), ("good", true)] {
            let zone = if passes { "public" } else { "attack" };
            let webhook = json!({
                "url": format!("http://{name}{n}.{zone}.test:8000/hook"), "events": ["*"], "dialect": "limai",
            });
            let (status, webhook) = inside.api.post("/v1/webhooks", &inside.key, &webhook).await;
            assert_eq!(status, 201, "{webhook}");
            let path = format!("/v1/webhooks/{}/verify", webhook["id"].as_str().expect("an id"));
            let (status, verified) = inside.api.post(&path, &inside.key, &json!({})).await;
            let outcome = verified["answer"]["outcome"].as_str();
            assert_eq!(
                (status == 200, outcome),
                (passes, (!passes).then_some("blocked_address")),
                "{name}{n}: {verified}"
            );
            challenges += 1;
        }
    }
    (tests, challenges)
}

/// One event for all, until each is delivered or dead; then every dead letter again, one by one and in a replay.
async fn deliver_and_resend(inside: &Inside) {
    let (status, accepted) =
        inside.api.post("/v1/events", &inside.key, &json!({"type": "any.event", "data": {"n": 1}})).await;
    assert_eq!(status, 202, "{accepted}");
    settled(inside).await;
    let mut letters = Vec::new();
    let mut path = "/v1/dead-letters?page[size]=100".to_owned();
    loop {
        let (_, page) = inside.api.get(&path, &inside.key).await;
        letters.extend(page["data"].as_array().expect("a list").iter().map(|letter| letter["id"].clone()));
        let Some(next) = page["page"]["next"].as_str() else { break };
        path = format!("/v1/dead-letters?page[size]=100&page[after]={next}");
    }
    assert!(letters.len() > 100, "{} dead letters", letters.len());
    for id in letters.iter().filter_map(Value::as_str) {
        let (status, resent) = inside.api.post(&format!("/v1/dead-letters/{id}/resend"), &inside.key, &json!({})).await;
        assert_eq!(status, 202, "{resent}");
    }
    settled(inside).await;
    let wanted = json!({"source": "dead_letters", "all": true, "rate_per_second": 1000});
    let (status, replay) = inside.api.post("/v1/replays", &inside.key, &wanted).await;
    assert_eq!(status, 201, "{replay}");
    let path = format!("/v1/replays/{}", replay["id"].as_str().expect("an id"));
    let end = Instant::now() + Duration::from_mins(1);
    let replayed = loop {
        let (_, replay) = inside.api.get(&path, &inside.key).await;
        if replay["state"] == "completed" {
            break replay;
        }
        assert!(Instant::now() < end, "{replay}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(replayed["progress"]["resent"].as_u64().is_some_and(|count| count >= letters.len() as u64), "{replayed}");
    settled(inside).await;
}

async fn settled(inside: &Inside) {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let pending: i64 =
            sqlx::query_scalar("SELECT count(*) FROM tidings.outbox").fetch_one(&inside.pool).await.expect("a count");
        if pending == 0 {
            return;
        }
        assert!(Instant::now() < end, "{pending} deliveries are still pending");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What came of the attempts at each URL, as they were recorded.
async fn outcomes(pool: &PgPool) -> BTreeMap<String, BTreeMap<String, i64>> {
    let statement = "SELECT w.url, a.outcome::text AS outcome, count(*) AS count FROM tidings.attempts a
        JOIN tidings.webhooks w USING (tenant_id) WHERE w.id = a.webhook_id GROUP BY 1, 2";
    let mut found: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    for row in sqlx::query(statement).fetch_all(pool).await.expect("attempts") {
        found.entry(row.get("url")).or_default().insert(row.get("outcome"), row.get("count"));
    }
    found
}
