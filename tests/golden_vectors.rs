//! Golden vectors: for a fixed event, secret and time, the exact request of each dialect.
//!
//! `tests/golden/<dialect>/<case>.json` says what is sent; beside it lies the request (`<case>.http`: headers, an empty
//! line, the body without a line end), or why there is none (`<case>.unrenderable.txt`). A new case is a new `.json` file
//! and one run with `UPDATE_GOLDEN=1`. The programs in `tests/receivers/` check the same files and know nothing of
//! this code.

#![cfg(test)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidings::dialect::{Dialects, Keys, Profile, Signed, Subject, Unrenderable};
use tidings::domain::event::Event;
use tidings::domain::ids::{EventId, TenantId};
use tidings::domain::secret::Secret;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    secrets: Vec<String>,
    token: Option<String>,
    attempted_at: DateTime<Utc>,
    event: Option<CaseEvent>,
    challenge: Option<CaseChallenge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseEvent {
    id: EventId,
    #[serde(rename = "type")]
    event_type: String,
    occurred_at: Option<DateTime<Utc>>,
    data: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseChallenge {
    id: EventId,
    value: String,
}

impl Case {
    fn keys(&self, profile: &Profile) -> Keys {
        let secrets: Vec<Secret> = self.secrets.iter().map(|secret| secret.as_str().into()).collect();
        let token = self.token.as_deref().map(Secret::from);
        profile.keys(&secrets, token.as_ref()).expect("keys")
    }

    fn event(&self) -> Event {
        let event = self.event.as_ref().expect("an event or a challenge");
        Event {
            tenant_id: TenantId::from_u128(1),
            id: event.id,
            event_type: event.event_type.clone(),
            occurred_at: event.occurred_at,
            data: Bytes::copy_from_slice(event.data.get().as_bytes()),
        }
    }

    fn sign(&self, profile: &Profile) -> Result<Signed, Unrenderable> {
        let keys = self.keys(profile);
        if let Some(CaseChallenge { id, value }) = &self.challenge {
            let challenge = profile.challenge().expect("a challenge");
            let body = challenge.render(*id, value);
            return Ok(profile.sign(challenge.subject(*id), body, &keys, self.attempted_at));
        }
        let event = self.event();
        let body = profile.render_body(&event)?;
        Ok(profile.sign(Subject::from(&event), body, &keys, self.attempted_at))
    }
}

/// The dialect, the file and the content of every case.
fn cases() -> Vec<(String, PathBuf, Case)> {
    let mut cases = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for folder in fs::read_dir(root).expect("tests/golden").map(|entry| entry.expect("an entry").path()) {
        let Ok(files) = fs::read_dir(&folder) else { continue };
        let dialect = folder.file_name().expect("a name").to_string_lossy();
        for path in files.map(|entry| entry.expect("an entry").path()) {
            if path.extension().is_some_and(|extension| extension == "json") {
                let text = fs::read_to_string(&path).expect("readable");
                let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                cases.push((dialect.to_string(), path, case));
            }
        }
    }
    cases
}

/// The request as its file has it.
fn as_text(signed: &Signed) -> String {
    let mut text = String::new();
    for (name, value) in &signed.headers {
        writeln!(text, "{name}: {value}").expect("written");
    }
    text.push('\n');
    text.push_str(std::str::from_utf8(&signed.body).expect("text"));
    text
}

#[test]
fn each_request_is_byte_for_byte_the_golden_one() {
    let dialects = Dialects::builtin().expect("the built-in dialects");
    let cases = cases();
    for profile in dialects.iter() {
        assert!(cases.iter().any(|(dialect, ..)| dialect == profile.name()), "no vector of {}", profile.name());
    }
    for (dialect, path, case) in cases {
        let profile = dialects.get(&dialect).expect("a dialect named like the folder");
        let (text, extension) = match case.sign(profile) {
            Ok(signed) => (as_text(&signed), "http"),
            Err(error) => (format!("{error}\n"), "unrenderable.txt"),
        };
        let golden = path.with_extension(extension);
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &text).expect("written");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
        assert_eq!(text, expected, "{}", golden.display());
    }
}

#[test]
fn each_golden_request_verifies() {
    let dialects = Dialects::builtin().expect("the built-in dialects");
    for (dialect, path, case) in cases() {
        let profile = dialects.get(&dialect).expect("a dialect named like the folder");
        let Ok(signed) = case.sign(profile) else { continue };
        let header = |name: &str| {
            signed.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        let keys = case.keys(profile);
        let verified = profile.verify(&header, &signed.body, &keys, case.attempted_at, Duration::from_mins(5));
        assert_eq!(verified, Ok(()), "{}", path.display());
    }
}

/// The official library refuses old timestamps by its own clock, so the request is signed now.
#[test]
fn the_official_library_verifies_what_standard_signs() {
    let dialects = Dialects::builtin().expect("the built-in dialects");
    let standard = dialects.get("standard").expect("standard");
    let [new, old] = [[1; 32], [2; 32]].map(|random| standard.new_secret(&random));
    let keys = standard.keys(&[new.clone(), old.clone()], None).expect("keys");
    let (_, _, case) = cases().into_iter().find(|(dialect, ..)| dialect == "standard").expect("a vector");
    let event = case.event();
    let body = standard.render_body(&event).expect("a body");
    #[expect(clippy::disallowed_methods, reason = "the official library reads the system's clock itself")]
    let now = Utc::now();
    let signed = standard.sign(&event, body, &keys, now);
    let mut headers = HeaderMap::new();
    for (name, value) in &signed.headers {
        let name: HeaderName = name.parse().expect("a header name");
        headers.insert(name, value.parse().expect("a header value"));
    }
    for secret in [&new, &old] {
        let official = standardwebhooks::Webhook::new(secret.expose_secret()).expect("a secret");
        official.verify(&signed.body, &headers).expect("verified");
        official.verify(b"{}", &headers).expect_err("another body");
    }
}
