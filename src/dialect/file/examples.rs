//! The examples of a dialect's file: what the data of its events looks like, for test deliveries.
//!
//! No delivery depends on them. They stand at the end of the file, so that the text before them is what a revision keeps: an
//! edited example makes no new revision, and a version of Tidings that knows no examples reads it.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::DateTime;
use serde::de::IgnoredAny;

use super::File;
use crate::dialect::body::{Body, Facts};
use crate::dialect::error::DialectError;
use crate::domain::event::is_event_type;

const HEADER: &str = "\n[examples]";

impl File {
    /// The text before the examples; all of it where there are none.
    pub(crate) fn without_examples<'t>(&self, text: &'t str) -> Result<&'t str, DialectError> {
        if self.examples.is_none() {
            return Ok(text);
        }
        let alone = |rest: &str| toml::from_str::<toml::Table>(rest).is_ok_and(|table| table.len() == 1);
        let at = text.rfind(HEADER).filter(|&at| alone(&text[at..]));
        let before = at.map(|at| text[..at].trim_end()).filter(|before| Self::read(before).is_ok());
        let Some(end) = before.map(str::len) else {
            return Err(DialectError::at("examples", "must be a table `[examples]` at the end of the file"));
        };
        Ok(&text[..end + text[end..].find('\n').map_or(0, |line_end| line_end + 1)])
    }

    /// The data of each example, which the body must have a place for.
    pub(crate) fn checked_examples(&self, body: &Body) -> Result<BTreeMap<String, Bytes>, DialectError> {
        let given = self.examples.iter().flatten();
        given.map(|(event_type, text)| Ok((event_type.clone(), self.example(event_type, text, body)?))).collect()
    }

    fn example(&self, event_type: &str, text: &str, body: &Body) -> Result<Bytes, DialectError> {
        let wrong = |problem: String| DialectError::at(format!("examples.\"{event_type}\""), problem);
        match &self.event_types {
            Some(types) if !types.iter().any(|known| known == event_type) => {
                return Err(wrong(format!("must be one of `event_types`: {}", types.join(", "))));
            }
            None if !is_event_type(event_type) => {
                return Err(wrong("must be named by an event type, [A-Za-z0-9_.:-]{1,128}".to_owned()));
            }
            _ => {}
        }
        let data = text.trim_ascii().as_bytes();
        serde_json::from_slice::<IgnoredAny>(data).map_err(|error| wrong(format!("is not JSON: {error}")))?;
        let facts = Facts { id: "", event_type, time: DateTime::UNIX_EPOCH, data, challenge: "" };
        body.render(&facts).map_err(|error| wrong(format!("does not fit into the body: {error}")))?;
        Ok(Bytes::copy_from_slice(data))
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::Profile;

    const STANDARD: &str = include_str!("../../../config/dialects/standard.toml");
    const NUMBER7AI: &str = include_str!("../../../config/dialects/number7ai.toml");

    fn parse(text: &str) -> Result<Profile, String> {
        Profile::parse(text).map_err(|error| error.to_string())
    }

    #[test]
    fn examples_are_kept_apart_from_what_a_revision_is() {
        let text =
            format!("{STANDARD}\n\n[examples] # of mine\n\"a.b\" = ' {{\"n\": 1.50}} '\nc = '''\n[examples]\n'''\n");
        let told = parse(&text).expect_err("a value that looks like the table");
        assert!(told.contains("at the end of the file"), "{told}");
        let text = text.replace("[examples]\n", "[1]\n");
        let profile = parse(&text).expect("a dialect");
        assert_eq!((profile.source(), profile.revision_source()), (&*text, STANDARD));
        assert_eq!(profile.example("a.b").as_deref(), Some(&b"{\"n\": 1.50}"[..]));
        assert_eq!(profile.example("c").as_deref(), Some(&b"[1]"[..]));
        assert_eq!(profile.example("d"), None);
        assert_eq!(parse(STANDARD).expect("a dialect").revision_source(), STANDARD);
        let changed = text.replace("1.50", "2");
        assert_eq!(parse(&changed).expect("a dialect").revision_source(), STANDARD);
    }

    #[test]
    fn a_wrong_example_is_named() {
        let own = NUMBER7AI.split("\n[examples]").next().expect("a text");
        for (base, given, told) in [
            (STANDARD, "'a b' = '1'", "`examples.\"a b\"` must be named by an event type"),
            (STANDARD, "a = '{'", "`examples.\"a\"` is not JSON"),
            (STANDARD, "a = ''", "`examples.\"a\"` is not JSON"),
            (STANDARD, "a = 1", "invalid type"),
            (own, "other = '{}'", "`examples.\"other\"` must be one of `event_types`: job.completed, job.failed"),
            (own, "'job.failed' = '[]'", "`examples.\"job.failed\"` does not fit into the body: `data` is an array"),
            (own, "'job.failed' = '{\"event\":1}'", "has a member `event`"),
            (
                STANDARD,
                "a = '1'\n[registration.aliases]\nb = 'id'",
                "`examples` must be a table `[examples]` at the end",
            ),
        ] {
            let error = parse(&format!("{base}\n[examples]\n{given}\n")).expect_err(given);
            assert!(error.contains(told), "{given}: {error}");
        }
        let error = parse(&format!("examples = {{ a = '1' }}\n{STANDARD}")).expect_err("at the beginning");
        assert!(error.contains("at the end"), "{error}");
    }
}
