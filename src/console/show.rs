//! How things are written on pages.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

use super::nouns::Glimpse;

/// How long before or after `now` something is: `just now`, `5 min ago`, `in 3 h`.
pub(super) fn ago(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let distance = if at > now { at - now } else { now - at };
    let span = span(distance);
    match () {
        () if distance < TimeDelta::seconds(1) => "just now".to_owned(),
        () if at > now => format!("in {span}"),
        () => format!("{span} ago"),
    }
}

fn span(distance: TimeDelta) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let seconds = distance.num_seconds();
    let unit = units.iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(|| format!("{seconds} s"), |(length, name)| format!("{} {name}", seconds / length))
}

/// A time in full, for machines and for those who point at it.
pub(super) fn time(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time of its day.
pub(super) fn clock(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A duration with no more digits than matter.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

/// A share from 0 to 1. All and none are said only where it is all or none.
pub(super) fn percent(share: f64) -> String {
    let shown = (share * 1_000.0).floor() / 10.0;
    if shown <= 0.0 && share > 0.0 { "< 0.1 %".to_owned() } else { format!("{shown} %") }
}

/// A JSON value without the quotes of a text.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A word of the API for people: `dead_letters` is two words to them.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// Enough of an id to know it by: the end, which differs most.
pub(super) fn short(id: &str) -> String {
    let end = id.len().saturating_sub(8);
    match id.split_once('_') {
        Some((prefix, rest)) if rest.len() > 8 => format!("{prefix}_…{}", id.get(end..).unwrap_or(rest)),
        _ => id.to_owned(),
    }
}

/// Attempts side by side, the newest at the right: how long each took, and what came of it.
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    /// What the highest bar stands for.
    pub(super) most: String,
}

/// One attempt in a [`Chart`], in its units.
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) height: usize,
    pub(super) is_success: bool,
    pub(super) title: String,
}

impl Chart {
    /// Attempts at most.
    pub(super) const BARS: usize = 100;
    pub(super) const BAR_WIDTH: usize = 8;
    pub(super) const HEIGHT: usize = 72;

    /// A chart of attempts, newest first.
    pub(super) fn of(attempts: &[Glimpse]) -> Self {
        let most = attempts.iter().map(|one| one.ending.duration_ms).fold(1.0, f64::max);
        let bars = attempts.iter().take(Self::BARS).enumerate().map(|(place, one)| {
            // Between attempts of 1 ms and of 10 s both must be seen.
            let share = one.ending.duration_ms.max(0.0).ln_1p() / most.ln_1p();
            let height = (4..Self::HEIGHT).rev().find(|height| share >= size(*height) / size(Self::HEIGHT));
            let height = if share >= 1.0 { Self::HEIGHT } else { height.unwrap_or(4) };
            Bar {
                x: (Self::BARS - 1 - place) * Self::BAR_WIDTH,
                y: Self::HEIGHT - height,
                height,
                is_success: one.ending.is_success(),
                title: format!("{} after {}, at {}", one.ending.result(), one.ending.took(), clock(&one.started_at)),
            }
        });
        Self { bars: bars.collect(), most: milliseconds(most) }
    }
}

fn size(units: usize) -> f64 {
    u32::try_from(units).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        for (seconds, expected) in [
            (0, "just now"),
            (1, "1 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_199, "119 min ago"),
            (7_200, "2 h ago"),
            (172_800, "2 d ago"),
            (-5, "in 5 s"),
            (-7_200, "in 2 h"),
        ] {
            assert_eq!(ago(now, now - TimeDelta::seconds(seconds)), expected);
        }
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!(
            [0.42, 9.96, 12.3, 999.4, 1_234.0].map(milliseconds),
            ["0.4 ms", "10.0 ms", "12 ms", "999 ms", "1.2 s"]
        );
        assert_eq!([1.0, 0.999_99, 0.5, 0.000_1, 0.0].map(percent), ["100 %", "99.9 %", "50 %", "< 0.1 %", "0 %"]);
    }

    #[test]
    fn an_id_is_known_by_its_end() {
        assert_eq!(short("wh_01k5abcdefghjkmnpqrstvwxyz"), "wh_…rstvwxyz");
        assert_eq!([short("wh_1"), short("x"), short("")], ["wh_1", "x", ""]);
    }

    #[test]
    fn a_chart_has_the_newest_at_the_right_and_the_slowest_highest() {
        let glimpse = |outcome: &str, took: f64| {
            let text = format!(
                r#"{{"delivery_id":"dlv_1","event":null,"webhook_id":"wh_1","number":1,"started_at":"2026-01-01T00:00:00Z",
                    "duration_ms":{took},"outcome":"{outcome}","verdict":"retry","status":null}}"#
            );
            serde_json::from_str::<Glimpse>(&text).expect("a glimpse")
        };
        let chart = Chart::of(&[glimpse("success", 2.0), glimpse("timeout", 10_000.0), glimpse("success", 0.0)]);
        let bars: Vec<_> = chart.bars.iter().map(|bar| (bar.x, bar.height, bar.is_success)).collect();
        assert_eq!((bars[0].0, bars[1].0, bars[2].0), (792, 784, 776));
        assert_eq!((bars[1].1, bars[2].1, chart.most.as_str()), (Chart::HEIGHT, 4, "10.0 s"));
        assert!(bars[0].1 > 4 && bars[0].1 < Chart::HEIGHT / 2 && bars[0].2 && !bars[1].2);
        assert_eq!(chart.bars[1].title, "timeout after 10.0 s, at 2026-01-01 00:00:00");
        assert!(Chart::of(&[]).bars.is_empty());
    }
}
