//! Times on the wire: how they are written, and which time a stamp tells.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TimeFormat {
    /// Whole seconds since 1970.
    UnixSeconds,
    /// `2026-03-21T14:24:11Z`.
    #[default]
    Rfc3339Seconds,
    /// `2026-03-21T14:24:11.000Z`.
    Rfc3339Millis,
}

impl TimeFormat {
    /// Writes a time.
    pub(super) fn write(self, time: DateTime<Utc>) -> String {
        match self {
            Self::UnixSeconds => time.timestamp().to_string(),
            Self::Rfc3339Seconds => time.to_rfc3339_opts(SecondsFormat::Secs, true),
            Self::Rfc3339Millis => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        }
    }

    /// Reads a time that was written in this format.
    pub(super) fn read(self, text: &str) -> Option<DateTime<Utc>> {
        match self {
            Self::UnixSeconds => text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            Self::Rfc3339Seconds | Self::Rfc3339Millis => {
                DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
            }
        }
    }
}

/// Which time a stamp tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// When the attempt started: the receiver can refuse what is stale.
    Attempt,
    /// When the event happened.
    Event,
}

/// What `{timestamp}` stands for.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stamp {
    source: Source,
    /// How it is written.
    pub(super) format: TimeFormat,
}

impl Stamp {
    /// The text of the stamp for an event that happened at `event`, in the attempt that started at `attempt`.
    pub(super) fn text(self, event: DateTime<Utc>, attempt: DateTime<Utc>) -> String {
        self.format.write(match self.source {
            Source::Attempt => attempt,
            Source::Event => event,
        })
    }

    /// Whether it tells the time of the attempt, so that an old one is stale.
    pub(super) fn is_of_attempt(self) -> bool {
        self.source == Source::Attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_writes_what_it_reads() {
        let time = DateTime::from_timestamp_millis(1_774_103_051_678).expect("a time");
        for (format, text, millis) in [
            (TimeFormat::UnixSeconds, "1774103051", 1_774_103_051_000),
            (TimeFormat::Rfc3339Seconds, "2026-03-21T14:24:11Z", 1_774_103_051_000),
            (TimeFormat::Rfc3339Millis, "2026-03-21T14:24:11.678Z", 1_774_103_051_678),
        ] {
            assert_eq!(format.write(time), text);
            assert_eq!(format.read(text).map(|time| time.timestamp_millis()), Some(millis));
            assert_eq!(format.read("soon"), None);
        }
    }
}
