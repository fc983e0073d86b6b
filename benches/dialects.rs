//! From an event to the bytes of a request, and back to whether it is genuine.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use tidings::dialect::{Dialects, Keys, Profile, Signed};
use tidings::domain::secret::Secret;

use crate::samples::{DIALECTS, SIZES, event};

fn profile(name: &str) -> Arc<Profile> {
    Arc::clone(Dialects::builtin().expect("the built-in dialects").get(name).expect(name))
}

fn secrets(profile: &Profile, count: u8) -> Vec<Secret> {
    (1..=count).map(|number| profile.new_secret(&[number; 32])).collect()
}

fn keys(profile: &Profile, count: u8) -> Keys {
    profile.keys(&secrets(profile, count), profile.new_token(&[9; 32]).as_ref()).expect("keys")
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_774_103_056_250).expect("a time")
}

/// Once for a delivery.
#[divan::bench(args = DIALECTS, consts = SIZES)]
fn render<const KIB: usize>(bencher: Bencher, dialect: &str) {
    let (profile, event) = (profile(dialect), event(KIB));
    bencher.counter(BytesCount::from(event.data.len())).bench(|| profile.render_body(black_box(&event)));
}

/// Afresh for each attempt, headers included.
#[divan::bench(args = DIALECTS, consts = SIZES)]
fn sign<const KIB: usize>(bencher: Bencher, dialect: &str) {
    sign_with(bencher, dialect, KIB, 1);
}

/// While a secret is being rotated.
#[divan::bench(args = ["standard", "numora"])]
fn sign_with_two_secrets(bencher: Bencher, dialect: &str) {
    sign_with(bencher, dialect, 1, 2);
}

fn sign_with(bencher: Bencher, dialect: &str, kibibytes: usize, secrets: u8) {
    let (profile, event) = (profile(dialect), event(kibibytes));
    let (keys, body) = (keys(&profile, secrets), profile.render_body(&event).expect("a body"));
    bencher
        .counter(BytesCount::from(body.len()))
        .bench(|| profile.sign(black_box(&event), body.clone(), black_box(&keys), now()));
}

/// Once for a webhook, until its secrets change.
#[divan::bench(args = DIALECTS)]
fn prepare_key(bencher: Bencher, dialect: &str) {
    let profile = profile(dialect);
    let (secrets, token) = (secrets(&profile, 1), profile.new_token(&[9; 32]));
    bencher.bench(|| profile.keys(black_box(&secrets), token.as_ref()));
}

/// What a receiver does: `tidings listen`, and `tidings dev`'s.
#[divan::bench(args = DIALECTS)]
fn verify(bencher: Bencher, dialect: &str) {
    let (profile, event) = (profile(dialect), event(1));
    let keys = keys(&profile, 1);
    let Signed { headers, body } = profile.sign(&event, profile.render_body(&event).expect("a body"), &keys, now());
    let header = move |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let check = move || profile.verify(&header, black_box(&body), &keys, now(), Duration::from_mins(5));
    check().expect("a genuine request");
    bencher.bench(check);
}
