//! Receivers that share nothing with this code judge what it sends: written in Python and in Node after the vendors' own
//! rules, and the official Standard Webhooks libraries.
//!
//! `TIDINGS_PYTHON` names a Python that has the packages of `tests/receivers/requirements.txt`, `TIDINGS_NODE_MODULES` a
//! folder with those of `package.json` there. `.ci/run` installs both. Elsewhere, what is missing is left out, with a word.

use std::env;
use std::path::PathBuf;

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tidings::dialect::Dialects;
use tidings::domain::secret::Secret;
use tokio::process::Command;

use crate::support::process::Process;
use crate::support::world::Tenant;
use crate::support::{Receiver, World};

/// Nobody listens there; the webhook is led to its receiver once that knows the secret.
const NOWHERE: &str = "http://127.0.0.1:9/";
/// Spelled so that a careless sender would change it.
const DATA: &str = r#"{"amount": 1e2, "ratio":1.0,  "name": "Zoë \u00eb", "list": [ 1 ,2 ]}"#;

/// A program in `tests/receivers`; `None`, said aloud, where what it needs is not installed. CI has everything.
fn script(name: &str) -> Option<Command> {
    let python = env::var("TIDINGS_PYTHON");
    let (program, needs) = match name {
        "official.py" => (python.clone().ok(), "TIDINGS_PYTHON"),
        "official.mjs" => (env::var("TIDINGS_NODE_MODULES").ok().map(|_| "node".to_owned()), "TIDINGS_NODE_MODULES"),
        "verify.py" => (Some(python.unwrap_or_else(|_| "python3".to_owned())), "python3"),
        _ => (Some("node".to_owned()), "node"),
    };
    let runs = |program: &String| std::process::Command::new(program).arg("--version").output().is_ok();
    let Some(program) = program.filter(runs) else {
        assert!(env::var_os("CI").is_none(), "{name} cannot run: {needs} is missing");
        eprintln!("left out: {name} needs {needs}; `.ci/run` installs it");
        return None;
    };
    let mut command = Command::new(program);
    command.arg(receivers().join(name));
    Some(command)
}

fn receivers() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/receivers")
}

/// A running receiver of another make.
struct Judge {
    process: Process,
    url: String,
}

impl Judge {
    /// Starts it with what registering or rotating answered, and leads the webhook there.
    async fn take_over(tenant: &Tenant<'_>, script: &str, dialect: &str, registered: &Value) -> Option<Self> {
        let mut command = self::script(script)?;
        command.args(["--dialect", dialect, "--secret", registered["signing_secret"].as_str().expect("a secret")]);
        if let Some(token) = registered["token"].as_str() {
            command.args(["--token", token]);
        }
        let process = Process::spawn(&mut command);
        let port: u16 = process.line("").await.parse().expect("a port");
        let url = format!("http://127.0.0.1:{port}/");
        tenant.patch(&path(registered), json!({"url": url})).await.expect(200);
        Some(Self { process, url })
    }

    /// What it says of the request with this in it.
    async fn verdict(&self, with: &str) -> Value {
        serde_json::from_str(&self.process.line(with).await).expect("a line of JSON")
    }
}

fn path(registered: &Value) -> String {
    format!("/v1/webhooks/{}", registered["id"].as_str().expect("an id"))
}

/// Reports an event that is marked, and returns its id.
async fn report(tenant: &Tenant<'_>, event_type: &str, mark: &str) -> String {
    let data = DATA.replace("Zoë", mark);
    let accepted = tenant.raw_event(&format!(r#"{{"type": "{event_type}", "data": {data}}}"#)).await.expect(202);
    tenant.world.drain().await;
    accepted["id"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn believed(verdict: &Value, id: &str, mark: &str) {
    assert_eq!(verdict["ok"], true, "{verdict}");
    assert!(verdict["event_id"].is_null() || verdict["event_id"] == id, "{verdict}, not {id}");
    let data = DATA.replace("Zoë", mark);
    let members = data.trim_matches(['{', '}']);
    assert!(verdict["body"].as_str().expect("a body").contains(members), "byte for byte: {verdict}");
}

/// Delivers to a receiver in this dialect, to one that knows another secret, and through a rotation.
async fn judge(script: &str, dialect: &str, event_type: &str) {
    let world = World::new().await;
    world.run();
    let tenant = world.tenant().await;
    let body = json!({"url": NOWHERE, "events": ["*"], "dialect": dialect});
    let registered = tenant.webhook_with(body.clone()).await;
    let Some(judge) = Judge::take_over(&tenant, script, dialect, &registered).await else { return };
    if dialect == "limai" {
        let verified = tenant.post(&format!("{}/verify", path(&registered)), json!({})).await.expect(200);
        assert_eq!(verified["state"], "active");
        assert_eq!(judge.verdict("VERIFICATION").await["ok"], true);
    }
    let id = report(&tenant, event_type, "first").await;
    believed(&judge.verdict("first").await, &id, "first");

    if ["standard", "numora"].contains(&dialect) {
        let rotated = tenant.post(&format!("{}/rotate", path(&registered)), json!({})).await.expect(200);
        let id = report(&tenant, event_type, "overlap").await;
        believed(&judge.verdict("overlap").await, &id, "overlap");
        let next = Judge::take_over(&tenant, script, dialect, &rotated).await.expect("a receiver");
        let id = report(&tenant, event_type, "rotated").await;
        believed(&next.verdict("rotated").await, &id, "rotated");
    }
    if dialect != "limai" {
        let mut stranger = body;
        stranger["url"] = json!(judge.url);
        tenant.delete(&path(&registered)).await.expect(204);
        tenant.webhook_with(stranger).await;
        report(&tenant, event_type, "stranger").await;
        assert_eq!(judge.verdict("stranger").await["ok"], false, "signed with another secret");
    }
}

async fn judge_all(script: &str) {
    for profile in Dialects::builtin().expect("the built-in dialects").iter() {
        let event_type = profile.event_types().map_or("invoice.paid", |types| &types[0]);
        judge(script, profile.name(), event_type).await;
    }
}

#[tokio::test]
async fn receivers_in_python_believe_every_dialect() {
    judge_all("verify.py").await;
}

#[tokio::test]
async fn receivers_in_node_believe_every_dialect() {
    judge_all("verify.mjs").await;
}

#[tokio::test]
async fn the_official_library_for_python_believes_the_standard_dialect() {
    judge("official.py", "standard", "invoice.paid").await;
}

#[tokio::test]
async fn the_official_library_for_node_believes_the_standard_dialect() {
    judge("official.mjs", "standard", "invoice.paid").await;
}

#[tokio::test]
async fn the_official_library_for_rust_believes_the_standard_dialect() {
    let world = World::new().await;
    world.run();
    let (tenant, receiver) = (world.tenant().await, Receiver::start().await);
    let registered = tenant.webhook(&receiver.url).await;
    let rotated = tenant.post(&format!("{}/rotate", path(&registered)), json!({})).await.expect(200);
    report(&tenant, "invoice.paid", "first").await;
    let request = receiver.only();
    let other = Dialects::builtin().expect("dialects").get("standard").expect("standard").new_secret(&[7; 32]);
    let verifies = |secret: &Secret| {
        let library = Webhook::new(secret.expose_secret()).expect("a secret");
        library.verify(&request.body, &request.headers).is_ok()
    };
    let [old, new] = [&registered, &rotated].map(|one| Secret::from(one["signing_secret"].as_str().expect("a secret")));
    assert_eq!([&old, &new, &other].map(verifies), [true, true, false], "both while the rotation lasts");
}

#[tokio::test]
async fn all_of_them_agree_with_the_golden_vectors() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in ["verify.py", "verify.mjs", "official.py", "official.mjs"] {
        let Some(mut command) = script(name) else { continue };
        let ended = Process::spawn(command.arg("--golden").arg(&golden)).ended().await;
        assert!(ended.code == Some(0) && ended.text.ends_with(" 0 mismatches"), "{name}: {}", ended.text);
    }
}
