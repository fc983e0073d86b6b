//! Lists: a page at a time, newest first, each row once, and no parameter that is not understood.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::support::world::{Answer, PLATFORM_KEY, Tenant};
use crate::support::{Receiver, Reply, World};

const TENANTS_LISTS: [&str; 4] = ["/v1/webhooks", "/v1/events", "/v1/deliveries", "/v1/dead-letters"];
const PLATFORMS_LISTS: [&str; 2] = ["/v1/tenants", "/v1/api-keys"];

/// Seven of everything, a while apart.
async fn furnish(tenant: &Tenant<'_>, receiver: &Receiver) {
    receiver.always(Reply::Status(400));
    tenant.webhook(&receiver.url).await;
    for _ in 0..6 {
        tenant.world.clock.advance(Duration::from_secs(1));
        tenant.webhook_with(json!({"url": receiver.url, "events": ["document.processing.failed"]})).await;
    }
    for number in 0..7 {
        tenant.world.clock.advance(Duration::from_secs(1));
        tenant.event("document.uploaded", json!({"number": number})).await;
    }
    tenant.world.drain().await;
}

async fn get(tenant: &Tenant<'_>, path: &str) -> Answer {
    let is_platforms = PLATFORMS_LISTS.iter().any(|list| path.starts_with(list));
    let key = if is_platforms { PLATFORM_KEY } else { &tenant.key };
    tenant.world.send(tenant.world.request(Method::GET, path).bearer_auth(key)).await
}

fn ids(page: &Value) -> Vec<String> {
    let rows = page["data"].as_array().expect("data");
    rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
}

/// Where the header `Link` says to go on.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().expect("visible");
    let target = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
    Some(target.expect("one link, to the next page").to_owned())
}

#[tokio::test]
async fn a_walk_meets_every_row_once_newest_first() {
    let world = World::new().await;
    let tenant = world.tenant_with("sandbox", "docintell").await;
    let receiver = Receiver::start().await;
    furnish(&tenant, &receiver).await;
    for number in 0..5 {
        world.clock.advance(Duration::from_secs(1));
        world.key(&tenant.id, &["viewer"]).await;
        if number < 3 {
            world.tenant().await;
        }
    }

    for list in TENANTS_LISTS.into_iter().chain(PLATFORMS_LISTS) {
        let all = ids(&get(&tenant, &format!("{list}?page[size]=100")).await.expect(200));
        assert!(all.len() >= 4, "{list}: {} rows", all.len());
        assert!(all.is_sorted_by(|newer, older| newer > older), "{list} begins with the newest: {all:?}");
        for size in [1, 3, all.len()] {
            let (mut walked, mut path) = (Vec::new(), format!("{list}?page[size]={size}"));
            loop {
                let answer = get(&tenant, &path).await;
                let page = answer.expect(200);
                walked.extend(ids(&page));
                assert_eq!(page["page"]["size"], size);
                assert!(ids(&page).len() == size || page["page"]["next"].is_null(), "{list}: only the last is short");
                let Some(link) = next(&answer) else { break assert!(page["page"]["next"].is_null()) };
                let cursor = page["page"]["next"].as_str().expect("a cursor beside the link");
                assert!(link.starts_with(&format!("{list}?")) && link.contains(cursor), "{link}");
                path = link;
            }
            assert_eq!(walked, all, "{list} by {size}");
        }
    }
}

/// Rows of each page of a list, which is walked by its links; none is much larger than a MiB.
async fn pages(tenant: &Tenant<'_>, list: &str) -> Vec<usize> {
    let (mut rows, mut path) = (Vec::new(), format!("{list}?page[size]=100"));
    loop {
        let answer = tenant.get(&path).await;
        rows.push(answer.expect(200)["data"].as_array().expect("data").len());
        assert!(answer.text.len() < 1_100_000, "{list}: {} bytes", answer.text.len());
        let Some(link) = next(&answer) else { return rows };
        path = link;
    }
}

#[tokio::test]
async fn a_page_of_large_rows_ends_early_and_the_walk_goes_on() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let receiver = Receiver::start().await;
    receiver.always(Reply::Status(500));
    let retry = json!({"max_attempts": 6, "initial_seconds": 1, "factor": 1, "max_seconds": 1, "jitter": 0});
    tenant.webhook_with(json!({"url": receiver.url, "events": ["*"], "retry": retry})).await;
    let event = tenant.event("a.b", json!("x".repeat(200_000))).await;
    for _ in 0..6 {
        world.after(Duration::from_secs(2)).await;
    }
    let delivery = tenant.delivery_of(&event).await;
    assert_eq!(delivery["attempts"], 6);
    assert_eq!(
        pages(&tenant, &format!("/v1/deliveries/{}/attempts", delivery["id"].as_str().expect("an id"))).await,
        [5, 1]
    );

    for number in 0..7 {
        let said = json!({"example": "x".repeat(200_000)});
        tenant.call(Method::PUT, &format!("/v1/event-types/type.{number}"), Some(said)).await.expect(201);
    }
    assert_eq!(pages(&tenant, "/v1/event-types").await, [5, 2]);
}

#[tokio::test]
async fn what_is_new_does_not_disturb_a_walk() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    for number in 0..4 {
        world.clock.advance(Duration::from_secs(1));
        tenant.event("a.b", json!(number)).await;
    }
    let first = tenant.get("/v1/events?page[size]=2&filter[type]=a.b").await;
    world.clock.advance(Duration::from_secs(1));
    tenant.event("a.b", json!("late")).await;
    tenant.event("a.c", json!("other")).await;
    let second = tenant.get(&next(&first).expect("a next page")).await;
    assert!(next(&second).is_none());
    let walked: BTreeSet<_> = [first, second].iter().flat_map(|page| ids(&page.expect(200))).collect();
    assert_eq!(walked.len(), 4);
}

#[tokio::test]
async fn pages_hold_15_unless_told_and_100_at_most() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let events: Vec<_> = (0..101).map(|number| json!({"type": "a.b", "data": number})).collect();
    tenant.post("/v1/events/batch", json!({"events": events})).await.expect(202);
    let usual = tenant.get("/v1/events").await.expect(200);
    assert_eq!((ids(&usual).len(), &usual["page"]["size"]), (15, &json!(15)));
    assert_eq!(ids(&tenant.get("/v1/events?page[size]=100").await.expect(200)).len(), 100);
    for list in TENANTS_LISTS.into_iter().chain(PLATFORMS_LISTS).chain(["/v1/dialects"]) {
        for size in ["0", "-1", "101", "abc", "", "1.5", "99999999999999999999"] {
            let answer = get(&tenant, &format!("{list}?page[size]={size}")).await;
            assert_eq!(answer.problem(400), "invalid_query", "{list} {size}");
            assert_eq!(answer.json()["errors"][0]["pointer"], "page[size]", "{list} {size}");
        }
    }
}

#[tokio::test]
async fn a_cursor_opens_only_the_list_it_came_from() {
    let world = World::new().await;
    let (tenant, other) = (world.tenant().await, world.tenant().await);
    for owner in [&tenant, &other] {
        for number in 0..2 {
            owner.event("a.b", json!(number)).await;
            owner.webhook("https://example.com/").await;
        }
    }
    let cursor = tenant.get("/v1/events?page[size]=1").await.expect(200)["page"]["next"].clone();
    let cursor = cursor.as_str().expect("a cursor");
    let end = if cursor.ends_with('A') { "E" } else { "A" };
    for (what, owner, list, cursor) in [
        ("another tenant's", &other, "/v1/events", cursor.to_owned()),
        ("another list's", &tenant, "/v1/webhooks", cursor.to_owned()),
        ("the platform's", &tenant, "/v1/tenants", cursor.to_owned()),
        ("tampered", &tenant, "/v1/events", format!("{}{end}", &cursor[..cursor.len() - 1])),
        ("cut", &tenant, "/v1/events", cursor[..cursor.len() - 1].to_owned()),
        ("longer", &tenant, "/v1/events", format!("{cursor}AAAA")),
        ("empty", &tenant, "/v1/events", String::new()),
        ("an id", &tenant, "/v1/events", "evt_01jq000000aaaaaaaaaaaaaaaa".to_owned()),
        ("not UTF-8", &tenant, "/v1/events", "%ff".to_owned()),
        ("10 KB", &tenant, "/v1/events", "A".repeat(10_240)),
    ] {
        let answer = get(owner, &format!("{list}?page[after]={cursor}")).await;
        assert_eq!(answer.problem(400), "invalid_query", "{what}");
        assert_eq!(answer.json()["errors"][0]["code"], "invalid_cursor", "{what}");
    }
}

#[tokio::test]
async fn filters_choose_rows() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let register = |body: Value| async { tenant.webhook_with(body).await["id"].as_str().expect("an id").to_owned() };
    let url = "https://example.com/";
    let exact = register(json!({"url": url, "events": ["document.processed"]})).await;
    let prefix = register(json!({"url": url, "events": ["document.*"], "is_active": false})).await;
    let limai = register(json!({"url": url, "events": ["*"], "dialect": "limai"})).await;
    let other = register(json!({"url": url, "events": ["push.failed"]})).await;
    for (filter, expected) in [
        ("filter[is_active]=true", vec![&exact, &other]),
        ("filter[is_active]=false", vec![&prefix, &limai]),
        ("filter[state]=inactive", vec![&prefix]),
        ("filter[state]=pending_verification", vec![&limai]),
        ("filter[state]=disabled", vec![]),
        ("filter[event]=push.failed", vec![&other]),
        ("filter[event]=document.processed", vec![&exact, &prefix]),
        ("filter%5Bevent%5D=document.processed&filter%5Bis_active%5D=true", vec![&exact]),
    ] {
        let found: BTreeSet<_> =
            ids(&tenant.get(&format!("/v1/webhooks?{filter}")).await.expect(200)).into_iter().collect();
        assert_eq!(found, expected.into_iter().cloned().collect(), "{filter}");
    }
    let key = world.key(&world.tenant().await.id, &["viewer"]).await;
    let path = format!("/v1/api-keys?filter[tenant_id]={}", tenant.id);
    let keys = world.platform(Method::GET, &path, None).await;
    assert_eq!(ids(&keys.expect(200)).len(), 1);
    assert!(!keys.text.contains(&tenant.key) && !keys.text.contains(&key), "a key is shown once");
}

#[tokio::test]
async fn parameters_that_are_not_understood_are_refused_by_name() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let lists = TENANTS_LISTS.into_iter().chain(PLATFORMS_LISTS).chain(["/v1/dialects"]);
    for (list, name) in
        lists.flat_map(|list| ["filter[color]", "filter", "limit", "page[before]", "page"].map(|name| (list, name)))
    {
        let answer = get(&tenant, &format!("{list}?{name}=1")).await;
        assert_eq!(answer.problem(400), "invalid_query", "{list} {name}");
        let error = &answer.json()["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(name), &json!("unknown_parameter")), "{list}");
    }
    for (list, parameters) in [
        ("webhooks", "filter[is_active]=yes"),
        ("webhooks", "filter[is_active]="),
        ("webhooks", "filter[state]=paused"),
        ("webhooks", "filter[event]=../"),
        ("webhooks", "filter[state]=active&filter[state]=active"),
        ("events", "filter[type]=%20"),
        ("events", "filter[from]=yesterday"),
        ("deliveries", "filter[webhook_id]=wh_1"),
        ("deliveries", "filter[webhook_id]=evt_01jq000000aaaaaaaaaaaaaaaa"),
        ("deliveries", "filter[event_id]=x"),
        ("deliveries", "filter[state]=lost"),
        ("deliveries", "filter[from]=2026-02-30T00:00:00Z"),
        ("deliveries", "filter[from]=2026-01-02T00:00:00Z&filter[to]=2026-01-01T00:00:00Z"),
        ("dead-letters", "filter[reason]=bad_luck"),
        ("dead-letters", "filter[to]=1700000000"),
        ("api-keys", "filter[tenant_id]=Acme"),
    ] {
        let answer = get(&tenant, &format!("/v1/{list}?{parameters}")).await;
        assert_eq!(answer.problem(400), "invalid_query", "{list} {parameters}");
    }
}

/// They may read all that a tenant has, and must leave connections to everybody else.
#[tokio::test]
async fn lists_by_type_keep_no_other_tenant_waiting() {
    let paths = ["/v1/events?filter[type]=a", "/v1/deliveries?filter[event]=a", "/v1/dead-letters?filter[event]=a"];
    keep_no_other_waiting(async |curious: &Tenant<'_>, n| curious.get(paths[n % 3]).await).await;
}

#[tokio::test]
async fn dry_runs_of_replays_keep_no_other_tenant_waiting() {
    let dry = json!({"source": "deliveries", "all": true, "dry_run": true});
    keep_no_other_waiting(async |curious: &Tenant<'_>, _| curious.post("/v1/replays", dry.clone()).await).await;
}

/// Has a tenant read thirty times at once what somebody has locked, while another only looks at its webhooks.
async fn keep_no_other_waiting(read: impl AsyncFn(&Tenant<'_>, usize) -> Answer) {
    let world = World::new().await;
    let (curious, other) = (world.tenant().await, world.tenant().await);
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let lock = "LOCK TABLE tidings.events, tidings.attempts IN ACCESS EXCLUSIVE MODE";
    elsewhere.execute(lock).await.expect("locked");
    let reading = join_all((0..30).map(|n| read(&curious, n)));
    let passing = async {
        for _ in 0..10 {
            other.get("/v1/webhooks").await.expect(200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        () = passing => {}
        _ = reading => panic!("what is locked was read"),
    }
    elsewhere.rollback().await.expect("rolled back");
}

/// Nor other lists by type: what one tenant reads stands still here, and another reads of a day that nobody has locked.
#[tokio::test]
async fn lists_by_type_leave_turns_to_others() {
    let world = World::new().await;
    let (curious, other) = (world.tenant().await, world.tenant().await);
    curious.post("/v1/events", json!({"type": "a", "data": 1})).await.expect(202);
    let today = "SELECT tableoid::regclass::text FROM tidings.events";
    let today: String = sqlx::query_scalar(today).fetch_one(&world.pool).await.expect("a partition");
    let mut elsewhere = world.pool.begin().await.expect("begun");
    let lock = format!("LOCK TABLE {today} IN ACCESS EXCLUSIVE MODE");
    elsewhere.execute(sqlx::AssertSqlSafe(lock)).await.expect("locked");
    let reading = join_all((0..4).map(|_| curious.get("/v1/events?filter[type]=a")));
    let passing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        other.get("/v1/events?filter[type]=a&filter[to]=2020-01-01T00:00:00Z").await.expect(200);
    };
    tokio::select! {
        biased;
        () = passing => {}
        _ = reading => panic!("what is locked was read"),
    }
    elsewhere.rollback().await.expect("rolled back");
}

/// The feed of attempts takes a turn where it has to read back beyond the last minutes, and else none.
#[tokio::test]
async fn a_feed_that_reads_far_back_waits_for_its_tenants_turn() {
    let world = World::new().await;
    let (curious, other) = (world.tenant().await, world.tenant().await);
    let receiver = Receiver::start().await;
    curious.webhook(&receiver.url).await;
    curious.events("a", 2).await;
    world.drain().await;
    let mut elsewhere = world.pool.begin().await.expect("begun");
    elsewhere.execute("LOCK TABLE tidings.dead_letters IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let reading = curious.get("/v1/dead-letters?filter[event]=a");
    let passing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        other.get("/v1/attempts").await.expect(200);
        curious.get("/v1/attempts?page[size]=1").await.expect(200);
        let far = curious.get("/v1/attempts?filter[outcome]=timeout");
        assert!(tokio::time::timeout(Duration::from_millis(300), far).await.is_err(), "its turn is taken");
    };
    tokio::select! {
        biased;
        () = passing => {}
        _ = reading => panic!("what is locked was read"),
    }
    elsewhere.rollback().await.expect("rolled back");
}
