//! What people are shown: help, listings and errors.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["tidings"], arguments].concat())
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    for right in [
        &["dev"][..],
        &["serve", "--role", "api"],
        &["serve", "--role=api,dispatch", "--migrate", "--config", "x.toml"],
        &["--config", "x.toml", "migrate"],
        &["listen", "--dialect", "beltic", "--secret", "s", "--token", "t", "--status", "500", "--delay-ms", "5"],
        &["listen", "--secret", "new", "--secret", "old", "--hang", "--json", "--port", "0"],
        &["listen", "--secret-file", "x", "--secret", "old", "--token", "t"],
        &["bench"],
        &["bench", "--list"],
        &[
            "bench",
            "single",
            "latency",
            "--seconds",
            "60",
            "--json",
            "--plot",
            "x.svg",
            "--database-url",
            "postgres://x",
        ],
        &["bench", "all", "--quick", "--url", "http://x", "--key-file", "key", "--pid", "1,2"],
        &["bench", "--profile", "staging", "--markdown"],
        &["check-config"],
        &["healthcheck"],
        &["keys", "rotate-master", "--check", "--json", "--config", "x.toml"],
        &["--config", "x.toml", "keys", "rotate-master"],
    ] {
        assert!(parse(right).is_ok(), "{right:?}");
    }
}

#[test]
fn a_wrong_command_line_is_told_in_a_sentence() {
    let told = [
        &["srve"][..],
        &["serve", "--role", "worker"],
        &["listen", "--status", "99"],
        &["listen", "--token", "t"],
        &["listen", "--hang", "--status", "500"],
        &["migrate", "--force"],
        &["bench", "snigle"],
        &["bench", "--seconds", "1", "--count", "1"],
        &["bench", "--key", "tk_platform_x"],
        &["bench", "--payload-bytes", "10"],
        &["bench", "--rate", "fast"],
    ];
    let told = told.map(|wrong| {
        let error = parse(wrong).expect_err("a wrong command line");
        assert_eq!(error.exit_code(), 2);
        let first = error.to_string().split("\n\n").take(2).collect::<Vec<_>>().join(" ").replace('\n', " ");
        format!("{}\n  {first}", wrong.join(" "))
    });
    insta::assert_snapshot!("command_lines", told.join("\n"));
}

#[test]
fn help_says_what_each_command_is_for() {
    let mut helps = Vec::new();
    let commands = [
        &[][..],
        &["dev"],
        &["serve"],
        &["migrate"],
        &["listen"],
        &["bench"],
        &["check-config"],
        &["keys", "rotate-master"],
    ];
    for command in commands {
        let shown = Cli::command().term_width(100).try_get_matches_from([&["tidings"], command, &["--help"]].concat());
        let help = shown.expect_err("help");
        assert_eq!(help.kind(), ErrorKind::DisplayHelp);
        helps.push(format!("$ tidings {}\n{help}", [command, &["--help"]].concat().join(" ")));
    }
    insta::assert_snapshot!("help", helps.join("\n"));
}

#[test]
fn a_failure_is_a_sentence_and_its_causes_and_repeats_nothing() {
    #[derive(Debug, thiserror::Error)]
    #[error("the letter was not sent")]
    struct Outer(#[source] Middle);
    #[derive(Debug, thiserror::Error)]
    #[error("no stamp: {0}")]
    struct Middle(#[source] std::fmt::Error);

    let text = Failure::from(Outer(Middle(std::fmt::Error))).text(Paint::OFF);
    assert_eq!(
        text.lines().collect::<Vec<_>>()[..2],
        ["error: the letter was not sent", "  caused by: no stamp: an error occurred when formatting an argument"]
    );
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn what_postgres_says_is_told_without_the_line_of_its_source() {
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str);
    #[derive(Debug, thiserror::Error)]
    #[error("it failed")]
    struct Failed(#[source] Said);

    for (said, told) in [
        ("error returned from database: no such column at line 3677", "error returned from database: no such column"),
        ("expected value at line 1", "expected value at line 1"),
    ] {
        let text = Failure::from(Failed(Said(said))).text(Paint::OFF);
        assert_eq!(text, format!("error: it failed\n  caused by: {told}"));
    }
}
