//! The bench as a person runs it: it measures a Tidings and a Postgres of its own, and leaves nothing behind.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::process::Command;

use crate::support::process::{Ended, Process, run};

/// The figures in what was printed.
#[track_caller]
fn figures(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let line = ended.text.lines().find(|line| line.starts_with('{'));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no figures: {}", ended.text))).expect("JSON")
}

#[track_caller]
fn number(figures: &Value, pointer: &str) -> f64 {
    let value = figures.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {figures}"));
    value.as_f64().unwrap_or_else(|| panic!("{pointer} is {value}"))
}

/// Postgres runs as another user where this is root.
fn enter_by_all(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("a mode");
}

/// Waits until it is so; `false` if it never is.
async fn soon(is_so: impl Fn() -> bool) -> bool {
    for _ in 0..600 {
        if is_so() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

/// Whether a process, or one of all, has this in its command line.
fn runs_as(process: &str, text: &str) -> bool {
    let line = std::fs::read(Path::new("/proc").join(process).join("cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(text)
}

fn runs(text: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.into_iter().any(|process| runs_as(&process.file_name().to_string_lossy(), text))
}

#[tokio::test]
async fn it_measures_on_a_postgres_of_its_own_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let plot = folder.path().join("bench.svg");
    let plot = plot.to_str().expect("a name");
    let ended = run(&["bench", "single", "--count", "200", "--connections", "8", "--json", "--plot", plot], &[]).await;
    let figures = figures(&ended);

    let trial = &figures["scenarios"][0]["trials"][0];
    let flow = &trial["flows"][0];
    for (member, expected) in [("accepted", 200), ("delivered", 200), ("lost", 0), ("duplicates", 0), ("errors", 0)] {
        assert_eq!(flow[member], expected, "{member} in {figures}");
    }
    for member in ["accepted_per_second", "delivered_per_second", "accept_p50_ms", "p50_ms", "p99_ms", "p999_ms"] {
        assert!(number(flow, &format!("/{member}")) > 0.0, "{member} in {figures}");
    }
    assert!(number(flow, "/p50_ms") <= number(flow, "/p999_ms"));
    assert!(number(trial, "/wal_bytes_per_delivery") > 1_000.0, "the data alone are 1,000 bytes: {figures}");
    if cfg!(target_os = "linux") {
        assert!((0.0..1.0).contains(&number(trial, "/stolen")), "{figures}");
        for process in ["tidings", "postgres"] {
            // So little work may be less than what the kernel counts.
            assert!(number(trial, &format!("/{process}/cpu_us_per_delivery")) >= 0.0, "{process} in {figures}");
            assert!(number(trial, &format!("/{process}/peak_memory_mib")) > 1.0, "{process} in {figures}");
        }
    }
    assert!(std::fs::read_to_string(plot).expect("a plot").contains("latency, ms"));
}

#[tokio::test]
async fn a_bench_that_is_interrupted_ends_everything_that_it_started() {
    let folder = tempfile::tempdir().expect("a folder");
    enter_by_all(folder.path());
    let data = folder.path().join("data");
    let data = data.to_str().expect("a name");
    let bench = Process::start(&["bench", "single", "--seconds", "60", "--data-dir", data], &[]);
    let postmaster = Path::new(data).join("postgres/postmaster.pid");
    soon(|| std::fs::read_to_string(&postmaster).is_ok_and(|text| text.contains("ready"))).await;
    assert!(postmaster.exists() && (runs(data) || cfg!(not(target_os = "linux"))), "{}", bench.text());
    let ended = bench.stop(Signal::INT).await;
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(ended.text.contains("interrupted"), "{}", ended.text);
    assert!(!postmaster.exists() && !runs(data), "Postgres is still there");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_bench_that_is_killed_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    enter_by_all(folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    command.args(["bench", "single", "--seconds", "60"]).env("TMPDIR", folder.path());
    let bench = Process::spawn(&mut command);
    let id = bench.id();
    let children = || std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let is_up = || children().split_whitespace().filter(|child| runs_as(child, "serve")).count() == 1;
    assert!(soon(is_up).await, "{}", bench.text());
    let children = children();
    assert!(runs(folder.path().to_str().expect("a name")), "Postgres is there");
    bench.stop(Signal::KILL).await;

    let is_empty = || std::fs::read_dir(folder.path()).is_ok_and(|mut files| files.next().is_none());
    assert!(soon(is_empty).await, "the folder is still there");
    assert!(!runs(folder.path().to_str().expect("a name")), "Postgres is still there");
    let are_gone = || children.split_whitespace().all(|child| !Path::new("/proc").join(child).exists());
    assert!(soon(are_gone).await, "a child is still there");
}

#[tokio::test]
async fn what_cannot_be_measured_is_told_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "tk_platform_k\n").expect("written");
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("a mode");
    let key = key.to_str().expect("a name");
    for (arguments, code, told) in [
        (&["bench", "--url", "http://127.0.0.1:1"][..], 4, "set TIDINGS_KEY, or name a file with --key-file"),
        (&["bench", "--url", "https://127.0.0.1", "--key-file", key], 2, "the plain HTTP address of Tidings itself"),
        (&["bench", "--url", "http://127.0.0.1:1", "--key-file", key], 1, "got no answer"),
        (&["bench", "--profile", "nobody"], 2, "there is no profile `nobody`"),
        (&["bench", "processes", "--url", "http://127.0.0.1:1", "--key-file", key], 2, "leave out --url"),
        (&["bench", "--key-file", key], 2, "name that with --url"),
        (&["bench", "all", "--key-file", key], 2, "name that with --url"),
        (&["bench", "--plot", "bench.png"], 2, "must be a folder that is there, or a file whose name ends in .svg"),
        (&["bench", "--plot", "not-here/bench.svg"], 2, "there is no folder not-here: make it first"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
        command.args(arguments).env_remove("TIDINGS_KEY").env("XDG_CONFIG_HOME", folder.path());
        let ended = Process::spawn(&mut command).ended().await;
        assert_eq!(ended.code, Some(code), "{}", ended.text);
        assert!(ended.text.starts_with("error: ") && ended.text.contains(told), "{}", ended.text);
    }
}
