//! What a caller says about a webhook, and what of it can be accepted. POST and PATCH take the same members and are checked
//! in the same way.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::actions::{Fault, Member};
use crate::dialect::Profile;
use crate::domain::event::{is_event_pattern, pattern_matches};
use crate::domain::webhook::RetryOverride;
use crate::net::{Guard, Target, check_custom_headers};

/// Characters of a description.
const MAX_DESCRIPTION: usize = 1_000;
/// Bytes of metadata.
const MAX_METADATA: usize = 4_096;
/// Patterns in `events`.
const MAX_EVENTS: usize = 100;

/// The members of a webhook that a caller may set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookInput {
    /// Where to POST: HTTPS, or HTTP where the tenant is a sandbox.
    pub url: Member<String>,
    /// Event types, `*`, or prefixes ending in `.*`.
    pub events: Member<Vec<String>>,
    /// The wire language; set once, at registration.
    pub dialect: Member<String>,
    /// For people, at most 1,000 characters.
    pub description: Member<String>,
    /// Headers to send along, by name.
    pub headers: Member<BTreeMap<String, String>>,
    /// Retry rules in place of the dialect's.
    pub retry: Member<RetryOverride>,
    /// Seconds for an attempt, 1 to 30.
    pub timeout_seconds: Member<i64>,
    /// Requests a second, 1 to 100,000.
    pub rate_limit: Member<i64>,
    /// Requests under way in one process, 1 to 256.
    pub max_in_flight: Member<i64>,
    /// A JSON object of the tenant's own, at most 4,096 bytes.
    pub metadata: Member<Box<RawValue>>,
    /// Whether it gets its events.
    pub is_active: Member<bool>,
}

/// A URL as it is stored.
pub(super) fn check_url(url: &str, http_allowed: bool, guard: &Guard, faults: &mut Vec<Fault>) -> Option<String> {
    match Target::parse(url, http_allowed, guard) {
        Ok(target) => Some(target.as_str().to_owned()),
        Err(error) => {
            faults.push(Fault::new("/url", error.code(), error.to_string()));
            None
        }
    }
}

/// Patterns, each of which names at least one event type that the dialect has.
pub(super) fn check_events(events: &[String], profile: &Profile, faults: &mut Vec<Fault>) {
    if events.is_empty() || events.len() > MAX_EVENTS {
        let detail = format!("must name 1 to {MAX_EVENTS} event types; `[\"*\"]` means all");
        faults.push(Fault::new("/events", "out_of_range", detail));
    }
    for (index, pattern) in events.iter().enumerate() {
        let pointer = format!("/events/{index}");
        let listed = profile.event_types();
        if !is_event_pattern(pattern) {
            let detail = "must be an event type (1 to 128 of `A-Z a-z 0-9 _ . : -`), `*`, or a prefix ending in `.*`";
            faults.push(Fault::new(pointer, "invalid_event_type", detail));
        } else if listed.is_some_and(|listed| !listed.iter().any(|event_type| pattern_matches(pattern, event_type))) {
            let detail = format!(
                "the dialect `{}` has no such event type; it has: {}",
                profile.name(),
                listed.unwrap_or_default().join(", ")
            );
            faults.push(Fault::new(pointer, "unknown_event_type", detail));
        }
    }
}

pub(super) fn check_description(description: &str, faults: &mut Vec<Fault>) {
    if description.chars().count() > MAX_DESCRIPTION || description.contains('\0') {
        let detail = format!("must have at most {MAX_DESCRIPTION} characters, none of them NUL");
        faults.push(Fault::new("/description", "out_of_range", detail));
    }
}

pub(super) fn check_headers(headers: &[(String, String)], profile: &Profile, faults: &mut Vec<Fault>) {
    let reserved: Vec<_> = profile.header_names().collect();
    let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    if let Err(error) = check_custom_headers(pairs, &reserved) {
        let name = error.name.replace('~', "~0").replace('/', "~1");
        faults.push(Fault::new(format!("/headers/{name}"), "invalid_header", error.to_string()));
    }
}

pub(super) fn check_retry(retry: &RetryOverride, faults: &mut Vec<Fault>) {
    let numbers = [
        ("max_attempts", f64::from(retry.max_attempts), 1.0, 50.0),
        ("initial_seconds", retry.initial_seconds, 0.001, 86_400.0),
        ("factor", retry.factor, 1.0, 10.0),
        ("max_seconds", retry.max_seconds, 0.001, 604_800.0),
        ("jitter", retry.jitter, 0.0, 1.0),
    ];
    for (name, value, least, most) in numbers {
        if !(least..=most).contains(&value) {
            let detail = format!("must be from {least} to {most}");
            faults.push(Fault::new(format!("/retry/{name}"), "out_of_range", detail));
        }
    }
    for (index, status) in retry.terminal_statuses.iter().enumerate() {
        if !(300..=599).contains(status) {
            let pointer = format!("/retry/terminal_statuses/{index}");
            faults.push(Fault::new(pointer, "out_of_range", "must be a status from 300 to 599"));
        }
    }
}

/// A number within its range.
pub(super) fn check_number<T: TryFrom<i64>>(
    value: Option<i64>,
    pointer: &str,
    most: i64,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let value = value?;
    let number = T::try_from(value).ok().filter(|_| (1..=most).contains(&value));
    if number.is_none() {
        faults.push(Fault::new(pointer, "out_of_range", format!("must be a whole number from 1 to {most}")));
    }
    number
}

/// Metadata is an object, small, and without what the database cannot keep.
pub(super) fn check_metadata(metadata: &str, faults: &mut Vec<Fault>) {
    let fault = if metadata.len() > MAX_METADATA {
        Some(format!("must have at most {MAX_METADATA} bytes"))
    } else if !metadata.starts_with('{') {
        Some("must be a JSON object".to_owned())
    } else if metadata.contains("\\u0000") || serde_json::from_str::<serde_json::Value>(metadata).is_err() {
        Some("must not contain the character NUL or half a surrogate pair".to_owned())
    } else {
        None
    };
    faults.extend(fault.map(|detail| Fault::new("/metadata", "invalid_metadata", detail)));
}
