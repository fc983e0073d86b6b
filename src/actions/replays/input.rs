//! What a replay is asked for with, and the checks that it passes.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{is_empty, sources};
use crate::actions::{Fault, Object};
use crate::domain::clock::read_time;
use crate::domain::delivery::{DeadReason, State};
use crate::domain::event::is_event_type;
use crate::domain::ids::{EventId, WebhookId};
use crate::domain::replay::{Filter, Source};

/// The body of `POST /v1/replays`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayInput, example = json!({"source": "dead_letters", "filter": {"event": "document.processed"}, "rate_per_second": 50}))]
pub struct Input {
    /// What it resends from.
    #[schema(value_type = Source)]
    source: String,
    /// What of it; all of these must be true of a delivery.
    #[serde(default)]
    #[schema(value_type = FilterInput)]
    filter: Object<FilterInput>,
    /// Must be said where nothing narrows the replay.
    #[serde(default)]
    all: bool,
    /// Deliveries a second at most; `server.replay_rate_per_second` where it is left out.
    #[schema(minimum = 1, example = 100)]
    rate_per_second: Option<i64>,
    /// Only says what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ReplayFilterInput)]
struct FilterInput {
    /// Owed to this webhook.
    webhook_id: Option<WebhookId>,
    /// Of events of this type.
    #[schema(pattern = "^[A-Za-z0-9_.:-]{1,128}$")]
    event: Option<String>,
    /// Of this event.
    event_id: Option<EventId>,
    /// Dead letters given up for this reason.
    #[schema(value_type = Option<DeadReason>)]
    reason: Option<String>,
    /// Deliveries that stand so: `delivered`, `dead` or `cancelled`.
    #[schema(value_type = Option<State>)]
    state: Option<String>,
    /// Of events accepted at this time or later.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// Of events accepted before this time.
    #[schema(format = DateTime)]
    to: Option<String>,
}

/// Deliveries a second that a replay resends.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Where it is not said.
    pub usual: u32,
    /// At most.
    pub most: u32,
}

/// A replay that passed all checks.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it resends from.
    pub source: Source,
    /// What of it.
    pub filter: Filter,
    /// Deliveries a second at most.
    pub rate_per_second: u32,
}

impl Input {
    /// Checks it; every fault is told at once.
    pub fn check(self, rates: Rates) -> Result<Request, Vec<Fault>> {
        let mut faults = Vec::new();
        let source = Source::parse(&self.source);
        if source.is_none() {
            faults.push(Fault::new("/source", "invalid_value", format!("must be {}", sources())));
        }
        let filter = self.filter.0.check(source, &mut faults);
        if is_empty(&filter) && !self.all && faults.is_empty() {
            let detail =
                "narrows nothing: give at least one of its members, or say `\"all\": true` to resend everything";
            faults.push(Fault::new("/filter", "filter_needed", detail));
        }
        if !is_empty(&filter) && self.all {
            faults.push(Fault::new("/all", "contradiction", "may not be true where `filter` narrows the replay"));
        }
        let rate = self.rate_per_second.unwrap_or(rates.usual.into());
        let rate = u32::try_from(rate).ok().filter(|rate| (1..=rates.most).contains(rate));
        if rate.is_none() {
            let detail = format!("must be from 1 to {} (`server.replay_max_rate_per_second`)", rates.most);
            faults.push(Fault::new("/rate_per_second", "out_of_range", detail));
        }
        match (source, rate) {
            (Some(source), Some(rate_per_second)) if faults.is_empty() => {
                Ok(Request { source, filter, rate_per_second })
            }
            _ => Err(faults),
        }
    }
}

impl FilterInput {
    fn check(self, source: Option<Source>, faults: &mut Vec<Fault>) -> Filter {
        let mut fault = |member, code, detail: &str| {
            faults.push(Fault::new(format!("/filter/{member}"), code, detail));
        };
        if self.event.as_deref().is_some_and(|event| !is_event_type(event)) {
            fault("event", "invalid_value", "must be an event type: 1 to 128 of A-Z a-z 0-9 _ . : -");
        }
        let reason = self.reason.as_deref().and_then(DeadReason::parse);
        if self.reason.is_some() && source == Some(Source::Deliveries) {
            fault(
                "reason",
                "not_of_source",
                "applies to dead letters only: leave it out, or use the source `dead_letters`",
            );
        } else if self.reason.is_some() && reason.is_none() {
            let detail = "must be `attempts_exhausted`, `terminal_status`, `webhook_disabled` or `unrenderable`";
            fault("reason", "invalid_value", detail);
        }
        let state = self.state.as_deref().and_then(State::parse);
        match (self.state.is_some(), state) {
            (true, _) if source == Some(Source::DeadLetters) => {
                fault("state", "not_of_source", "applies to deliveries only: dead letters are always `dead`");
            }
            (true, Some(State::Pending)) => {
                fault("state", "not_resendable", "must not be `pending`: such deliveries are attempted anyway");
            }
            (true, None) => fault("state", "invalid_value", "must be `delivered`, `dead` or `cancelled`"),
            _ => {}
        }
        let [from, to] = [("from", &self.from), ("to", &self.to)].map(|(member, text)| {
            let time = text.as_deref().map(read_time);
            if time == Some(None) {
                let detail = "must be a time as in RFC 3339, such as 2026-03-21T14:24:11Z, from year 1 to 9999";
                fault(member, "invalid_time", detail);
            }
            time.flatten()
        });
        if from.zip(to).is_some_and(|(from, to)| from > to) {
            fault("from", "from_after_to", "must not be later than `filter/to`");
        }
        let Self { webhook_id, event, event_id, .. } = self;
        Filter { webhook_id, event_type: event, event_id, reason, state, from, to }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(body: Value) -> Result<Request, Vec<(String, &'static str)>> {
        let input: Input = serde_json::from_value(body).expect("its shape is right");
        let faults = |faults: Vec<Fault>| faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect();
        input.check(Rates { usual: 100, most: 1_000 }).map_err(faults)
    }

    #[test]
    fn everything_is_asked_for_by_name() {
        for filter in [json!({}), json!({"webhook_id": null})] {
            let body = json!({"source": "dead_letters", "filter": filter});
            assert_eq!(check(body).expect_err("too much"), [("/filter".to_owned(), "filter_needed")]);
        }
        let all = check(json!({"source": "deliveries", "all": true})).expect("everything");
        assert_eq!((all.rate_per_second, all.filter), (100, Filter::default()));
        let both = json!({"source": "deliveries", "all": true, "filter": {"event": "a.b"}});
        assert_eq!(check(both).expect_err("both")[0].0, "/all");
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_pointer() {
        for (source, filter, pointer) in [
            ("letters", json!({"event": "a"}), "/source"),
            ("deliveries", json!({"event": "a b"}), "/filter/event"),
            ("deliveries", json!({"reason": "unrenderable"}), "/filter/reason"),
            ("dead_letters", json!({"reason": "bored"}), "/filter/reason"),
            ("dead_letters", json!({"state": "delivered"}), "/filter/state"),
            ("deliveries", json!({"state": "pending"}), "/filter/state"),
            ("deliveries", json!({"state": "lost"}), "/filter/state"),
            ("deliveries", json!({"from": "-4713-01-01T00:00:00Z"}), "/filter/from"),
            ("dead_letters", json!({"to": "+10000-01-01T00:00:00Z"}), "/filter/to"),
            ("dead_letters", json!({"to": "2026-01-02 00:00:00Z"}), "/filter/to"),
            ("deliveries", json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}), "/filter/from"),
        ] {
            let faults = check(json!({"source": source, "filter": filter})).expect_err(pointer);
            assert_eq!(faults.iter().map(|(pointer, _)| pointer.as_str()).collect::<Vec<_>>(), [pointer]);
        }
        let filter = json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"});
        let input: Input = serde_json::from_value(json!({"source": "deliveries", "filter": filter})).expect("a shape");
        let faults = input.check(Rates { usual: 100, most: 1_000 }).expect_err("the wrong way round");
        assert_eq!(faults[0].detail, "must not be later than `filter/to`");
        for rate in [0, -1, 1_001] {
            let body = json!({"source": "dead_letters", "all": true, "rate_per_second": rate});
            assert_eq!(check(body).expect_err("a rate")[0].0, "/rate_per_second");
        }
    }
}
