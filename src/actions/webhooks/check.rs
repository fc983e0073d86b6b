//! Checking what a caller says of a webhook, and making it so. Every fault is found, not just the first.

use std::ops::RangeInclusive;

use serde_json::Map;

use super::input::{Input, Pairs};
use super::switch::take_on_trust;
use crate::actions::{ActionError, Context, Fault, Member, vault};
use crate::dialect::{Keys, Profile};
use crate::domain::event::{is_event_pattern, pattern_matches};
use crate::domain::pointer::escape;
use crate::domain::retry::{LONGEST_WAIT_SECONDS, MOST_ATTEMPTS};
use crate::domain::secret::SecretError;
use crate::domain::tenant::Environment;
use crate::domain::webhook::{RetryOverride, Webhook};
use crate::net::{Target, check_custom_headers};

const MAX_EVENTS: usize = 100;
const MAX_DESCRIPTION_CHARS: usize = 1_000;
const MAX_METADATA_BYTES: usize = 16 * 1024;
const MAX_TERMINAL_STATUSES: usize = 50;
const MAX_RATE: i64 = 10_000;
const MAX_IN_FLIGHT: i64 = 256;
const MAX_TIMEOUT_SECONDS: i64 = 30;

/// What an input is checked against.
pub(super) struct Check<'a> {
    pub(super) context: &'a Context,
    pub(super) environment: Environment,
    pub(super) profile: &'a Profile,
    pub(super) faults: Vec<Fault>,
}

impl Check<'_> {
    /// Makes a webhook what the input says, or tells all of its faults. The dialect is not looked at here.
    pub(super) fn apply(mut self, input: Input, webhook: &mut Webhook) -> Result<(), ActionError> {
        if let Some(url) = input.url.unless_absent("/url", &mut self.faults).and_then(|url| self.url(&url)) {
            webhook.redirect(url);
            take_on_trust(webhook, Some(self.profile));
        }
        if let Some(events) = input.events.unless_absent("/events", &mut self.faults) {
            webhook.events = self.events(events);
        }
        match input.headers {
            Member::Absent => {}
            Member::Null => self.headers(Pairs::default(), webhook)?,
            Member::Is(headers) => self.headers(headers, webhook)?,
        }
        if let Member::Is(retry) = &input.retry {
            self.retry(retry);
        }
        webhook.retry = input.retry.or_none(webhook.retry.take());
        webhook.description = input.description.or_default(std::mem::take(&mut webhook.description), String::new());
        self.text("/description", &webhook.description);
        let metadata = std::mem::take(&mut webhook.metadata);
        webhook.metadata = match input.metadata {
            Member::Absent => metadata,
            Member::Null => Map::new(),
            Member::Is(notes) => notes.0,
        };
        self.metadata(&webhook.metadata);
        webhook.timeout_seconds =
            self.number("/timeout_seconds", input.timeout_seconds, webhook.timeout_seconds, 1..=MAX_TIMEOUT_SECONDS);
        webhook.rate_limit = self.number("/rate_limit", input.rate_limit, webhook.rate_limit, 1..=MAX_RATE);
        webhook.max_in_flight =
            self.number("/max_in_flight", input.max_in_flight, webhook.max_in_flight, 1..=MAX_IN_FLIGHT);
        match input.is_active.unless_absent("/is_active", &mut self.faults) {
            Some(true) => {
                take_on_trust(webhook, Some(self.profile));
                webhook.activate();
            }
            Some(false) => webhook.deactivate(),
            None => {}
        }
        if self.faults.is_empty() { Ok(()) } else { Err(ActionError::Invalid(self.faults)) }
    }

    fn fault(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) {
        self.faults.push(Fault::new(pointer, code, detail));
    }

    fn url(&mut self, url: &str) -> Option<String> {
        let http_allowed = self.environment == Environment::Sandbox;
        match Target::parse(url, http_allowed, self.context.sender.guard()) {
            Ok(target) => Some(target.as_str().to_owned()),
            Err(error) => {
                self.fault("/url", error.code(), format!("is refused: {error}"));
                None
            }
        }
    }

    fn events(&mut self, events: Vec<String>) -> Vec<String> {
        if !(1..=MAX_EVENTS).contains(&events.len()) {
            self.fault("/events", "invalid_events", format!("must hold 1 to {MAX_EVENTS} event types"));
        }
        let mut kept: Vec<String> = Vec::with_capacity(events.len().min(MAX_EVENTS));
        for (index, event) in events.into_iter().take(MAX_EVENTS).enumerate() {
            if let Some((code, detail)) = self.wrong_event(&event) {
                self.fault(format!("/events/{index}"), code, detail);
            } else if !kept.contains(&event) {
                kept.push(event);
            }
        }
        kept
    }

    fn wrong_event(&self, event: &str) -> Option<(&'static str, String)> {
        if !is_event_pattern(event) {
            let detail = "must be an event type (1 to 128 of A-Z a-z 0-9 _ . : -), `*`, or a prefix ending in `.*`";
            return Some(("invalid_event", detail.to_owned()));
        }
        let types = self.profile.event_types()?;
        if types.iter().any(|known| pattern_matches(event, known)) {
            return None;
        }
        let types = types.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
        let detail = format!("is no event of the dialect `{}`, which has {types}", self.profile.name());
        Some(("unknown_event", detail))
    }

    fn headers(&mut self, Pairs(headers): Pairs, webhook: &mut Webhook) -> Result<(), SecretError> {
        let reserved: Vec<_> = self.profile.header_names().collect();
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        if let Err(error) = check_custom_headers(pairs, &reserved) {
            self.fault(of_header(&error.name), "invalid_header", error.why.to_string());
        }
        let is_shown = |value: &str| value == Keys::REDACTED || value == vault::UNREADABLE;
        if let Some((name, _)) = headers.iter().find(|(_, value)| is_shown(value)) {
            let detail = "is a placeholder that answers show instead of the value: send the real one";
            self.fault(of_header(name), "redacted_value", detail);
        }
        let keys = &self.context.master_keys;
        webhook.headers = if headers.is_empty() {
            None
        } else {
            Some(vault::seal_headers(keys, webhook.tenant_id, webhook.id, &headers)?)
        };
        webhook.header_names = headers.into_iter().map(|(name, _)| name).collect();
        Ok(())
    }

    fn retry(&mut self, retry: &RetryOverride) {
        if !(1..=MOST_ATTEMPTS).contains(&retry.max_attempts) {
            self.fault("/retry/max_attempts", "out_of_range", "must be from 1 to 50");
        }
        let numbers = [
            (
                "initial_seconds",
                retry.initial_seconds,
                retry.initial_seconds > 0.0,
                86_400.0,
                "above 0 and at most 86400",
            ),
            ("factor", retry.factor, retry.factor >= 1.0, 10.0, "from 1 to 10"),
            (
                "max_seconds",
                retry.max_seconds,
                retry.max_seconds > 0.0,
                LONGEST_WAIT_SECONDS,
                "above 0 and at most 604800",
            ),
            ("jitter", retry.jitter, retry.jitter >= 0.0, 1.0, "from 0 to 1"),
        ];
        for (name, value, is_enough, most, allowed) in numbers {
            if !is_enough || value > most {
                self.fault(format!("/retry/{name}"), "out_of_range", format!("must be {allowed}"));
            }
        }
        let statuses = &retry.terminal_statuses;
        if statuses.len() > MAX_TERMINAL_STATUSES || statuses.iter().any(|status| !(400..=599).contains(status)) {
            let detail = format!("must be at most {MAX_TERMINAL_STATUSES} statuses from 400 to 599");
            self.fault("/retry/terminal_statuses", "out_of_range", detail);
        }
    }

    fn text(&mut self, pointer: &str, text: &str) {
        let unfit = |c: char| c.is_control() && c != '\n' && c != '\t';
        if text.chars().count() > MAX_DESCRIPTION_CHARS || text.chars().any(unfit) {
            let detail = format!("must be at most {MAX_DESCRIPTION_CHARS} characters, without control characters");
            self.fault(pointer, "invalid_text", detail);
        }
    }

    fn metadata(&mut self, metadata: &Map<String, serde_json::Value>) {
        if serde_json::to_string(metadata).is_ok_and(|text| text.len() > MAX_METADATA_BYTES) {
            self.fault("/metadata", "too_large", format!("must be at most {MAX_METADATA_BYTES} bytes as JSON"));
        }
    }

    /// A number that null clears.
    fn number<N: TryFrom<i64>>(
        &mut self,
        pointer: &str,
        member: Member<i64>,
        current: Option<N>,
        allowed: RangeInclusive<i64>,
    ) -> Option<N> {
        let number = match member {
            Member::Absent => return current,
            Member::Null => return None,
            Member::Is(number) => number,
        };
        if !allowed.contains(&number) {
            self.fault(pointer, "out_of_range", format!("must be from {} to {}", allowed.start(), allowed.end()));
        }
        N::try_from(number).ok()
    }
}

/// The JSON Pointer of a custom header (RFC 6901).
fn of_header(name: &str) -> String {
    format!("/headers/{}", escape(name))
}
