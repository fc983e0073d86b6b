//! What is measured with: events of a size, in the words of each dialect.

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use tidings::domain::event::Event;
use tidings::domain::ids::{EventId, TenantId};

/// The most that one benchmark takes; `--max-time` asks for another.
pub(crate) const TIME: Duration = Duration::from_millis(250);

/// Every built-in dialect.
pub(crate) const DIALECTS: [&str; 6] = ["standard", "numora", "number7ai", "beltic", "limai", "docintell"];

/// Bytes of data, in KiB, that everything that touches data is measured with.
pub(crate) const SIZES: [usize; 3] = [1, 10, 64];

/// An event id that never changes, so that runs compare.
pub(crate) fn event_id() -> EventId {
    "evt_01kma6q2xr3v8w5t9y7z4h0000".parse().expect("an id")
}

/// An event with this much data.
pub(crate) fn event(kibibytes: usize) -> Event {
    Event {
        tenant_id: TenantId::from_u128(1),
        id: event_id(),
        event_type: "document.processed".into(),
        occurred_at: DateTime::from_timestamp_millis(1_774_103_051_678),
        data: data(kibibytes),
    }
}

/// A JSON object of exactly so many KiB: members that a document service might report, and some characters to escape.
pub(crate) fn data(kibibytes: usize) -> Bytes {
    let mut json =
        String::from(r#"{"document_id":"660e8400-e29b-41d4-a716-446655440001","outcome":"completed","pages":["#);
    let page =
        r#"{"number":17,"confidence":0.9731,"text":"Überweisung \"Rechnung 4711\"\nover 1,250.00 EUR","tables":[]},"#;
    let end = r#"0],"rest":""}"#;
    while json.len() + page.len() + end.len() <= kibibytes * 1_024 {
        json.push_str(page);
    }
    let rest = kibibytes * 1_024 - json.len() - end.len();
    json.push_str(&end.replace(r#""""#, &format!(r#""{}""#, "x".repeat(rest))));
    Bytes::from(json)
}
