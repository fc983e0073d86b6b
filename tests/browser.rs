//! The console in a browser: what its script does. `tests/console.rs` has what its pages do.
//!
//! `TIDINGS_BROWSER_MODULES` names a folder with the packages of `tests/browser/package.json`. `.ci/run` installs them, and Chromium.

use std::env;
use std::path::Path;

use tokio::process::Command;

use crate::support::World;
use crate::support::process::Process;

#[tokio::test]
#[ignore = "slow: it starts a browser; `cargo test -- --ignored` runs it where there is one"]
async fn a_person_at_the_console() {
    let Some(modules) = env::var_os("TIDINGS_BROWSER_MODULES") else {
        assert!(env::var_os("CI").is_none(), "the browser cannot run: TIDINGS_BROWSER_MODULES is missing");
        eprintln!("left out: a browser needs TIDINGS_BROWSER_MODULES; `.ci/run` installs it");
        return;
    };
    let world = World::in_real_time().await;
    world.run();
    let tenant = world.tenant().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/console.mjs");
    let mut command = Command::new("node");
    command.arg(script).arg(format!("http://{}", world.address)).args([&tenant.key, &tenant.id]);
    command.env("TIDINGS_BROWSER_MODULES", modules);
    let ended = Process::spawn(&mut command).ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.text);
}
