//! What the layers add up to, and what is said of wrong ones.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread::available_parallelism;

use serde::de::DeserializeOwned;

use super::*;

/// A configuration from a file's text and variables; errors name the file `tidings.toml`.
fn load(file: &str, variables: &[(&str, &str)]) -> Result<Loaded, String> {
    let mut path = tempfile::NamedTempFile::new().expect("a file");
    path.write_all(file.as_bytes()).expect("written");
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let real = path.path().display().to_string();
    let mut loaded =
        Loaded::load(Some(path.path()), variables).map_err(|error| error.to_string().replace(&real, "tidings.toml"))?;
    for setting in &mut loaded.settings {
        if let Origin::File { path, .. } = &mut setting.origin {
            *path = "tidings.toml".into();
        }
    }
    Ok(loaded)
}

#[test]
fn the_built_in_file_has_every_key_and_says_what_the_rooms_say() {
    let loaded = Loaded::load(None, []).expect("the defaults");
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", Config::default()));
    assert_eq!(loaded.config.database.url, Config::default().database.url);

    let mut listed = BTreeMap::<_, Vec<_>>::new();
    for setting in &loaded.settings {
        listed.entry(setting.section.as_str()).or_default().push(setting.key.as_str());
    }
    assert_eq!(listed.keys().copied().collect::<Vec<_>>(), sorted(&keys_of::<Config>()));
    for (section, keys) in [
        ("server", keys_of::<api::Config>()),
        ("database", keys_of::<store::Config>()),
        ("secrets", keys_of::<Secrets>()),
        ("egress", keys_of::<net::Config>()),
        ("dispatch", keys_of::<dispatch::Config>()),
        ("retention", keys_of::<Retention>()),
        ("dialects", keys_of::<Dialects>()),
        ("process", keys_of::<Process>()),
        ("telemetry", keys_of::<telemetry::Config>()),
        ("log", keys_of::<telemetry::log::Config>()),
    ] {
        let listed: Vec<_> = listed[section].iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(sorted(&listed), sorted(&keys), "[{section}]");
    }
}

/// The keys of a struct, out of the mouth of its own refusal of another one.
fn keys_of<C: DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
    let refusal = toml::from_str::<C>("no_such_key = 1").expect_err("unknown fields are denied");
    refusal.message().split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

fn sorted(words: &[String]) -> Vec<&str> {
    let mut words: Vec<_> = words.iter().map(String::as_str).collect();
    words.sort_unstable();
    words
}

#[test]
fn every_key_is_explained() {
    let mut before = "";
    for line in include_str!("../../config/default.toml").lines() {
        assert!(before.starts_with('#') || !line.contains(" = ") || line.starts_with('#'), "no comment above {line}");
        before = line;
    }
}

#[test]
fn a_variable_goes_before_the_file_and_the_file_before_the_default() {
    let file = "[dispatch]\nlease_seconds = 40\nmax_in_flight = 7\n[log]\n";
    let loaded = load(file, &[("TIDINGS__DISPATCH__MAX_IN_FLIGHT", "9"), ("HOME", "/x")]).expect("a configuration");
    let dispatch = &loaded.config.dispatch;
    assert_eq!((dispatch.lease_seconds, dispatch.max_in_flight, dispatch.poll_milliseconds), (40, 9, 100));
    assert!(loaded.is_default("server.listen") && !loaded.is_default("dispatch.lease_seconds"));
    assert_eq!(loaded.count_set(), 2);
}

#[test]
fn a_list_in_a_variable_is_separated_by_commas_and_an_empty_text_is_not_set() {
    let loaded = load(
        "[dialects]\ndir = 'here'",
        &[
            ("TIDINGS__EGRESS__ALLOW", "127.0.0.0/8, ::1"),
            ("TIDINGS__EGRESS__PORTS", "80,443"),
            ("TIDINGS__DIALECTS__DIR", ""),
            ("TIDINGS__SECRETS__MASTER_KEY", ""),
        ],
    );
    let Config { egress, dialects, secrets, .. } = loaded.expect("a configuration").config;
    assert_eq!((egress.allow.len(), egress.ports), (2, vec![80, 443]));
    assert!(dialects.dir.is_none() && secrets.master_key.is_none());
}

#[test]
fn processes_on_one_host_get_a_share_of_it_each_unless_they_are_told_otherwise() {
    let all = available_parallelism().expect("processors").get();
    let threads = |threads, processes| Process { threads }.threads_each(processes);
    assert_eq!([threads(0, 1), threads(0, all), threads(0, 2 * all)], [all, 1, 1]);
    assert_eq!([threads(3, 1), threads(3, 2)], [3, 3]);
    let most = load("[process]\nthreads = 1024", &[]).expect("a configuration");
    assert_eq!(most.config.process.threads_each(1), 1_024);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_is_allowed() {
    let wrong_files = [
        "listen = '127.0.0.1:1'",
        "[server\nlisten = 1",
        "[sever]\nlisten = '127.0.0.1:1'",
        "[server]\n\nlissten = '127.0.0.1:1'",
        "[server]\nmax_in_flight = 1",
        "[server]\nlisten = 'localhost:80'",
        "[server]\nplatform_key = 'tk_live_hunter2'",
        "[database]\nurl = 'mysql://root:hunter2@x'",
        "[database]\nurl = ''",
        "[secrets]\nmaster_key = 'hunter2'",
        "[secrets]\nfurther_master_keys = ['hunter2']",
        "[secrets]\nfurther_master_keys = [17]",
        "[egress]\nallow = ['10.0.0.0/8', '10.0.0/8']",
        "[egress]\nports = [70000]",
        "[egress]\nports = [0]",
        "[egress]\nports = ['https']",
        "[egress]\nconnect_timeout_seconds = -1",
        "[dispatch]\nlease_seconds = '30'",
        "[dispatch]\nlease_seconds = 1",
        "[dispatch]\nlease_seconds = 30.5",
        "[dispatch]\nmax_in_flight = -1",
        "[dispatch]\nmax_in_flight = 5000000000",
        "[dispatch]\ndisable_after_seconds = 600",
        "[process]\nthreads = 1025",
        "[process]\nthreads = 70000",
        "server = 1",
        "[telemetry]\nmetrics_listen = '127.0.0.1:8080'",
        "[telemetry]\notlp_endpoint = 'grpc://u:hunter2@x'",
        "[telemetry]\notlp_endpoint = 'http://u:hunter2@x'",
        "[log]\nformat = 'xml'",
        "[log]\nlevel = 'loud'",
    ];
    let wrong_variables = [
        ("TIDINGS__SERVER__LISTN", "127.0.0.1:1"),
        ("TIDINGS_SERVER_LISTEN", "127.0.0.1:1"),
        ("TIDINGS__COLOUR", "red"),
        ("TIDINGS__DISPATCH__LEASE_SECONDS", "soon"),
        ("TIDINGS__RETENTION__DAYS", "0"),
        ("TIDINGS__SECRETS__MASTER_KEY", "hunter2"),
    ];
    let mut told = Vec::new();
    for file in wrong_files {
        let error = load(file, &[]).expect_err(file);
        told.push(format!("{}\n  {error}", file.replace('\n', " ")));
    }
    for (name, value) in wrong_variables {
        let error = load("", &[(name, value)]).expect_err(name);
        told.push(format!("{name}={value}\n  {error}"));
    }
    insta::assert_snapshot!("problems", told.join("\n"));
}

#[test]
fn everything_wrong_is_told_at_once_and_no_secret_with_it() {
    let file = "[log]\nformat = 'xml'\n[secrets]\nmaster_key = 'hunter2'\n[server]\nport = 1\n";
    let error = load(file, &[("TIDINGS__RETENTION__DAYS", "none")]).expect_err("four problems");
    assert_eq!(error.lines().count(), 4, "{error}");
    assert!(!error.contains("hunter2"));
}

#[test]
fn what_depends_on_another_setting_is_judged_beside_it() {
    let rates = |usual, most| {
        format!(
            "[server]\nreplay_rate_per_second = {usual}\nreplay_max_rate_per_second = {most}\n[dispatch]\nlease_seconds = 1"
        )
    };
    let lease = "tidings.toml:5: dispatch.lease_seconds is 1; it must be from 5 to 600";
    let usual = |usual, most| {
        format!(
            "tidings.toml:2 and tidings.toml:3: `server.replay_rate_per_second` is {usual}; it must be from 1 to `server.replay_max_rate_per_second`, which is {most}"
        )
    };
    let most = "tidings.toml:3: `server.replay_max_rate_per_second` is 20000; it must be from 1 to 10000";
    let disabling = "TIDINGS__DISPATCH__FAILING_AFTER_SECONDS and tidings.toml:2: dispatch.disable_after_seconds is 200000; it must be 0, for never, or at least dispatch.failing_after_seconds, which is 300000";
    let failing = ("TIDINGS__DISPATCH__FAILING_AFTER_SECONDS", "300000");
    let endpoint = "tidings.toml:2: `telemetry.otlp_endpoint` must hold no user and no password: credentials go into `telemetry.otlp_headers`";
    for (file, variables, told) in [
        (rates(2_000, 5_000), vec![], lease.to_owned()),
        (rates(6_000, 5_000), vec![], format!("{lease}\n{}", usual(6_000, 5_000))),
        (rates(50, 20), vec![], format!("{lease}\n{}", usual(50, 20))),
        (rates(2_000, 20_000), vec![], format!("{most}\n{lease}")),
        // Each is right alone.
        ("[dispatch]\ndisable_after_seconds = 200000".into(), vec![failing], disabling.into()),
        // It names another setting, and does not depend on it.
        ("[telemetry]\notlp_endpoint = 'http://u:p@x'\notlp_headers = ['a=b']".into(), vec![], endpoint.into()),
    ] {
        assert_eq!(load(&file, &variables).map(drop), Err(told), "{file}");
    }
}

#[test]
fn kubernetes_may_set_its_own_variables() {
    assert!(load("", &[("TIDINGS_SERVICE_HOST", "10.0.0.1"), ("TIDINGS_PORT", "tcp://10.0.0.1:80")]).is_ok());
}

#[test]
fn it_is_shown_as_toml_with_origins_and_without_secrets() {
    let file = "[database]\nurl = 'postgres://tidings:hunter2@db:5432/tidings?sslmode=require'\nconnections = 20";
    let key = "bXkgc2VjcmV0IG1hc3RlciBrZXkgb2YgMzIgYnl0ZXM=";
    let loaded = load(file, &[("TIDINGS__SECRETS__MASTER_KEY", key), ("TIDINGS__EGRESS__ALLOW", "::1")]);
    let shown = loaded.expect("a configuration").to_string();
    assert!(!shown.contains("hunter2") && !shown.contains("bXk"), "{shown}");
    assert!(toml::from_str::<toml::Table>(&shown).is_ok(), "{shown}");
    insta::assert_snapshot!("shown", shown);
}

#[test]
fn of_the_collectors_address_the_query_is_not_shown() {
    for (endpoint, shown) in [
        ("http://collector:4318", "http://collector:4318"),
        ("https://collector/v1/traces?token=hunter2", "https://collector/v1/traces?********"),
        ("https://collector#hunter2?a", "https://collector?********"),
    ] {
        let loaded = load(&format!("[telemetry]\notlp_endpoint = '{endpoint}'"), &[]).expect("a configuration");
        let all = loaded.to_string();
        assert!(all.contains(&format!("otlp_endpoint = \"{shown}\"")) && !all.contains("hunter2"), "{all}");
        assert!(!format!("{loaded:?}").contains("hunter2"), "{loaded:?}");
    }
}

#[test]
fn two_sockets_that_exclude_each_other_are_refused_before_either_is_opened() {
    for (metrics, listen, is_refused) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "0.0.0.0:80", true),
        ("[::]:80", "127.0.0.1:80", true),
        ("10.0.0.1:80", "[::]:80", true),
        ("[::1]:80", "[::]:80", true),
        ("[::]:80", "0.0.0.0:80", true),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ("[::ffff:0.0.0.0]:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "[::1]:80", false),
        ("10.0.0.1:80", "127.0.0.1:80", false),
        ("[fe80::1%1]:80", "[fe80::1%2]:80", false),
        ("0.0.0.0:81", "127.0.0.1:80", false),
        ("0.0.0.0:0", "127.0.0.1:0", false),
        ("127.0.0.1:0", "127.0.0.1:0", false),
    ] {
        let file = format!("[server]\nlisten = '{listen}'\n[telemetry]\nmetrics_listen = '{metrics}'");
        let told = load(&file, &[]).err();
        assert_eq!(told.is_some(), is_refused, "{metrics} {listen} {told:?}");
        let names = ["tidings.toml:2 and tidings.toml:4: ", "`telemetry.metrics_listen`", "`server.listen`"];
        assert!(told.is_none_or(|told| names.iter().all(|name| told.contains(name))), "{metrics} {listen}");
    }
}
