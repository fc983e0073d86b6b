//! The `.sqlx` folder: what the compiler knows of every query when there is no database to ask.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tidings::store::{self, Store};

use crate::support::database;

/// Compiles the library against a database with the current migrations and compares what it learns with `.sqlx`, which
/// `.ci/queries` writes.
#[tokio::test]
#[ignore = "compiles the library once more; the CI script runs it"]
async fn the_query_cache_is_that_of_the_migrations() {
    let url = database::empty().await;
    let store = Store::connect(&url, &store::Config::default()).expect("a URL");
    store.migrate().await.expect("the schema");
    let fresh = tempfile::tempdir().expect("a folder");
    let compiled = Command::new(env!("CARGO"))
        .args(["rustc", "--quiet", "--lib", "--locked", "--", "--cfg", "query_cache", "--emit", "metadata"])
        .env("DATABASE_URL", &url)
        .env("SQLX_OFFLINE_DIR", fresh.path())
        .env_remove("SQLX_OFFLINE")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(compiled.success(), "the queries do not fit the migrations");

    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let (found, expected) = (files(&kept), files(fresh.path()));
    assert!(expected.len() > 50, "the compiler described the queries");
    let stale: Vec<_> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
    let missing: Vec<_> = expected.iter().filter(|(name, text)| found.get(*name) != Some(text)).collect();
    let advice = "run `.ci/queries` and commit `.sqlx`";
    assert!(stale.is_empty() && missing.is_empty(), "{advice}\nno longer used: {stale:?}\nnew or changed: {missing:?}");
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let read = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).expect("a readable file");
        (entry.file_name().into_string().expect("a plain name"), text)
    };
    std::fs::read_dir(folder).expect("a folder").flatten().map(read).collect()
}
