//! One delivery's journey: sign → send → decide → hand in.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::claiming::{SHORT_REST, rest_after};
use super::destination::Destination;
use super::directory::Language;
use super::dispatcher::Dispatcher;
use super::lanes::Pace;
use super::spans::AttemptSpans;
use crate::actions::{ActionError, Context, FIT_SECRET};
use crate::dialect::Signed;
use crate::domain::attempt::Attempt;
use crate::domain::clock::write_time;
use crate::domain::delivery::DeadReason;
use crate::domain::lease::{Claimed, MOST_LAPSES};
use crate::domain::outcome::{Class, Outcome};
use crate::domain::retry::{Decision, RetryPolicy, Verdict, WebhookEffect, decide};
use crate::failpoint::failpoint;
use crate::net::Request;
use crate::store::outbox::settle::Settlement;

/// While the view of the webhooks is too old to send under, look again after this.
const STALE_PAUSE: Duration = Duration::from_millis(10);
/// Tells the receiver which trace it takes part in; not signed, so that a proxy may replace it with its own.
const TRACEPARENT: &str = "traceparent";
/// Between two tries to record what a receiver said about its webhook.
const EFFECT_PAUSE: Duration = Duration::from_millis(200);

impl Dispatcher {
    /// Takes a claimed delivery to its receiver and hands in what came of it. The pace says how its lane goes on.
    pub(super) async fn deliver(self: &Arc<Self>, claimed: Claimed) -> Pace {
        match self.journey(&claimed).await {
            Ok(Some(Ended { attempt, decision, detail, mut spans })) => {
                let pace = pace_after(attempt.as_ref().map(|attempt| attempt.outcome.class), decision.webhook);
                log(&claimed, attempt.as_ref(), decision);
                if let (Some(effect), Some(attempt)) = (decision.webhook, &attempt) {
                    self.take_effect(&claimed, attempt.webhook_revision, effect).await;
                }
                let verdict = decision.verdict;
                if let Some(spans) = &mut spans {
                    spans.settle(verdict, self.context.clock.now());
                }
                self.settler.hand_in(Settlement { claimed, attempt, verdict, detail }, spans).await;
                pace
            }
            Ok(None) => {
                self.give_back(claimed);
                Pace::Unasked
            }
            Err(error) => {
                self.context.telemetry.meters.dispatch.postponed();
                self.rest(claimed.webhook_id, rest_after(&error));
                let error = &error as &dyn std::error::Error;
                warn!(error, delivery.id = %claimed.delivery_id, webhook.id = %claimed.webhook_id, "delivery.postponed");
                self.give_back(claimed);
                Pace::Restart
            }
        }
    }

    /// `None` where the webhook takes nothing now or was deleted, the event's data was deleted, or the lease ran out.
    async fn journey(self: &Arc<Self>, claimed: &Claimed) -> Result<Option<Ended>, ActionError> {
        let Language { profile, meters } = self.directory.language(claimed.dialect).await?;
        // Below, only making a connection waits. If anything changed meanwhile, `send` returns `None`, and all of this runs again.
        let Some(destination) = self.present_destination(claimed).await? else { return Ok(None) };
        let now = self.context.clock.now();
        if !self.directory.takes(claimed.webhook_id, &destination, now) || self.directory.is_erased(claimed.event.id) {
            return Ok(None);
        }
        self.learn(claimed.webhook_id, destination.max_in_flight);
        let policy = destination.retry(&profile);
        let why_no_attempt = if claimed.lapses >= MOST_LAPSES {
            Some(format!("the process that held it died, or stood still, {MOST_LAPSES} times in a row"))
        } else if claimed.scheduled_attempt() > policy.max_attempts() {
            Some("it has had more attempts than its schedule allows now".to_owned())
        } else {
            None
        };
        if let Some(detail) = why_no_attempt {
            return Ok(Some(Ended::without_attempt(DeadReason::AttemptsExhausted, detail)));
        }
        let body = match profile.render_body(&claimed.event) {
            Ok(body) => body,
            Err(unrenderable) => {
                return Ok(Some(Ended::without_attempt(DeadReason::Unrenderable, unrenderable.to_string())));
            }
        };
        let keys = match destination.keys(&profile, claimed.dialect, now) {
            Ok(keys) => keys,
            Err(unfit) if destination.has_secret(now) => {
                return Ok(Some(Ended::without_attempt(
                    DeadReason::Unrenderable,
                    format!("{unfit}; {FIT_SECRET}, and resend then"),
                )));
            }
            // By the clock of the process that made it the first one has begun, and by this one's it will in a moment.
            Err(_) if destination.awaits_secret(now) => {
                self.rest(claimed.webhook_id, SHORT_REST);
                return Ok(None);
            }
            Err(none) => return Err(none.into()),
        };
        let signed = profile.sign(&*claimed.event, body, &keys, now);
        let timeout = destination.timeout(&profile);
        let mut spans = AttemptSpans::begin(&self.context.telemetry.tracer, claimed, now);
        let sent = self.send(claimed, &destination, signed, timeout, now, spans.as_mut()).await;
        // Something changed while a connection was made: all is asked anew.
        let Some(outcome) = sent else { return Box::pin(self.journey(claimed)).await };
        meters.attempted(outcome.class, outcome.duration);
        let ended = Ended { spans, ..self.judge(claimed, &destination, &policy, outcome, now) };
        if let (Verdict::Delivered, 1) = (ended.decision.verdict, claimed.attempt) {
            let since_accept = self.context.clock.now() - claimed.event.id.created_at();
            meters.delivered_at_first(since_accept.to_std().unwrap_or_default());
        }
        Ok(Some(ended))
    }

    /// The destination as a recent look at the database has it; `None` where it is gone, or the lease is.
    async fn present_destination(&self, claimed: &Claimed) -> Result<Option<Arc<Destination>>, ActionError> {
        loop {
            let destination = self.directory.destination(claimed.tenant_id, claimed.webhook_id).await?;
            if !self.lease.covers(&claimed.holder) {
                return Ok(None);
            }
            // What was found may be of before the look that makes the view fresh.
            let is_present = match &destination {
                Some(found) => self.directory.stands(claimed.webhook_id, found),
                None => self.directory.is_fresh(),
            };
            if is_present {
                return Ok(destination);
            }
            tokio::time::sleep(STALE_PAUSE).await;
        }
    }

    /// Makes what the receiver said about its webhook known to everybody before its result is; tries while the lease lasts.
    async fn take_effect(&self, claimed: &Claimed, revision: i32, effect: WebhookEffect) {
        let Context { store, clock, .. } = &self.context;
        while self.lease.covers(&claimed.holder) {
            let told = store.affect_webhook(claimed.tenant_id, claimed.webhook_id, revision, effect, clock.now()).await;
            match told {
                Ok(()) => return,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, webhook.id = %claimed.webhook_id, ?effect, "a webhook's new state waits for the database");
                    if !error.is_passing() {
                        return;
                    }
                }
            }
            tokio::time::sleep(EFFECT_PAUSE).await;
        }
    }

    /// `None` means that it was changed, or the lease ran out, while a connection was made.
    async fn send(
        &self,
        claimed: &Claimed,
        destination: &Arc<Destination>,
        signed: Signed,
        timeout: Duration,
        now: DateTime<Utc>,
        mut spans: Option<&mut AttemptSpans>,
    ) -> Option<Outcome> {
        let target = match &destination.target {
            Ok(target) => target.clone(),
            Err(refused) => return Some(Outcome::blocked(refused.to_string())),
        };
        let mut headers = match destination.headers.with_signed(&signed.headers) {
            Ok(headers) => headers,
            Err(refused) => return Some(Outcome::blocked(refused.to_string())),
        };
        // Where the trace is not recorded here, the receiver goes on from where the producer was.
        let trace = spans.as_mut().map(|spans| spans.send(now)).or(claimed.trace);
        if let Some(trace) = trace {
            headers.set(TRACEPARENT, &trace.to_string()).unwrap_or_default();
        }
        failpoint!("send.before", &claimed.event.event_type);
        let is_wanted = || {
            self.lease.covers(&claimed.holder)
                && self.directory.stands(claimed.webhook_id, destination)
                && !self.directory.is_erased(claimed.event.id)
        };
        let request = Request { target, headers, body: signed.body, timeout };
        let outcome = self.context.sender.send_if(request, &is_wanted).await;
        if let (Some(spans), Some(outcome)) = (spans, &outcome) {
            spans.answered(outcome, self.context.clock.now());
        }
        outcome
    }

    fn judge(
        &self,
        claimed: &Claimed,
        destination: &Destination,
        policy: &RetryPolicy,
        outcome: Outcome,
        started_at: DateTime<Utc>,
    ) -> Ended {
        let ended = self.context.clock.now();
        let decision = decide(policy, claimed.scheduled_attempt(), &outcome, ended, rand::random());
        if let Some(effect) = decision.webhook {
            self.directory.hush(claimed.webhook_id, destination.revision, effect);
        }
        let detail = matches!(decision.verdict, Verdict::Dead(_)).then(|| reason_to_give_up(&outcome));
        Ended {
            attempt: Some(Attempt { started_at, webhook_revision: destination.revision, outcome }),
            decision,
            detail,
            spans: None,
        }
    }
}

/// How a journey ended: with a decision, after an attempt or instead of one.
struct Ended {
    attempt: Option<Attempt>,
    decision: Decision,
    detail: Option<String>,
    spans: Option<AttemptSpans>,
}

impl Ended {
    const fn without_attempt(reason: DeadReason, detail: String) -> Self {
        let decision = Decision { verdict: Verdict::Dead(reason), webhook: None };
        Self { attempt: None, decision, detail: Some(detail), spans: None }
    }
}

/// In words that its tenant may read: the class and the status, nothing of the network.
fn reason_to_give_up(outcome: &Outcome) -> String {
    match outcome.status() {
        Some(status) => format!("the receiver answered {status}"),
        None => format!("the last attempt ended with {}", outcome.class.as_str()),
    }
}

fn pace_after(class: Option<Class>, effect: Option<WebhookEffect>) -> Pace {
    match (effect, class) {
        (Some(WebhookEffect::ParkUntil(_) | WebhookEffect::Disable), _) => Pace::Restart,
        (None, Some(Class::Success)) => Pace::Faster,
        (None, Some(Class::HttpStatus | Class::Protocol)) => Pace::Same,
        (None, Some(Class::Timeout | Class::Connect)) => Pace::Slower,
        // It was given up without a request, or the request was never sent.
        (None, None | Some(Class::Dns | Class::Tls | Class::BlockedAddress)) => Pace::Unasked,
    }
}

fn log(claimed: &Claimed, attempt: Option<&Attempt>, decision: Decision) {
    let outcome = attempt.map(|attempt| &attempt.outcome);
    let (due, reason) = match decision.verdict {
        Verdict::Delivered => (None, None),
        Verdict::RetryAt(due) => (Some(due), None),
        Verdict::Dead(reason) => (None, Some(reason.as_str())),
    };
    info!(
        tenant.id = %claimed.tenant_id,
        webhook.id = %claimed.webhook_id,
        event.id = %claimed.event.id,
        delivery.id = %claimed.delivery_id,
        attempt.number = claimed.attempt,
        trace.id = claimed.trace.map(|trace| format!("{:032x}", trace.trace_id)),
        outcome = outcome.map_or("none", |outcome| outcome.class.as_str()),
        status = outcome.and_then(Outcome::status),
        duration_ms = outcome.map(|outcome| u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX)),
        verdict = decision.verdict.as_str(),
        reason,
        due = due.map(write_time),
        error = outcome.and_then(|outcome| outcome.error.as_deref()),
        "delivery.attempted"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_was_not_asked_is_not_known_to_answer() {
        for class in Class::ALL {
            let was_asked = !matches!(class, Class::Dns | Class::Tls | Class::BlockedAddress);
            assert_eq!(pace_after(Some(class), None) != Pace::Unasked, was_asked, "{class:?}");
        }
        assert_eq!(pace_after(None, None), Pace::Unasked, "it was given up without a request");
    }
}
