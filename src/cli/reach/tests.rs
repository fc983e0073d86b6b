//! Who wins, and what is told where something is wrong.

use std::os::unix::fs::PermissionsExt;

use clap::Parser;
use secrecy::ExposeSecret;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    reach: Reach,
}

const PROFILES: &str = "
    [one]
    url = 'http://one'
    key = 'tk_one'
    platform_key = 'tk_platform_one'
    [two]
    url = 'http://two'
    tenant = 'ten_00000000000000000000000001'
";

fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("tidings");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("profiles.toml"), PROFILES).expect("written");
    fs::set_permissions(folder.join("profiles.toml"), fs::Permissions::from_mode(0o600)).expect("closed");
    home
}

#[expect(clippy::unnecessary_wraps, reason = "there may be none")]
fn dev() -> Option<Profile> {
    let given = |value: &str| Given { value: value.to_owned(), origin: "dev".to_owned() };
    let key = Some(Given { value: Secret::from("tk_dev"), origin: "dev".to_owned() });
    Some(Profile { url: Some(given("http://dev")), key, platform_key: None, tenant: None })
}

/// Address and key, or the error, of a command line and variables.
fn reached(who: As, line: &str, variables: &[(&str, &str)]) -> String {
    let home = home();
    let folder = home.path().display().to_string();
    let line = Line::parse_from(["x"].into_iter().chain(line.split_whitespace()));
    let variable = |name: &str| match name {
        "XDG_CONFIG_HOME" => Some(folder.clone()),
        name => variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()),
    };
    match line.reach.place(who, &variable, dev) {
        Ok(place) => {
            let key = place.key.map_or("-".to_owned(), |key| key.value.expose_secret().to_owned());
            format!("{} {key}", place.url.value)
        }
        Err(failure) => failure.text(Paint::OFF).replace(&folder, "~"),
    }
}

#[test]
fn the_nearest_source_wins() {
    let all = [("TIDINGS_URL", "http://env"), ("TIDINGS_KEY", "tk_env"), ("TIDINGS_PROFILE", "one")];
    for (line, variables, expected) in [
        ("", &[][..], "http://dev tk_dev"),
        ("", &all, "http://env tk_env"),
        ("", &all[2..], "http://one tk_one"),
        ("", &all[1..2], "http://127.0.0.1:8080 tk_env"),
        ("--profile one", &all, "http://one tk_one"),
        ("--profile one --api http://arg", &all, "http://arg tk_one"),
        ("--profile two", &all, "http://two tk_env"),
        ("--api http://arg", &[], "http://arg -"),
    ] {
        assert_eq!(reached(As::Tenant, line, variables), expected, "{line} {variables:?}");
    }
    assert_eq!(reached(As::Platform, "--profile one", &[]), "http://one tk_platform_one");
}

#[test]
fn what_is_wrong_is_told() {
    insta::assert_snapshot!(
        [
            reached(As::Tenant, "--profile three", &[]),
            reached(As::Tenant, "--key-file /does/not/exist", &[]),
            reached(As::Tenant, "", &[("TIDINGS_TENANT", "ten_x")]),
        ]
        .join("\n")
    );
}
