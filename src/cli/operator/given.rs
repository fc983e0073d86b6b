//! What people type for times, names and JSON.

use chrono::{DateTime, Duration, Utc};
use clap::{Args, ValueEnum};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::app::wall_clock;
use crate::client::Call;
use crate::domain::clock::write_time;
use crate::domain::event::is_event_type;
use crate::domain::ids::WebhookId;

/// A span of time.
#[derive(Debug, Args)]
pub(in crate::cli) struct Times {
    /// Since this time: 2026-03-21T14:24:11Z, or 90s, 15m, 2h, 3d ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) from: Option<String>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) to: Option<String>,
}

impl Times {
    pub(super) fn of(&self, call: Call) -> Call {
        call.query("filter[from]", self.from.as_ref()).query("filter[to]", self.to.as_ref())
    }
}

/// What lists of deliveries are narrowed by.
#[derive(Debug, Args)]
pub(in crate::cli) struct Filters {
    /// Owed to this webhook
    #[arg(long, value_name = "WEBHOOK_ID")]
    pub(super) webhook: Option<WebhookId>,
    /// Of events of this type
    #[arg(long, value_name = "TYPE")]
    pub(super) event: Option<String>,
    #[command(flatten)]
    pub(super) times: Times,
}

impl Filters {
    pub(super) fn of(&self, call: Call) -> Call {
        let call = call.query("filter[webhook_id]", self.webhook).query("filter[event]", self.event.as_ref());
        self.times.of(call)
    }
}

/// One of several words, as the API takes it.
pub(super) fn word(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|word| word.get_name().to_owned())
}

/// A time as the API reads it.
pub(super) fn time(text: &str) -> Result<String, String> {
    time_at(text, wall_clock().now())
}

/// A time as the API reads it.
fn time_at(text: &str, now: DateTime<Utc>) -> Result<String, String> {
    let told = || "write it like 2026-03-21T14:24:11Z, 2026-03-21, or 90s, 15m, 2h, 3d for that long ago".to_owned();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(write_time(time.to_utc()));
    }
    if let Ok(day) = text.parse::<chrono::NaiveDate>() {
        return Ok(write_time(day.and_time(chrono::NaiveTime::MIN).and_utc()));
    }
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(told)?;
    let number = number.parse::<u32>().map_err(|_| told())?.into();
    let ago = match unit {
        "s" => Duration::try_seconds(number),
        "m" => Duration::try_minutes(number),
        "h" => Duration::try_hours(number),
        "d" => Duration::try_days(number),
        _ => None,
    };
    ago.and_then(|ago| now.checked_sub_signed(ago)).map(write_time).ok_or_else(told)
}

/// A name in a path: of a dialect, of an event type.
pub(super) fn name(text: &str) -> Result<String, String> {
    // `.` and `..` would lead elsewhere.
    let is_name = is_event_type(text) && text.chars().any(|character| character != '.');
    is_name.then(|| text.to_owned()).ok_or_else(|| "a name is made of 1 to 128 of A-Z a-z 0-9 _ . : -".to_owned())
}

/// JSON as it was typed, byte for byte.
pub(super) fn json(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))
}

/// A JSON object.
pub(super) fn object(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("this must be a JSON object, {…}".to_owned()) }
}

/// `name: value` or `name=value`.
pub(super) fn pair(text: &str, between: char) -> Result<(String, String), String> {
    let (name, value) = text.split_once(between).ok_or_else(|| format!("write it as name{between}value"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = DateTime::from_timestamp(1_770_000_000, 0).unwrap_or_default();
        for (text, read) in [
            ("2026-03-21T14:24:11+01:00", "2026-03-21T13:24:11Z"),
            ("2026-03-21", "2026-03-21T00:00:00Z"),
            ("90s", "2026-02-02T02:38:30Z"),
            ("2h", "2026-02-02T00:40:00Z"),
            ("3d", "2026-01-30T02:40:00Z"),
        ] {
            assert_eq!(time_at(text, now).as_deref(), Ok(read));
        }
        for wrong in ["", "m", "15", "-3d", "3w", "yesterday", "2026-02-30", "99999999999d", "é"] {
            assert!(time_at(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert!(name("docintell").is_ok() && name("a.b:c").is_ok());
        assert!(["", ".", "..", "a/b", "a b"].iter().all(|wrong| name(wrong).is_err()));
    }
}
