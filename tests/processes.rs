//! The program as a person runs it: how it starts, refuses to start, and ends.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use crate::support::database;
use crate::support::load::Api;
use crate::support::process::{Ended, Process, Served, run, settings};

/// It ended with 1 and a sentence with all of this in it, and nothing that only a programmer understands.
#[track_caller]
fn refused(ended: &Ended, parts: &[&str]) {
    let text = &ended.text;
    assert_eq!(ended.code, Some(1), "{text}");
    let mut errors = text.lines().skip_while(|line| !line.starts_with("error: "));
    let sentence = errors.next().unwrap_or_else(|| panic!("no sentence: {text}"));
    assert!(errors.all(|line| line.starts_with("  ")), "one error: {text}");
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    assert!(sentence.len() < 400, "{sentence}");
    for noise in ["panicked", "backtrace", "src/", "Error {", "Os {", "Some("] {
        assert!(!text.contains(noise), "`{noise}` in: {text}");
    }
}

#[tokio::test]
async fn it_starts_on_an_empty_database_when_told_to_migrate() {
    let url = database::empty().await;
    let settings = settings(&url);
    refused(&run(&["serve"], &settings).await, &["schema", "`tidings migrate`", "`tidings serve --migrate`"]);

    let keyless: Vec<_> = settings.iter().filter(|(key, _)| *key != "server.platform_key").copied().collect();
    let served = Served::start(&["--migrate"], &keyless).await;
    let ended = served.process.stop(Signal::TERM).await;
    assert!(ended.text.contains("nobody has an API key yet"), "{}", ended.text);

    let served = Served::start(&[], &settings).await;
    let api = Api::new(&[served.address]);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(api.get(path, "").await.0, 200, "{path}");
    }
    let ended = served.process.stop(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.ends_with(" stopped") && ended.text.contains("api,dispatch"), "{}", ended.text);
    assert!(!ended.text.contains("nobody has an API key"), "{}", ended.text);
}

#[tokio::test]
async fn migrating_twice_is_migrating_once() {
    let url = database::empty().await;
    for told in ["was brought to this version", "is already at this version: there was nothing to do"] {
        let ended = run(&["migrate"], &[("database.url", &url)]).await;
        assert_eq!(
            (ended.code, ended.text.lines().last()),
            (Some(0), Some(&*format!("The database's schema {told}.")))
        );
    }
    let both = settings(&url);
    let (left, right) = tokio::join!(run(&["migrate"], &both), run(&["migrate"], &both));
    assert_eq!((left.code, right.code), (Some(0), Some(0)), "{} {}", left.text, right.text);
}

#[tokio::test]
async fn serve_says_in_a_sentence_why_it_does_not_start() {
    let url = database::fresh().await;
    let good = settings(&url);
    let without = |key| -> Vec<_> { good.iter().filter(|(own, _)| *own != key).copied().collect() };
    let with = |key, value| -> Vec<_> { [without(key), vec![(key, value)]].concat() };

    refused(&run(&["serve"], &without("secrets.master_key")).await, &["`secrets.master_key`", "openssl rand"]);
    let odd = run(&["serve"], &with("secrets.master_key", "c2hvcnQ=")).await;
    refused(&odd, &["TIDINGS__SECRETS__MASTER_KEY", "32 bytes"]);
    assert!(!odd.text.contains("c2hvcnQ="), "a key is not shown, not even a wrong one: {}", odd.text);

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    refused(&run(&["serve"], &with("server.listen", &address)).await, &[&address, "`server.listen`"]);

    let nobody = closed_port();
    let unreachable = format!("postgres://tidings:hidden@127.0.0.1:{nobody}/tidings");
    let ended = run(&["serve"], &with("database.url", &unreachable)).await;
    refused(&ended, &["`database.url`", &format!("127.0.0.1:{nobody}")]);
    assert!(!ended.text.contains("hidden"), "the password is not shown: {}", ended.text);
    refused(&run(&["migrate"], &with("database.url", &unreachable)).await, &["`database.url`"]);
    let several = format!("postgres://tidings:hidden@127.0.0.1:{nobody},localhost:{nobody}/tidings");
    let ended = run(&["serve"], &with("database.url", &several)).await;
    refused(&ended, &["`database.url`", &format!("127.0.0.1:{nobody},localhost:{nobody}/"), "takes writes"]);
    assert!(!ended.text.contains("hidden"), "the password is not shown: {}", ended.text);
    let (server, _) = url.rsplit_once('/').expect("a database's name");
    let missing = format!("{server}/nowhere");
    refused(&run(&["serve"], &with("database.url", &missing)).await, &["`database.url`", "nowhere"]);
    refused(&run(&["serve"], &with("database.url", "mysql://x")).await, &["database.url"]);

    refused(&run(&["serve"], &with("server.lisen", "x")).await, &["TIDINGS__SERVER__LISEN", "TIDINGS__SERVER__LISTEN"]);
    refused(&run(&["serve"], &with("dispatch.lease_seconds", "0")).await, &["TIDINGS__DISPATCH__LEASE_SECONDS", "5"]);
}

#[tokio::test]
async fn who_may_not_migrate_is_told_which_rights_it_takes() {
    let url = database::empty().await;
    let role = format!("weak_{}", hex::encode(rand::random::<[u8; 6]>()));
    let owner = sqlx::PgPool::connect(&url).await.expect("connected");
    let made = sqlx::query(sqlx::AssertSqlSafe(format!("CREATE ROLE {role} LOGIN PASSWORD 'weak'")));
    made.execute(&owner).await.expect("a role");
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (_, place) = rest.rsplit_once('@').expect("a user");
    let ended = run(&["migrate"], &[("database.url", &format!("{scheme}://{role}:weak@{place}"))]).await;
    refused(&ended, &["CREATE on the database", "`public`", "permission denied"]);
    assert!(!ended.text.contains(" at line "), "{}", ended.text);
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}

#[tokio::test]
async fn the_configuration_can_be_checked_beforehand() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tidings.toml");
    let check = async |text: &str| {
        std::fs::write(&file, text).expect("written");
        run(&["check-config", "--config", &file.to_string_lossy()], &[("log.level", "warn")]).await
    };
    let good = check("[dispatch]\nlease_seconds = 10\n").await;
    assert_eq!(good.code, Some(0), "{}", good.text);
    for part in ["The configuration is good", "lease_seconds = 10", "tidings.toml", "TIDINGS__LOG__LEVEL", "limai"] {
        assert!(good.text.contains(part), "no `{part}` in {}", good.text);
    }
    refused(&check("[dispatch]\nleese_seconds = 10\n").await, &["leese_seconds", "tidings.toml", "lease_seconds"]);
    refused(&check("[dispatch]\nlease_seconds = \"long\"\n").await, &["dispatch.lease_seconds", "tidings.toml"]);
    refused(&check("[dialects]\ndir = \"/nowhere\"\n").await, &["/nowhere"]);
    refused(&run(&["check-config", "--config", "/nowhere.toml"], &[]).await, &["/nowhere.toml"]);
    let wrong = run(&["check-confg"], &[]).await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.text);
}

#[tokio::test]
async fn listen_verifies_what_serve_delivers() {
    let url = database::fresh().await;
    let settings = settings(&url);
    let served = Served::start(&[], &settings).await;
    let api = Api::new(&[served.address]);
    let key = api.tenant().await;
    // A secret is known only once its webhook leads somewhere.
    let webhook = api.webhook(&key, "http://127.0.0.1:9/").await;
    let secret = webhook["signing_secret"].as_str().expect("a secret");
    let machines = Process::start(&["listen", "--json", "--port", "0", "--secret", secret, "--status", "202"], &[]);
    let people = Process::start(&["listen", "--port", "0", "--secret", secret], &[]);
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().expect("an id"));
    let (status, led) = api.patch(&path, &key, &json!({"url": address_of(&machines).await})).await;
    assert_eq!(status, 200, "{led}");
    api.webhook(&key, &address_of(&people).await).await;

    let event = json!({"type": "invoice.paid", "data": {"amount": 17}});
    let (status, accepted) = api.post("/v1/events", &key, &event).await;
    assert_eq!(status, 202, "{accepted}");
    let id = accepted["id"].as_str().expect("an id");
    let line: serde_json::Value = serde_json::from_str(&machines.line(id).await).expect("JSON");
    assert_eq!((&line["verified"], &line["status"]), (&json!(true), &json!(202)), "{line}");
    let line = people.line(id).await;
    assert!(line.contains('✗') && line.ends_with("→ 401"), "signed with another webhook's secret: {line}");
    for receiver in [machines, people] {
        assert_eq!(receiver.stop(Signal::INT).await.code, Some(0));
    }
    assert_eq!(served.process.stop(Signal::INT).await.code, Some(0));
}

/// Where a `tidings listen` says that it listens.
async fn address_of(listen: &Process) -> String {
    let greeting = listen.line("Listening on ").await;
    greeting.split_whitespace().nth(2).expect("an address").trim_end_matches('.').to_owned()
}

/// A data folder for `tidings dev`; the server in it does not outlive the test.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Postgres, which does not run as root, must be able to enter it.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        Self(folder)
    }

    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.data().join("postgres/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok().and_then(Pid::from_raw)
    }

    async fn dev(&self) -> Dev {
        let data = self.data();
        let settings = [("database.data_dir", &*data.to_string_lossy()), ("server.listen", "127.0.0.1:0")];
        let process = Process::start(&["dev"], &settings);
        process.line("Received here:").await;
        let text = process.text();
        let after = |label: &str| {
            let line = text.lines().find_map(|line| line.trim_start().strip_prefix(label));
            line.and_then(|rest| rest.split_whitespace().next()).unwrap_or_else(|| panic!("{label}: {text}")).to_owned()
        };
        Dev { api: after("API  "), key: after("API key "), webhook: after("Webhook "), text, process }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster() {
            let _ = kill_process(pid, Signal::QUIT);
        }
    }
}

/// A running `tidings dev` and what it shows.
struct Dev {
    process: Process,
    text: String,
    api: String,
    key: String,
    webhook: String,
}

/// The command that the screen asks to paste.
fn curl(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.trim_start().starts_with("curl "));
    let mut pasted = Vec::new();
    for line in lines {
        pasted.push(line);
        if !line.ends_with('\\') {
            break;
        }
    }
    pasted.join("\n")
}

fn seconds_to_start(text: &str) -> f64 {
    let after = text.split_once("Tidings is running (after ").and_then(|(_, rest)| rest.split_once(" s)"));
    after.and_then(|(seconds, _)| seconds.parse().ok()).unwrap_or_else(|| panic!("no time in {text}"))
}

#[tokio::test]
async fn dev_shows_a_newcomer_everything_and_goes_on_where_it_ended() {
    let home = Home::new();
    let first = home.dev().await;
    assert!(first.api.starts_with("http://127.0.0.1:") && first.key.starts_with("tk_sandbox_"), "{}", first.text);
    assert!(first.text.contains(&*home.data().to_string_lossy()), "where the data is: {}", first.text);
    assert!(first.text.contains("delivered and verified in ") && first.text.contains(" ms."), "{}", first.text);
    let postmaster = home.postmaster().expect("Postgres runs");

    let pasted = Process::spawn(Command::new("sh").args(["-c", &curl(&first.text)])).ended().await;
    assert!(pasted.code == Some(0) && pasted.text.contains("HTTP/1.1 202"), "{}", pasted.text);
    let arrived = first.process.line("invoice.paid  evt_").await;
    assert!(arrived.starts_with('✓') && arrived.ends_with("→ 200"), "{arrived}");

    let second = run(&["dev"], &[("database.data_dir", &*home.data().to_string_lossy())]).await;
    refused(&second, &["another `tidings dev` runs", "database.data_dir"]);

    let ended = first.process.stop(Signal::INT).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert!(ended.text.contains("Goodbye."), "{}", ended.text);
    gone(postmaster, "Postgres has ended, too").await;

    let again = home.dev().await;
    assert_eq!((&again.key, &again.webhook), (&first.key, &first.webhook), "it continues");
    assert!(!again.text.contains("Platform key"), "shown once: {}", again.text);
    assert!(seconds_to_start(&again.text) > 0.0, "{}", again.text);
    // Killed without a word, it leaves Postgres; the next run attaches to it.
    again.process.stop(Signal::KILL).await;
    let left = home.postmaster().expect("Postgres still runs");
    let third = home.dev().await;
    assert_eq!(home.postmaster(), Some(left), "attached");
    let ended = third.process.stop(Signal::TERM).await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(home.postmaster(), None, "{}", ended.text);
    gone(left, &ended.text).await;
}

#[tokio::test]
async fn a_private_postgres_that_is_killed_takes_its_user_along() {
    let home = Home::new();
    let dev = home.dev().await;
    kill_process(home.postmaster().expect("Postgres runs"), Signal::KILL).expect("killed");
    let ended = dev.process.ended().await;
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(ended.text.contains("error: Postgres has ended") && ended.text.contains("start again"), "{}", ended.text);
}

/// Waits until it has ended, though its parent may not have taken notice yet. A server that has stopped still runs
/// for the moment, on a busy machine a long one, in which the system takes its memory back.
async fn gone(pid: Pid, text: &str) {
    for _ in 0..1_000 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
        let state = status.lines().find_map(|line| line.strip_prefix("State:"));
        if state.is_none_or(|state| state.trim_start().starts_with('Z')) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("process {} still runs after 10 s\n{text}", pid.as_raw_nonzero());
}
