//! The spans of an attempt, where its trace is recorded: `attempt`, and its parts `wait`, `send` and `settle`.

use chrono::{DateTime, Utc};

use crate::domain::lease::Claimed;
use crate::domain::outcome::{Class, Outcome};
use crate::domain::retry::Verdict;
use crate::domain::trace::TraceParent;
use crate::telemetry::traces::{Kind, Span, Tracer};

/// An attempt under way, and the part of it that is under way. Nothing is told of it where it begins anew because something changed
/// while a connection was made.
pub(super) struct AttemptSpans {
    attempt: Span,
    /// Until when the delivery waited in memory.
    wait: Option<(Span, DateTime<Utc>)>,
    part: Option<Span>,
}

impl AttemptSpans {
    /// Begins with the time that the delivery waited in memory; `None` where its trace is not recorded.
    pub(super) fn begin(tracer: &Tracer, claimed: &Claimed, now: DateTime<Utc>) -> Option<Self> {
        let mut attempt = tracer.next("attempt", Kind::Internal, claimed.trace, claimed.claimed_at)?;
        attempt.note("tidings.tenant.id", claimed.tenant_id.to_string());
        attempt.note("tidings.webhook.id", claimed.webhook_id.to_string());
        attempt.note("tidings.event.id", claimed.event.id.to_string());
        attempt.note("tidings.delivery.id", claimed.delivery_id.to_string());
        attempt.note("tidings.attempt.number", i64::from(claimed.attempt));
        let wait = Some((attempt.part("wait", Kind::Internal, claimed.claimed_at), now));
        Some(Self { attempt, wait, part: None })
    }

    /// The request goes out; the receiver is told to go on from here.
    pub(super) fn send(&mut self, now: DateTime<Utc>) -> TraceParent {
        let mut send = self.attempt.part("send", Kind::Client, now);
        send.note("http.request.method", "POST");
        let place = send.place();
        self.part = Some(send);
        place
    }

    /// The receiver answered, or did not.
    pub(super) fn answered(&mut self, outcome: &Outcome, now: DateTime<Utc>) {
        if let Some((wait, until)) = self.wait.take() {
            wait.end(until);
        }
        let Some(mut send) = self.part.take() else { return };
        if let Some(status) = outcome.status() {
            send.note("http.response.status_code", i64::from(status));
        }
        if outcome.class != Class::Success {
            send.fail(outcome.class.as_str());
        }
        self.attempt.note("tidings.outcome", outcome.class.as_str());
        send.end(now);
    }

    /// The result is handed in, to be recorded.
    pub(super) fn settle(&mut self, verdict: Verdict, now: DateTime<Utc>) {
        self.attempt.note("tidings.verdict", verdict.as_str());
        if let Verdict::Dead(reason) = verdict {
            self.attempt.note("tidings.reason", reason.as_str());
        }
        if verdict != Verdict::Delivered {
            self.attempt.fail(verdict.as_str());
        }
        self.part = Some(self.attempt.part("settle", Kind::Internal, now));
    }

    /// The batch that the result is part of is done with.
    pub(super) fn end(self, now: DateTime<Utc>) {
        if let Some(settle) = self.part {
            settle.end(now);
        }
        self.attempt.end(now);
    }
}
