//! An event's data, byte for byte from where it was typed to where it is received.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde_json::value::RawValue;

use crate::cli::Failure;
use crate::cli::operator::given::json;

/// What the argument says, a file has, or standard input brings.
pub(super) fn read(argument: Option<&str>, file: Option<&Path>) -> Result<Box<RawValue>, Failure> {
    let (text, from) = match (argument, file) {
        (_, Some(path)) => (read_file(path)?, path.display().to_string()),
        (Some("-"), None) => (read_input()?, "standard input".to_owned()),
        (argument, None) => (argument.unwrap_or_default().to_owned(), "the data".to_owned()),
    };
    json(text.trim()).map_err(|told| {
        if from == "the data" {
            return Failure::misused(format!("{from}: {told}; a text needs quotes of its own: '\"text\"'"));
        }
        Failure::told(format!("{from}: {told}"))
    })
}

fn read_file(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::told(format!("cannot read {}: {error}", path.display())))
}

fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// A key that nobody else uses: with it, a report whose answer was lost is safely repeated.
pub(super) fn new_key() -> String {
    format!("cli-{}", hex::encode(rand::random::<[u8; 12]>()))
}

/// The body of a report.
pub(super) fn event(event_type: &str, data: &RawValue, key: Option<&String>, occurred_at: Option<&str>) -> String {
    let mut body = format!("{{\"type\":{},\"data\":{}", text(event_type), data.get());
    for (member, value) in [("idempotency_key", key.map(String::as_str)), ("occurred_at", occurred_at)] {
        if let Some(value) = value {
            body = format!("{body},\"{member}\":{}", text(value));
        }
    }
    body + "}"
}

fn text(plain: &str) -> String {
    serde_json::Value::from(plain).to_string()
}

/// A line of a batch, with an idempotency key if it has none.
pub(super) fn keyed(line: &str, key: &str) -> Result<String, serde_json::Error> {
    let members: std::collections::HashMap<String, &RawValue> = serde_json::from_str(line)?;
    if members.contains_key("idempotency_key") {
        return Ok(line.to_owned());
    }
    let inner = line.trim_end().strip_suffix('}').unwrap_or_default();
    let comma = if members.is_empty() { "" } else { "," };
    Ok(format!("{inner}{comma}\"idempotency_key\":{}}}", text(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_out_as_it_was_typed() {
        let data = read(Some(" {\"a\": 1e2, \"a\":\"\\u00e9\"} "), None).expect("JSON");
        let key = "k\"1".to_owned();
        assert_eq!(
            event("a.b", &data, Some(&key), None),
            r#"{"type":"a.b","data":{"a": 1e2, "a":"\u00e9"},"idempotency_key":"k\"1"}"#
        );
        assert!(read(Some("text"), None).is_err() && read(None, Some(Path::new("/does/not/exist"))).is_err());
    }

    #[test]
    fn each_line_has_a_key() {
        for (line, with) in [
            (r#"{"type":"a","data":{}} "#, r#"{"type":"a","data":{},"idempotency_key":"k"}"#),
            (r#"{"data":{"idempotency_key":1}}"#, r#"{"data":{"idempotency_key":1},"idempotency_key":"k"}"#),
            (r#"{"idempotency_key":"own"}"#, r#"{"idempotency_key":"own"}"#),
            ("{}", r#"{"idempotency_key":"k"}"#),
        ] {
            assert_eq!(keyed(line, "k").expect(line), with);
        }
        assert!(keyed("[1]", "k").is_err() && keyed("{", "k").is_err());
    }
}
