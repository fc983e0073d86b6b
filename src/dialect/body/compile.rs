//! From a JSON template to the pieces of a body.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Body, BodySlot, Piece, push_escaped};
use crate::dialect::stamp::TimeFormat;
use crate::dialect::template::{self, Slots, Template};
use crate::domain::pointer::escape;

/// The member name that stands for all members of the data.
const SPREAD: &str = "...";

impl Body {
    /// Compiles a template.
    pub(crate) fn compile(
        json: &str,
        time_format: TimeFormat,
        slots: &'static Slots<BodySlot>,
    ) -> Result<Self, String> {
        let root: &RawValue = serde_json::from_str(json).map_err(|error| format!("is not JSON: {error}"))?;
        let body = Self { pieces: Vec::new(), time_format, flat: None, places: Vec::new() };
        let mut compiler = Compiler { body, slots };
        compiler.value(root, "")?;
        Ok(compiler.body)
    }
}

struct Compiler {
    body: Body,
    slots: &'static Slots<BodySlot>,
}

impl Compiler {
    fn value(&mut self, raw: &RawValue, pointer: &str) -> Result<(), String> {
        match raw.get().as_bytes().first() {
            Some(b'{') => self.object(raw, pointer),
            Some(b'[') => self.array(raw, pointer),
            Some(b'"') => self.string(raw, pointer),
            _ => {
                self.text(raw.get());
                Ok(())
            }
        }
    }

    fn object(&mut self, raw: &RawValue, pointer: &str) -> Result<(), String> {
        let Members(members) = read(raw)?;
        let is_spread = |(name, _): &(String, &RawValue)| name == SPREAD;
        self.text("{");
        for (index, (name, value)) in members.iter().enumerate() {
            if members[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(format!("has the member `{name}` twice in one object"));
            }
            if name == SPREAD {
                let own = members.iter().filter(|member| !is_spread(member)).map(|(name, _)| name.as_str().into());
                self.spread(value, own.collect(), index > 0, index == 0 && members.len() > 1)?;
                continue;
            }
            // After a leading spread, the comma is the spread's, because it may turn out empty.
            let follows_leading_spread = index == 1 && members.first().is_some_and(is_spread);
            self.text(if index == 0 || follows_leading_spread { "" } else { "," });
            self.text(&format!("{}:", serde_json::Value::from(name.as_str())));
            self.value(value, &format!("{pointer}/{}", escape(name)))?;
        }
        self.text("}");
        Ok(())
    }

    fn spread(&mut self, raw: &RawValue, own: Vec<Box<str>>, before: bool, after: bool) -> Result<(), String> {
        if read::<String>(raw)? != "{data}" {
            return Err(format!("must have `\"{SPREAD}\": \"{{data}}\"` wherever it has `\"{SPREAD}\"`"));
        }
        template::Template::parse("{data}", self.slots)?;
        self.body.pieces.push(Piece::Members { comma_before: before, comma_after: after });
        self.body.flat = Some(own);
        Ok(())
    }

    fn array(&mut self, raw: &RawValue, pointer: &str) -> Result<(), String> {
        self.text("[");
        for (index, value) in read::<Vec<&RawValue>>(raw)?.into_iter().enumerate() {
            self.text(if index == 0 { "" } else { "," });
            self.value(value, &format!("{pointer}/{index}"))?;
        }
        self.text("]");
        Ok(())
    }

    fn string(&mut self, raw: &RawValue, pointer: &str) -> Result<(), String> {
        let text = Template::parse(&read::<String>(raw)?, self.slots)?;
        if let [template::Piece::Slot(slot)] = text.pieces() {
            self.body.places.push((*slot, pointer.to_owned()));
            match slot {
                BodySlot::Data => {
                    self.body.pieces.push(Piece::Value);
                    return Ok(());
                }
                BodySlot::OccurredAt if self.body.time_format == TimeFormat::UnixSeconds => {
                    self.body.pieces.push(Piece::Number);
                    return Ok(());
                }
                _ => {}
            }
        }
        if text.uses(BodySlot::Data) {
            return Err("must have `{data}` alone in its string: it stands for a whole JSON value".to_owned());
        }
        self.text("\"");
        for piece in text.pieces() {
            match piece {
                template::Piece::Text(text) => {
                    let mut escaped = Vec::new();
                    push_escaped(&mut escaped, text);
                    self.text(&String::from_utf8_lossy(&escaped));
                }
                template::Piece::Slot(slot) => self.body.pieces.push(Piece::Slot(*slot)),
            }
        }
        self.text("\"");
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(Piece::Text(last)) = self.body.pieces.last_mut() {
            last.push_str(text);
        } else if !text.is_empty() {
            self.body.pieces.push(Piece::Text(text.to_owned()));
        }
    }
}

/// Refuses a placeholder in the name of a member, where nothing would be put in its place.
pub(crate) fn check_names(json: &str) -> Result<(), String> {
    let values = match json.trim_ascii_start().as_bytes().first() {
        Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default(),
        Some(b'{') => {
            let Members(members) = serde_json::from_str(json).map_err(|error| format!("is not JSON: {error}"))?;
            if let Some((name, _)) = members.iter().find(|(name, _)| name.contains('{')) {
                return Err(format!("has a member named `{name}`: placeholders stand in values, and in no name"));
            }
            members.into_iter().map(|(_, value)| value).collect()
        }
        _ => Vec::new(),
    };
    values.into_iter().try_for_each(|value| check_names(value.get()))
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| format!("is not JSON: {error}"))
}

/// The members of an object in their order, which a map would lose along with duplicates.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CHALLENGE_SLOTS, EVENT_SLOTS};
    use super::*;

    #[test]
    fn a_wrong_template_is_refused_with_the_reason() {
        for (template, reason) in [
            ("{", "not JSON"),
            (r#"{"a":1,"a":2}"#, "`a` twice"),
            (r#"{"a":"x{data}"}"#, "alone"),
            (r#"{"a":"{when}"}"#, "{occurred_at}"),
            (r#"{"...":"{id}"}"#, "wherever"),
        ] {
            let error = Body::compile(template, TimeFormat::default(), EVENT_SLOTS).expect_err(template);
            assert!(error.contains(reason), "{template}: {error}");
        }
        let spread = Body::compile(r#"{"...":"{data}"}"#, TimeFormat::default(), CHALLENGE_SLOTS);
        assert!(spread.expect_err("a challenge has no data").contains("{challenge}"));
    }
}
