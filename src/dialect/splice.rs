//! An event's data inside a flat body: its members, byte for byte, beside the dialect's own.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Why a dialect has no place for an event's data. The delivery ends as a dead letter with this text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrenderable {
    /// A flat body has room for the members of an object only.
    #[error("`data` is {found}, but this dialect puts the members of `data` into the body: it must be an object")]
    NotAnObject {
        /// What the data is instead, with its article.
        found: &'static str,
    },
    /// A member would stand twice in the same object.
    #[error("`data` has a member `{member}`, which this dialect sets itself in the same object")]
    Collision {
        /// The member's name, escapes undone.
        member: String,
    },
}

/// The bytes between the braces of `data`, or none if it has no members. `own` are the names that may not be among
/// them. A name that `data` has twice passes: that is its reporter's affair.
pub(super) fn members<'d>(data: &'d [u8], own: &[Box<str>]) -> Result<&'d [u8], Unrenderable> {
    let data = data.trim_ascii();
    let inner = data.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    let Some(inner) = inner else { return Err(Unrenderable::NotAnObject { found: kind(data) }) };
    let mut json = serde_json::Deserializer::from_slice(data);
    let scanned = json.deserialize_map(Names(own)).and_then(|scan| json.end().map(|()| scan));
    match scanned.map_err(|_| Unrenderable::NotAnObject { found: "not JSON" })? {
        Scan { taken: Some(index), .. } => Err(Unrenderable::Collision { member: own[index].to_string() }),
        Scan { empty: true, .. } => Ok(&[]),
        Scan { .. } => Ok(inner),
    }
}

fn kind(data: &[u8]) -> &'static str {
    match data.first() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => "not JSON",
    }
}

/// What a look at the names in an object found.
struct Scan {
    empty: bool,
    /// Which of the dialect's own names is among them.
    taken: Option<usize>,
}

/// Looks at each name in an object and skips the values.
struct Names<'o>(&'o [Box<str>]);

impl<'de> Visitor<'de> for Names<'_> {
    type Value = Scan;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scan, A::Error> {
        let mut scan = Scan { empty: true, taken: None };
        while let Some(taken) = map.next_key_seed(Name(self.0))? {
            map.next_value::<IgnoredAny>()?;
            scan = Scan { empty: false, taken: scan.taken.or(taken) };
        }
        Ok(scan)
    }
}

/// One name, compared after its escapes are undone. It is read as bytes, because a lone surrogate (`"\ud800"`) is legal
/// JSON and no text.
struct Name<'o>(&'o [Box<str>]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|own| own.as_bytes() == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(data: &str) -> Result<String, Unrenderable> {
        let own = ["status".into(), "at".into()];
        members(data.as_bytes(), &own).map(|inner| String::from_utf8(inner.to_vec()).expect("text"))
    }

    #[test]
    fn members_pass_byte_for_byte() {
        for inner in [r#""b":1e2, "a" : [1.0,"\u00e9"] "#, r#" "a":1,"a":2"#, r#""\ud800":{"status":1}"#] {
            assert_eq!(splice(&format!("{{{inner}}}")).as_deref(), Ok(inner));
        }
        for empty in ["{}", "{ \n}", " {} "] {
            assert_eq!(splice(empty).as_deref(), Ok(""), "{empty}");
        }
    }

    #[test]
    fn a_collision_is_found_under_any_spelling_and_named() {
        for data in [r#"{"status":1}"#, r#"{"a":1,"st\u0061tus":2}"#] {
            let error = splice(data).expect_err(data);
            assert_eq!(error, Unrenderable::Collision { member: "status".into() });
            assert!(error.to_string().contains("`status`"));
        }
        assert!(splice(r#"{"Status":1}"#).is_ok(), "names are case-sensitive");
    }

    #[test]
    fn only_an_object_is_flat() {
        for (data, found) in [("[1]", "an array"), ("null", "null"), ("-1", "a number"), ("\"{}\"", "a string")] {
            assert_eq!(splice(data), Err(Unrenderable::NotAnObject { found }), "{data}");
        }
        for broken in ["{]}", "{", "{},{}", "", "{\"a\"}", "true}"] {
            assert!(splice(broken).is_err(), "{broken}");
        }
    }
}
