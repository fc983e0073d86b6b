//! The operator commands: their screens at two widths, their JSON, their errors and exit codes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::shell::{Shell, masked};
use crate::support::world::{PLATFORM_KEY, Tenant};
use crate::support::{Receiver, Reply, World};

/// A prompt of somebody with this tenant's key.
fn prompt(tenant: &Tenant<'_>, width: u16) -> Shell {
    let mut shell = Shell::new(width);
    shell.set("TIDINGS_URL", &format!("http://{}", tenant.world.address));
    shell.set("TIDINGS_KEY", &tenant.key);
    shell.known.push((tenant.world.address.to_string(), "127.0.0.1:8080".to_owned()));
    shell
}

fn id(value: &Value) -> &str {
    value["id"].as_str().expect("an id")
}

/// Ids of what the screens show.
struct Shown {
    webhook: String,
    event: String,
    dead: String,
}

/// A webhook whose receiver is well and one whose receiver is not, an event of each kind, and a dead letter.
async fn furnish(tenant: &Tenant<'_>) -> Shown {
    let (well, unwell) = (Receiver::start().await, Receiver::start().await);
    unwell.always(Reply::Status(500));
    let webhook = tenant.webhook_with(json!({"url": well.url, "events": ["*"], "metadata": {"team": "billing"}})).await;
    tenant.world.clock.advance(Duration::from_secs(1));
    let url = format!("{}/with/a/path/that/goes/on/and/on/until/no/terminal/has/room/for/it", unwell.url);
    let retry = json!({"max_attempts": 1, "initial_seconds": 1});
    tenant
        .webhook_with(
            json!({"url": url, "events": ["invoice.*", "order.made"], "retry": retry, "description": "Orders"}),
        )
        .await;
    tenant.world.clock.advance(Duration::from_secs(1));
    tenant.event("sample.sent", json!({"n": 1})).await;
    tenant.world.clock.advance(Duration::from_secs(1));
    let accepted =
        tenant.raw_event(r#"{"type": "invoice.paid", "data": {"amount": 1e2, "lines": [1.0, "\u00e9"]}}"#).await;
    tenant.world.drain().await;
    let dead = tenant.dead_letter().await;
    Shown { webhook: id(&webhook).to_owned(), event: id(&accepted.json()).to_owned(), dead: id(&dead).to_owned() }
}

/// The screens of these commands.
async fn screens(shell: &Shell, commands: &[&[&str]]) -> String {
    let mut transcripts = Vec::new();
    for command in commands {
        let printed = shell.run(command).await;
        assert!(!printed.output.contains('\x1b') && !printed.errors.contains('\x1b'), "no colours in a pipe");
        transcripts.push(printed.transcript());
    }
    masked(shell, &transcripts) + "\n\n"
}

const LISTS: [&[&str]; 5] = [
    &["webhooks", "list"],
    &["events", "list"],
    &["deliveries", "list"],
    &["dead-letters", "list"],
    &["dialects", "list"],
];

#[tokio::test]
async fn lists_fit_the_terminal_and_no_id_is_cut() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    for width in [80, 200] {
        let mut shell = prompt(&tenant, width);
        if width == 80 {
            furnish(&tenant).await;
        }
        for command in LISTS {
            let printed = shell.run(command).await;
            let widest = printed.output.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width.into()), "{}", printed.transcript());
        }
        let mut shown = screens(&shell, &LISTS).await;
        shell.set("TIDINGS_KEY", PLATFORM_KEY);
        shown += &screens(&shell, &[&["tenants", "list"], &["keys", "list"]]).await;
        insta::assert_snapshot!(format!("lists_{width}"), shown);
    }
}

#[tokio::test]
async fn one_thing_is_a_card() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let shell = prompt(&tenant, 80);
    let Shown { webhook, event, dead } = furnish(&tenant).await;
    let shown = screens(
        &shell,
        &[
            &["webhooks", "show", &webhook],
            &["webhooks", "deactivate", &webhook],
            &["webhooks", "activate", &webhook],
            &["webhooks", "update", &webhook, "--description", "The first", "--clear", "metadata"],
            &["webhooks", "rotate", &webhook, "--overlap", "60"],
            &["events", "show", &event],
            &["events", "send", "invoice.sent", "{\"n\": 1.0}", "--dry-run"],
            &["deliveries", "show", &dead],
            &["deliveries", "attempts", &dead, "--full"],
            &["dead-letters", "show", &dead],
            &["dialects", "show", "limai"],
            &["dead-letters", "resend", &dead],
        ],
    )
    .await;
    insta::assert_snapshot!(
        "cards",
        shown.lines().filter(|line| !line.starts_with("took")).collect::<Vec<_>>().join("\n")
    );
}

#[tokio::test]
async fn a_replay_is_tried_then_started_and_watched_to_its_end() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let shell = prompt(&tenant, 80);
    furnish(&tenant).await;
    let start = ["replays", "start", "--source", "dead-letters", "--reason", "attempts_exhausted"];
    let mut shown = screens(&shell, &[&[&start[..], &["--dry-run"]].concat(), &start]).await;
    let replay = id(&tenant.get("/v1/replays").await.expect(200)["data"][0]).to_owned();
    world.replay().await;
    let after: [&[&str]; 4] = [
        &["replays", "watch", &replay],
        &["replays", "show", &replay],
        &["replays", "pause", &replay],
        &["replays", "list"],
    ];
    shown += &screens(&shell, &after).await;
    insta::assert_snapshot!("replays", shown);
}

#[tokio::test]
async fn event_types_are_described_health_is_shown_and_data_forgotten() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let shell = prompt(&tenant, 80);
    let Shown { webhook, event, .. } = furnish(&tenant).await;
    let commands: [&[&str]; 6] = [
        &["event-types", "list"],
        &["event-types", "put", "invoice.paid", "--description", "Money came"],
        &["event-types", "show", "invoice.paid"],
        &["webhooks", "health", &webhook],
        &["events", "delete-data", &event],
        &["events", "delete-data", &event, "--yes"],
    ];
    insta::assert_snapshot!("catalogue_health_and_data", screens(&shell, &commands).await);
}

#[tokio::test]
async fn tenants_and_keys_are_made_with_a_platform_key() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut shell = prompt(&tenant, 80);
    shell.set("TIDINGS_KEY", PLATFORM_KEY);
    let made = shell.run(&["tenants", "create", "Numbers & Co", "--environment", "sandbox", "--json"]).await.json();
    let id = id(&made[0]).to_owned();
    let shown = screens(
        &shell,
        &[
            &["tenants", "show", &id],
            &["tenants", "update", &id, "--dialect", "beltic"],
            &["keys", "create", "--tenant", &id, "--roles", "manager,viewer", "--description", "ops"],
            &["keys", "list", "--tenant", &id],
            &["webhooks", "list", "--tenant", &id],
            &["webhooks", "list"],
            &["tenants", "delete", &id],
            &["tenants", "delete", &id, "--yes"],
            &["tenants", "show", &id],
        ],
    )
    .await;
    insta::assert_snapshot!("platform", shown);
}

#[tokio::test]
async fn json_is_what_the_api_answered_an_object_a_line() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let shell = prompt(&tenant, 80);
    let Shown { webhook, event, .. } = furnish(&tenant).await;
    for (command, path) in [
        (["webhooks", "list"], "/v1/webhooks"),
        (["events", "list"], "/v1/events"),
        (["deliveries", "list"], "/v1/deliveries"),
        (["dead-letters", "list"], "/v1/dead-letters"),
    ] {
        let printed = shell.run(&[&command[..], &["--json"]].concat()).await;
        assert_eq!(Value::from(printed.json()), tenant.get(path).await.expect(200)["data"], "{command:?}");
        assert_eq!((printed.code, printed.errors.as_str()), (0, ""));
    }
    let shown = shell.run(&["webhooks", "--json", "show", &webhook]).await;
    assert_eq!(shown.output.trim_end(), tenant.get(&format!("/v1/webhooks/{webhook}")).await.text);
    let event = shell.run(&["events", "show", &event, "--json"]).await;
    assert!(event.output.contains(r#""data":{"amount": 1e2, "lines": [1.0, "\u00e9"]}"#), "{}", event.output);
    assert_eq!(event.output.lines().count(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_a_sentence_with_an_exit_code_of_its_kind() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let mut shell = prompt(&tenant, 80);
    let missing = "wh_00000000000000000000000000";
    let mut shown = screens(
        &shell,
        &[
            &["webhooks", "list"],
            &["dead-letters", "list", "--reason", "unrenderable"],
            &["webhooks", "show", missing],
            &["webhooks", "show", "wh_1"],
            &["webhooks", "delete", missing],
            &["webhooks", "delete", missing, "--yes"],
            &["webhooks", "create", "ftp://example.com", "--events", "a.b,!"],
            &["webhooks", "update", missing],
            &["webhooks", "update", missing, "--timeout", "3", "--clear", "description,timeout_seconds"],
            &["events", "send", "invoice.paid", "{}", "--skip", "3"],
            &["keys", "create", "--platform", "--tenant", "ten_00000000000000000000000000"],
            &["events", "send", "invoice.paid", "not JSON"],
            &["events", "list", "--from", "yesterday"],
            &["tenants", "list"],
            &["webhooks", "list", "--tenant", "ten_00000000000000000000000000"],
            &["replays", "start", "--source", "dead-letters"],
            &["replays", "start", "--source", "dead-letters", "--event", "a.b", "--everything"],
            &["deliveries", "list", "--profile", "staging"],
            &["deliveries", "list", "--api", "nonsense"],
            &["--config", "tidings.toml", "deliveries", "list"],
            &["--config", "tidings.toml", "tail"],
            &["listen", "--dialect", "beltic", "--secret", "0123456789abcdef0123456789abcdef"],
            &["listen", "--secret-file", "/does/not/exist"],
        ],
    )
    .await;
    shell.set("TIDINGS_KEY", "tk_sandbox_wrong");
    shown += &screens(&shell, &[&["events", "list"]]).await;
    shell.set("TIDINGS_KEY", "");
    shown += &screens(&shell, &[&["events", "list"]]).await;
    shell.set("TIDINGS_URL", "http://127.0.0.1:1");
    shown += &screens(&shell, &[&["events", "list"]]).await;
    shell.set("TIDINGS_URL", "nonsense");
    shown += &screens(&shell, &[&["events", "list"]]).await;
    insta::assert_snapshot!("errors", shown);
}

#[tokio::test]
async fn a_file_of_events_is_sent_and_goes_on_where_it_failed() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let shell = prompt(&tenant, 80);
    let line = |n: usize| format!("{{\"type\": \"a.b\", \"data\": {{\"n\": {n}}}}}\n");
    let mut lines: Vec<_> = (1..=2_300).map(line).collect();
    lines[2_100] = "{\"type\": \"a b\", \"data\": 1}\n".to_owned();
    let failed = shell.run_with(&lines.concat(), &["events", "send", "--batch", "-"]).await;
    insta::assert_snapshot!("batch_failed", masked(&shell, &[failed.transcript()]));
    assert_eq!(world.count("events").await, 2_000);
    lines[2_100] = line(2_101);
    let went_on = shell.run_with(&lines.concat(), &["events", "send", "--batch", "-", "--skip", "2000"]).await;
    assert_eq!((went_on.code, world.count("events").await), (0, 2_300), "{}", went_on.transcript());
    let all = shell.run(&["events", "list", "--all", "--json"]).await;
    assert_eq!(all.json().len(), 2_300);
    let send = ["events", "send", "--batch", "-"];
    let beyond = shell.run_with(&line(1), &[&send[..], &["--skip", "2"]].concat()).await;
    let rest = shell.run_with(&line(1), &[&send[..], &["--skip", "1"]].concat()).await;
    let empty = shell.run_with("\n", &send).await;
    let broken = shell.run_with(&(line(1) + "{\"type\":}\n"), &send).await;
    let array = shell.run_with(&format!("[{}]", line(1).trim()), &send).await;
    let told = [beyond, rest, empty, broken, array].map(|printed| printed.transcript());
    insta::assert_snapshot!("batch_without_events", masked(&shell, &told));
    let receipts = shell.run_with(&line(1), &["events", "send", "--batch", "-", "--json"]).await;
    assert_eq!(receipts.json()[0]["duplicate"], false);
}

#[tokio::test]
async fn the_same_is_done_to_many_and_what_fails_is_told() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    let shell = prompt(&tenant, 80);
    let Shown { dead, .. } = furnish(&tenant).await;
    let missing = "dlv_00000000000000000000000000";
    let both = format!("{dead}\n\n{missing}\n");
    let printed = shell.run_with(&both, &["dead-letters", "resend", "-"]).await;
    insta::assert_snapshot!("many", masked(&shell, &[printed.transcript()]));
    assert_eq!(tenant.get("/v1/dead-letters").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn tail_shows_attempts_as_they_are_made_and_ends_in_good_order() {
    let world = World::in_real_time().await;
    let tenant = world.tenant().await;
    let shell = prompt(&tenant, 80);
    let (well, unwell) = (Receiver::start().await, Receiver::start().await);
    unwell.always(Reply::Status(500));
    tenant.webhook_with(json!({"url": well.url, "events": ["sample.sent"]})).await;
    tenant.webhook_with(json!({"url": unwell.url, "events": ["invoice.paid"]})).await;
    world.run();
    for event_type in ["invoice.paid", "sample.sent"] {
        tenant.event(event_type, json!({"n": 1})).await;
    }
    while tenant.get("/v1/attempts").await.expect(200)["data"].as_array().map(Vec::len) < Some(2) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut tail = shell.command(&["tail", "--json", "--last", "1"]).spawn().expect("started");
    let mut lines = BufReader::new(tail.stdout.take().expect("a pipe")).lines();
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.expect("in time");
        serde_json::from_str::<Value>(&line.expect("read").expect("a line")).expect("JSON")
    };
    let last = next().await;
    let id = tenant.event("sample.sent", json!({"n": 2})).await;
    let seen = next().await;
    assert_eq!((&seen["event_id"], &seen["outcome"], &seen["status"]), (&json!(id), &json!("success"), &json!(204)));
    assert_ne!(last["id"], seen["id"]);
    // Whoever reads goes away; the next line finds that out.
    drop(lines);
    tenant.event("sample.sent", json!({"n": 3})).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), tail.wait()).await.expect("in time");
    assert_eq!(ended.expect("ended").code(), Some(0));

    let failed = shell.run(&["tail", "--failed", "--last", "5", "--count", "1"]).await;
    assert_eq!((failed.code, failed.output.lines().count()), (0, 1), "{}", failed.transcript());
    assert!(failed.output.contains("  500 ") && failed.output.contains("invoice.paid"), "{}", failed.output);
}

#[tokio::test]
async fn whoever_stops_reading_is_not_told_of_it() {
    let world = World::new().await;
    let tenant = world.tenant().await;
    tenant.events("a.b", 1_000).await;
    let shell = prompt(&tenant, 80);
    let mut list = shell.command(&["events", "list", "--all", "--json"]).spawn().expect("started");
    drop(list.stdout.take());
    let ended = list.wait_with_output().await.expect("ended");
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""));
}

/// What was printed is not all there, and nobody would know.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_cannot_be_written_is_a_failure() {
    let shell = Shell::new(80);
    for command in [&["bench", "--list"][..], &["check-config"], &["openapi"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("opened");
        let ended =
            shell.command(command).stdout(full).spawn().expect("started").wait_with_output().await.expect("ended");
        let errors = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{command:?}: {errors}");
        assert!(errors.starts_with("error: ") && errors.contains("No space left"), "{command:?}: {errors}");
    }
}

#[tokio::test]
async fn shells_complete_every_command() {
    let shell = Shell::new(80);
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shell.run(&["completions", name]).await;
        assert_eq!(script.code, 0);
        for word in ["webhooks", "dead-letters", "replays", "tail", "completions", "idempotency-key"] {
            assert!(script.output.contains(word), "{name} knows {word}");
        }
    }
}
