//! Whatever bytes come in as an event: an answer of the right class, and of what is accepted, `data` byte for byte.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::*;
use crate::dialect::Dialects;

/// Some JSON, spelled in ways that a careless program would tidy up.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| Value::from(text).to_string()),
        prop::sample::select(vec![
            "null",
            " true",
            "false\n",
            r#""\u0000""#,
            r#""\ud800""#,
            r#""\/\u00E9""#,
            "\"\u{2028}\"",
            "-0",
            "[ ]",
            "{\t}",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        let named = ("\"[a-z ]{0,3}\"", inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
        prop_oneof![
            prop::collection::vec(named, 0..4).prop_map(|members| format!("{{{}}}", members.join(" ,"))),
            prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(", "))),
        ]
    })
}

/// What stands around the data, and the order of it.
fn event() -> impl Strategy<Value = (String, String)> {
    let members = (
        json(),
        "[A-Za-z0-9_.:-]{0,12}|\\PC{0,4}",
        prop::option::of("[!-~]{0,9}|\\PC{0,3}"),
        prop::option::of(
            "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|[+-]0[0-9]:00)",
        ),
        any::<bool>(),
    );
    members.prop_map(|(data, event_type, key, time, data_first)| {
        let mut parts = vec![format!("\"type\": {}", Value::from(event_type))];
        parts.insert(usize::from(!data_first), format!("\"data\" :{data}"));
        parts.extend(key.map(|key| format!("\"idempotency_key\":{}", Value::from(key))));
        parts.extend(time.map(|time| format!("\"occurred_at\":\"{time}\"")));
        (format!("{{{}}}", parts.join(",\n")), data)
    })
}

const WIDE: Intake<fn() -> EventId> =
    Intake { tenant_id: TenantId::from_u128(1), max_event_bytes: 1 << 20, new_id: || EventId::from_u128(1 << 30) };

fn submit(body: &[u8]) -> Submission {
    Submission { key_of_header: None, trace: None, body: Bytes::copy_from_slice(body) }
}

/// The class is right, and what was accepted is what was sent, as an independent reader sees it.
fn judge(body: &[u8]) -> Result<(), TestCaseError> {
    match WIDE.one(&submit(body)) {
        Err(problem) => {
            let status = problem.told()["status"].as_u64();
            prop_assert!([Some(400), Some(422)].contains(&status), "{status:?}");
        }
        Ok(new) => {
            // Numbers beyond `f64` are JSON, too: so members are read as texts.
            let read: BTreeMap<String, &RawValue> = serde_json::from_slice(body).expect("accepted, so JSON");
            let text =
                |name| read.get(name).and_then(|raw| serde_json::from_str::<Option<String>>(raw.get()).ok()).flatten();
            prop_assert_eq!(Some(new.event.event_type.clone()), text("type"));
            prop_assert_eq!(&new.idempotency_key, &text("idempotency_key"));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
            prop_assert!((1..=128).contains(&new.event.event_type.len()) && new.event.event_type.bytes().all(is_plain));
            prop_assert_eq!(&new.event.data, read["data"].get());
        }
    }
    let _ = WIDE.batch(&submit(body));
    let batch = [b"{\"events\":[", body, b"]}"].concat();
    let _ = WIDE.batch(&submit(&batch));
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_accepted_as_they_are_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        judge(&bytes)?;
    }

    #[test]
    fn a_body_in_which_something_was_changed_is_accepted_as_it_is_or_refused(
        (body, _) in event(),
        changes in prop::collection::vec((any::<Index>(), prop::collection::vec(any::<u8>(), 0..4), 0_usize..4), 0..4),
    ) {
        let mut body = body.into_bytes();
        for (place, bytes, removed) in changes {
            let at = place.index(body.len() + 1);
            let end = (at + removed).min(body.len());
            body.splice(at..end, bytes);
        }
        judge(&body)?;
    }

    #[test]
    fn data_reaches_every_kind_of_body_byte_for_byte((body, data) in event()) {
        let Ok(new) = WIDE.one(&submit(body.as_bytes())) else { return Ok(()) };
        prop_assert_eq!(&new.event.data, data.trim_matches([' ', '\n', '\t']));
        for profile in Dialects::builtin().expect("the built-in dialects").iter() {
            let Ok(rendered) = profile.render_body(&new.event) else {
                // A flat body has no place for it, and says so.
                prop_assert!(!["standard", "numora", "docintell"].contains(&profile.name()));
                continue;
            };
            let text = std::str::from_utf8(&rendered).expect("UTF-8");
            serde_json::from_str::<serde::de::IgnoredAny>(text).expect("JSON");
            let data = std::str::from_utf8(&new.event.data).expect("UTF-8");
            let is_flat = !["standard", "numora", "docintell"].contains(&profile.name());
            // Of an object without members, a flat body has nothing.
            let kept = if is_flat { &data[1..data.len() - 1] } else { data };
            prop_assert!(text.contains(kept) || is_flat && kept.trim().is_empty(), "{}: {text}", profile.name());
        }
    }

    #[test]
    fn depth_is_bounded_wherever_it_is(depth in 1_usize..200, in_batch: bool, as_object: bool) {
        let (open, close) = if as_object { ("{\"a\":", "}") } else { ("[", "]") };
        let data = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let event = format!(r#"{{"type":"a","data":{data}}}"#);
        let accepted = if in_batch {
            WIDE.batch(&submit(format!(r#"{{"events":[{event}]}}"#).as_bytes())).is_ok()
        } else {
            WIDE.one(&submit(event.as_bytes())).is_ok()
        };
        prop_assert_eq!(accepted, depth <= MAX_DEPTH);
    }
}
