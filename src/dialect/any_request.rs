//! Whatever the event, the secrets and the time: a request that a dialect signs is legal HTTP, its receiver finds the
//! signature good, and finds it bad once anything of it was changed.

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Dialects, Keys, Profile, Signed};
use crate::domain::event::Event;
use crate::domain::ids::{EventId, TenantId};
use crate::domain::secret::Secret;

const TOLERANCE: Duration = Duration::from_mins(5);

/// What HTTP lets a value be, and no more than Tidings sends: visible ASCII, spaces inside.
fn is_legal_value(value: &str) -> bool {
    value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) && value.trim() == value
}

fn is_good(profile: &Profile, request: &Signed, keys: &Keys, at: i64) -> bool {
    let header = |name: &str| {
        request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let now = DateTime::from_timestamp(at, 0).expect("a time");
    profile.verify(&header, &request.body, keys, now, TOLERANCE).is_ok()
}

proptest! {
    #[test]
    fn a_signed_request_is_legal_and_verifies_and_a_changed_one_does_not(
        event_type in "[A-Za-z0-9_.:-]{1,128}",
        data in "\\PC{0,40}",
        chances in prop::collection::vec(any::<[u8; 32]>(), 1..5),
        other in any::<[u8; 32]>(),
        id: u128,
        // From 1970 to 9999.
        at in 0_i64..253_402_300_000,
        (place, flip) in (any::<Index>(), 1_u8..=255),
    ) {
        prop_assume!(!chances.contains(&other));
        let data = serde_json::json!({"x": data}).to_string();
        for profile in Dialects::builtin().expect("the built-in dialects").iter() {
            let event = Event {
                tenant_id: TenantId::from_u128(1),
                id: EventId::from_u128(id),
                event_type: event_type.clone(),
                occurred_at: None,
                data: Bytes::from(data.clone()),
            };
            let secrets: Vec<Secret> = chances.iter().map(|chance| profile.new_secret(chance)).collect();
            let token = profile.new_token(&other);
            let keys = |secrets: &[Secret]| profile.keys(secrets, token.as_ref()).expect("keys");
            let body = profile.render_body(&event).expect("a body");
            let request = profile.sign(&event, body, &keys(&secrets), DateTime::from_timestamp(at, 0).expect("a time"));

            for (name, value) in &request.headers {
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{name}");
                prop_assert!(is_legal_value(value), "{name}: {value:?}");
            }
            for (age, secret) in secrets.iter().enumerate() {
                let signs = age == 0 || profile.signs_side_by_side();
                let alone = keys(std::slice::from_ref(secret));
                prop_assert_eq!(is_good(profile, &request, &alone, at), signs, "{} {}", profile.name(), age);
            }
            let stranger = keys(&[profile.new_secret(&other)]);
            prop_assert!(!is_good(profile, &request, &stranger, at), "{}", profile.name());
            let mut changed = request.body.to_vec();
            let at_byte = place.index(changed.len());
            changed[at_byte] ^= flip;
            let changed = Signed { body: changed.into(), ..request };
            prop_assert!(!is_good(profile, &changed, &keys(&secrets), at), "{}", profile.name());
        }
    }

    #[test]
    fn no_header_and_no_body_makes_a_receiver_panic(value in "\\PC{0,60}", body in any::<Vec<u8>>(), at in 0_i64..9_999_999_999) {
        for profile in Dialects::builtin().expect("the built-in dialects").iter() {
            let token = profile.new_token(&[2; 32]);
            let keys = profile.keys(&[profile.new_secret(&[1; 32])], token.as_ref()).expect("keys");
            let now = DateTime::from_timestamp(at, 0).expect("a time");
            let header = |_: &str| Some(value.clone());
            prop_assert!(profile.verify(&header, &body, &keys, now, TOLERANCE).is_err());
            let _ = profile.glance(&header, &body);
        }
    }
}
