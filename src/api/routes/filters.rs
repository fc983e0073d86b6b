//! Filters that several lists have.

use chrono::{DateTime, Utc};
use utoipa::IntoParams;

use crate::api::problem::Problem;
use crate::api::query::{Reader, wrong};
use crate::domain::clock::read_time;
use crate::domain::event::is_event_type;
use crate::domain::ids::WebhookId;
use crate::store::history::Span;

/// When the event was accepted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "`span` reads them; this describes them")]
pub(in crate::api) struct SpanFilters {
    /// Accepted at this time or later, as in RFC 3339; write `+` as `%2B`.
    #[param(rename = "filter[from]", example = "2026-03-21T14:24:11Z")]
    from: Option<DateTime<Utc>>,
    /// Accepted before this time.
    #[param(rename = "filter[to]", example = "2026-03-22T00:00:00Z")]
    to: Option<DateTime<Utc>>,
}

/// `filter[from]` (this time or later) and `filter[to]` (before this time): when the event was accepted.
pub(super) fn span(reader: &mut Reader<'_>) -> Result<Span, Problem> {
    let (from, to) = times(reader)?;
    let span = from.map_or(Span::default(), |from| Span::default().from(from));
    Ok(to.map_or(span, |to| span.to(to)))
}

/// A time that may be left out.
type Time = Option<DateTime<Utc>>;

/// The two as they are given.
pub(super) fn times(reader: &mut Reader<'_>) -> Result<(Time, Time), Problem> {
    let from = time(reader, "filter[from]")?;
    let to = time(reader, "filter[to]")?;
    if let (Some(from), Some(to)) = (from, to)
        && from > to
    {
        return Err(wrong("filter[from]", "from_after_to", "must not be later than `filter[to]`"));
    }
    Ok((from, to))
}

/// `filter[webhook_id]`.
pub(super) fn webhook_id(reader: &mut Reader<'_>) -> Result<Option<WebhookId>, Problem> {
    reader.take("filter[webhook_id]", "a webhook's id, `wh_…`", |text| text.parse().ok())
}

/// An event type, exactly.
pub(super) fn event_type(reader: &mut Reader<'_>, name: &'static str) -> Result<Option<String>, Problem> {
    reader.take(name, "an event type: 1 to 128 of A-Z a-z 0-9 _ . : -", |text| {
        is_event_type(text).then(|| text.to_owned())
    })
}

fn time(reader: &mut Reader<'_>, name: &'static str) -> Result<Option<DateTime<Utc>>, Problem> {
    let expected = "a time as in RFC 3339, such as 2026-03-21T14:24:11Z (write `+` as `%2B`)";
    reader.take(name, expected, read_time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::query::Query;

    fn read(text: &str) -> Result<Span, Problem> {
        Query::of(&format!("/v1/events?{text}").parse().expect("a URI")).expect(text).read(span)
    }

    #[test]
    fn from_may_not_be_after_to() {
        let both = |from, to| read(&format!("filter[from]={from}&filter[to]={to}"));
        assert!(both("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z").is_ok());
        assert!(both("2026-01-01T00:00:00%2B01:00", "2026-01-01T00:00:00Z").is_ok());
        let told = both("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z").expect_err("from after to").told();
        assert_eq!((&told["status"], &told["errors"][0]["code"]), (&400.into(), &"from_after_to".into()));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01", "1700000000"] {
            assert!(read(&format!("filter[from]={text}")).is_err(), "{text}");
        }
    }
}
