//! A tenant's notes: any JSON object that the database can keep.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// 2^64.
const BEYOND_U64: f64 = 18_446_744_073_709_551_616.0;

/// An object without doubled members (whose second value would silently win), NUL (which `jsonb` cannot hold) and numbers that would come
/// back as others.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Notes(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for Notes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Strict.deserialize(deserializer)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(D::Error::invalid_type(Unexpected::Other("no object"), &"an object")),
        }
    }
}

/// Reads any value, strictly.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // Whole ones below are read as such, to the last digit.
        if value.abs() >= BEYOND_U64 {
            return Err(E::custom("a number of 2^64 or more cannot be kept exactly: write it as a string"));
        }
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        without_nul(text).map(Value::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            without_nul(&name)?;
            if read.contains_key(&name) {
                return Err(A::Error::custom(format_args!("member `{name}` is given twice")));
            }
            let value = members.next_value_seed(Self)?;
            read.insert(name, value);
        }
        Ok(Value::Object(read))
    }
}

fn without_nul<E: Error>(text: &str) -> Result<&str, E> {
    if text.contains('\0') { Err(E::custom("the character U+0000 cannot be kept")) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_object_is_kept_in_its_order() {
        let text = r#"{"b":[1,-2,2.5,null,true,"é",18446744073709551615],"a":{"c":{}}}"#;
        let notes: Notes = serde_json::from_str(text).expect(text);
        assert_eq!(Value::Object(notes.0).to_string(), text);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for text in [
            "[]",
            "1",
            "null",
            r#"{"a":1,"a":2}"#,
            r#"{"x":[{"a":1,"a":2}]}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#"{"a":18446744073709551616}"#,
            r#"{"a":[-123456789012345678901234567890]}"#,
            r#"{"a":1e307}"#,
        ] {
            assert!(serde_json::from_str::<Notes>(text).is_err(), "{text}");
        }
    }
}
