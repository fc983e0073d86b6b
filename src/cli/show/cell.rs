//! One value as people read it.

use chrono::{DateTime, Utc};
use comfy_table::Color;
use serde_json::Value;

use crate::cli::layout::harmless;

/// Where there is nothing.
const NOTHING: &str = "-";

/// What a value means for whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    Plain,
    Good,
    Bad,
    Waiting,
    Aside,
}

/// A text with its tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Cell {
    pub(in crate::cli) text: String,
    pub(in crate::cli) tone: Tone,
}

impl Cell {
    pub(in crate::cli) fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text: String = text.into();
        if text.is_empty() { Self { text: NOTHING.to_owned(), tone: Tone::Aside } } else { Self { text, tone } }
    }

    pub(in crate::cli) fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.text == NOTHING
    }

    /// Whatever a member is, on one line.
    pub(in crate::cli) fn of(value: &Value) -> Self {
        let text = match value {
            Value::Null => String::new(),
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::String(text) => harmless(text).replace('\n', "\\n"),
            Value::Array(items) => items.iter().map(|item| Self::of(item).text).collect::<Vec<_>>().join(", "),
            Value::Object(members) if members.is_empty() => String::new(),
            other => harmless(&other.to_string()),
        };
        Self::plain(text)
    }

    /// A time, in UTC, to the second.
    pub(in crate::cli) fn time(value: &Value) -> Self {
        let time = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        Self::plain(time.map(|time| at(time.to_utc())).unwrap_or_default())
    }

    /// A state or an outcome, by the words of the API.
    pub(in crate::cli) fn word(value: &Value) -> Self {
        let text = Self::of(value).text;
        let tone = match text.as_str() {
            "active" | "delivered" | "success" | "completed" | "done" | "finished" => Tone::Good,
            "disabled" | "dead" | "failed" | "http_status" | "timeout" | "connect" | "dns" | "tls" | "protocol"
            | "blocked_address" => Tone::Bad,
            "pending" | "pending_verification" | "inactive" | "retry" | "running" | "paused" | "held" => Tone::Waiting,
            "cancelled" | NOTHING => Tone::Aside,
            _ => Tone::Plain,
        };
        Self::new(text, tone)
    }
}

impl Tone {
    pub(super) const fn color(self) -> Option<Color> {
        match self {
            Self::Good => Some(Color::Green),
            Self::Bad => Some(Color::Red),
            Self::Waiting => Some(Color::Yellow),
            Self::Plain | Self::Aside => None,
        }
    }
}

/// As all times are shown.
pub(in crate::cli) fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The same of today.
pub(in crate::cli) fn time_of_day(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%SZ").to_string()
}

/// A number with its thousands apart.
pub(in crate::cli) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun.
pub(in crate::cli) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Milliseconds as a person says them.
pub(in crate::cli) fn duration(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms if ms < 120_000.0 => tenths(ms / 1_000.0, "s"),
        ms if ms < 7_200_000.0 => tenths(ms / 60_000.0, "min"),
        ms if ms < 172_800_000.0 => tenths(ms / 3_600_000.0, "h"),
        ms => tenths(ms / 86_400_000.0, "days"),
    }
}

fn tenths(number: f64, unit: &str) -> String {
    let shown = format!("{number:.1}");
    format!("{} {unit}", shown.strip_suffix(".0").unwrap_or(&shown))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_as_people_read_them() {
        for (value, shown) in [
            (json!(null), "-"),
            (json!(""), "-"),
            (json!({}), "-"),
            (json!(true), "yes"),
            (json!(["a.b", "c.*"]), "a.b, c.*"),
            (json!("a\u{1b}[2J\nb"), "a\\u{1b}[2J\\nb"),
            (json!({"a": 1}), "{\"a\":1}"),
        ] {
            assert_eq!(Cell::of(&value).text, shown);
        }
        assert_eq!(Cell::time(&json!("2026-03-21T14:24:11.999+01:00")).text, "2026-03-21 13:24:11Z");
        assert_eq!(Cell::time(&json!(null)).text, "-");
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.84, 12.3, 9_999.0, 61_000.0, 3_600_000.0].map(duration),
            ["0.8 ms", "12 ms", "10 s", "61 s", "60 min"]
        );
    }
}
