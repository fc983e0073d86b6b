//! The bench as a person runs it: it measures a Tidings and a Postgres of its own, and leaves nothing behind.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

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

/// Whether a process has this in its command line.
fn runs(text: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).into_owned()).any(|line| line.contains(text))
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
    // Postgres runs as another user where this is root.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a name");
    let bench = Process::start(&["bench", "single", "--seconds", "60", "--data-dir", data], &[]);
    let postmaster = Path::new(data).join("postgres/postmaster.pid");
    for _ in 0..600 {
        if std::fs::read_to_string(&postmaster).is_ok_and(|text| text.contains("ready")) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(postmaster.exists() && (runs(data) || cfg!(not(target_os = "linux"))), "{}", bench.text());
    let ended = bench.stop(Signal::INT).await;
    assert_eq!(ended.code, Some(1), "{}", ended.text);
    assert!(ended.text.contains("interrupted"), "{}", ended.text);
    assert!(!postmaster.exists() && !runs(data), "Postgres is still there");
}

#[tokio::test]
async fn what_cannot_be_measured_is_told_in_a_sentence() {
    for (arguments, told) in [
        (&["bench", "--url", "http://127.0.0.1:1"][..], "set the variable TIDINGS_KEY, or give --key"),
        (&["bench", "--url", "https://127.0.0.1", "--key", "k"], "the plain HTTP address of Tidings itself"),
        (&["bench", "--url", "http://127.0.0.1:1", "--key", "k"], "got no answer"),
        (&["bench", "processes", "--url", "http://127.0.0.1:1", "--key", "k"], "leave out --url"),
    ] {
        let ended = run(arguments, &[]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.text);
        assert!(ended.text.starts_with("error: ") && ended.text.contains(told), "{}", ended.text);
    }
}
