//! Bodies: a JSON template compiled once to a few pieces, then written without a JSON tree.

mod compile;

pub(crate) use self::compile::check_names;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;

use super::splice::{self, Unrenderable};
use super::stamp::TimeFormat;
use super::template::Slots;

/// What a placeholder in a body stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodySlot {
    Id,
    Type,
    OccurredAt,
    Data,
    Challenge,
}

/// Placeholders of the body of an event.
pub(crate) const EVENT_SLOTS: &Slots<BodySlot> =
    &[("id", BodySlot::Id), ("type", BodySlot::Type), ("occurred_at", BodySlot::OccurredAt), ("data", BodySlot::Data)];

/// Placeholders of the body of a challenge.
pub(crate) const CHALLENGE_SLOTS: &Slots<BodySlot> = &[
    ("id", BodySlot::Id),
    ("type", BodySlot::Type),
    ("occurred_at", BodySlot::OccurredAt),
    ("challenge", BodySlot::Challenge),
];

#[derive(Debug, Clone)]
enum Piece {
    /// JSON text that is the same in each body.
    Text(String),
    /// A value inside a JSON string.
    Slot(BodySlot),
    /// A time as a JSON number.
    Number,
    /// The data, as a JSON value of its own.
    Value,
    /// The members of the data, with a comma where they have neighbours.
    Members { comma_before: bool, comma_after: bool },
}

/// A compiled body.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pieces: Vec<Piece>,
    time_format: TimeFormat,
    /// Names that stand beside the members of the data, and that those may not have. `None` where data is a value of its own.
    flat: Option<Vec<Box<str>>>,
    /// Where placeholders are alone in a string, as [JSON pointers](https://www.rfc-editor.org/rfc/rfc6901).
    places: Vec<(BodySlot, String)>,
}

/// What a body is written from.
pub(crate) struct Facts<'a> {
    pub(crate) id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) time: DateTime<Utc>,
    pub(crate) data: &'a [u8],
    pub(crate) challenge: &'a str,
}

impl Body {
    /// How often the data stands in it.
    pub(crate) fn data_count(&self) -> usize {
        self.pieces.iter().filter(|piece| matches!(piece, Piece::Value | Piece::Members { .. })).count()
    }

    /// The JSON pointer to the string that is nothing but this placeholder.
    pub(crate) fn pointer(&self, slot: BodySlot) -> Option<&str> {
        self.places.iter().find(|(found, _)| *found == slot).map(|(_, pointer)| pointer.as_str())
    }

    /// The string that a body has in place of this placeholder. Nothing else of the body has to be what a parser can hold: data may be any
    /// JSON, numbers beyond all limits and halves of surrogate pairs included.
    pub(crate) fn string_in(&self, body: &[u8], slot: BodySlot) -> Option<String> {
        let mut value: &RawValue = serde_json::from_slice(body).ok()?;
        for name in self.pointer(slot)?.split('/').skip(1) {
            let name = name.replace("~1", "/").replace("~0", "~");
            let member =
                serde_json::from_str::<HashMap<String, &RawValue>>(value.get()).map(|mut all| all.remove(&name));
            let entry =
                || serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(name.parse::<usize>().ok()?).copied();
            value = member.unwrap_or_else(|_| entry())?;
        }
        serde_json::from_str(value.get()).ok()
    }

    /// Writes the body.
    pub(crate) fn render(&self, facts: &Facts<'_>) -> Result<Vec<u8>, Unrenderable> {
        let data = match &self.flat {
            Some(own) => splice::members(facts.data, own)?,
            None => facts.data,
        };
        Ok(self.write(facts, data))
    }

    /// Writes the body with data that is known to fit.
    pub(crate) fn write(&self, facts: &Facts<'_>, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + facts.event_type.len() + facts.challenge.len() + data.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Slot(BodySlot::Id) => push_escaped(&mut out, facts.id),
                Piece::Slot(BodySlot::Type) => push_escaped(&mut out, facts.event_type),
                Piece::Slot(BodySlot::Challenge) => push_escaped(&mut out, facts.challenge),
                Piece::Slot(BodySlot::OccurredAt) | Piece::Number => {
                    out.extend_from_slice(self.time_format.write(facts.time).as_bytes());
                }
                Piece::Value | Piece::Slot(BodySlot::Data) => out.extend_from_slice(data),
                Piece::Members { .. } if data.is_empty() => {}
                Piece::Members { comma_before, comma_after } => {
                    out.extend_from_slice(if *comma_before { b"," } else { b"" });
                    out.extend_from_slice(data);
                    out.extend_from_slice(if *comma_after { b"," } else { b"" });
                }
            }
        }
        out
    }
}

/// Appends a text as it stands inside a JSON string.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(text.as_bytes());
    } else {
        let quoted = serde_json::Value::from(text).to_string();
        out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(template: &str, format: TimeFormat, data: &str) -> String {
        let body = Body::compile(template, format, EVENT_SLOTS).expect("a template");
        let facts =
            Facts { id: "evt_1", event_type: "a\"b", time: DateTime::UNIX_EPOCH, data: data.as_bytes(), challenge: "" };
        String::from_utf8(body.render(&facts).expect("rendered")).expect("text")
    }

    #[test]
    fn an_envelope_is_compact_and_keeps_order_and_data() {
        let template =
            r#" { "z" : "{id}", "a" : [ 1.0, "x {type}" , null ], "data": "{data}", "t\n": "{occurred_at}" } "#;
        assert_eq!(
            render(template, TimeFormat::Rfc3339Seconds, "{ \"n\": 1e2 }"),
            r#"{"z":"evt_1","a":[1.0,"x a\"b",null],"data":{ "n": 1e2 },"t\n":"1970-01-01T00:00:00Z"}"#
        );
    }

    #[test]
    fn members_are_spliced_without_a_stray_comma_wherever_they_stand() {
        let flat = |template: &str, data: &str| render(template, TimeFormat::default(), data);
        for (template, full, empty) in [
            (r#"{"a":1,"...":"{data}","b":2}"#, r#"{"a":1,"x":0,"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"...":"{data}","a":1,"b":2}"#, r#"{"x":0,"a":1,"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"...":"{data}"}"#, r#"{"a":1,"x":0}"#, r#"{"a":1}"#),
            (r#"{"...":"{data}"}"#, r#"{"x":0}"#, "{}"),
        ] {
            assert_eq!(flat(template, r#"{"x":0}"#), full);
            assert_eq!(flat(template, "{ }"), empty);
        }
    }

    #[test]
    fn unix_seconds_alone_are_a_number() {
        let template = r#"{"t":"{occurred_at}","s":"at {occurred_at}","d":"{data}"}"#;
        assert_eq!(render(template, TimeFormat::UnixSeconds, "1"), r#"{"t":0,"s":"at 0","d":1}"#);
    }

    /// Some JSON text, with white space of its own.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            any::<f64>()
                .prop_filter("JSON has no such number", |number| number.is_finite())
                .prop_map(|n| format!("{n:e}")),
            any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
            Just(" null".to_owned()),
            Just("\"\\ud800\"".to_owned()),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let members = prop::collection::vec(("[a-z\"\\\\]{0,3}", inner.clone()), 0..4);
            let object = members.prop_map(|members| {
                let member = |(name, value): (String, String)| format!("{} :{value}", serde_json::Value::from(name));
                format!("{{{} }}", members.into_iter().map(member).collect::<Vec<_>>().join(", "))
            });
            prop_oneof![
                object,
                prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}\t]", values.join(",")))
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_the_data_the_body_is_json_and_has_it_byte_for_byte(data in json()) {
            for template in [r#"{"I":1,"D":"{data}"}"#, r#"{"I":1,"...":"{data}","O":[]}"#, r#"{"...":"{data}","O":0}"#] {
                let body = Body::compile(template, TimeFormat::default(), EVENT_SLOTS).expect("a template");
                let facts = Facts { id: "", event_type: "", time: DateTime::UNIX_EPOCH, data: data.as_bytes(), challenge: "" };
                let Ok(rendered) = body.render(&facts) else {
                    let is_flat = template.contains("...");
                    prop_assert!(is_flat && data.as_bytes()[0] != b'{', "{data}");
                    continue;
                };
                let text = String::from_utf8(rendered).expect("text");
                serde_json::from_str::<serde::de::IgnoredAny>(&text).expect("JSON");
                let is_empty = data.trim_matches(['{', '}', ' ']).is_empty();
                let kept = if template.contains("...") { &data[1..data.len() - 1] } else { &data };
                prop_assert!(is_empty || text.contains(kept), "{text}");
            }
        }
    }
}
