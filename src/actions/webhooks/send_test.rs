//! Send a test: one signed delivery of a sample event, here and now. Nothing is stored, nothing is sent again.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::outgoing::{Outgoing, Trials, unfit};
use super::{find, profile_of};
use crate::actions::exhibit::{Exhibit, NoExhibit, SentTo, exhibit};
use crate::actions::{ActionError, Context};
use crate::dialect::Profile;
use crate::domain::event::{Event, pattern_matches};
use crate::domain::ids::{EventId, TenantId, WebhookId};
use crate::domain::outcome::Outcome;
use crate::domain::webhook::Webhook;

/// What a test sends where webhook and dialect take any type.
const ANY_TYPE: &str = "webhook.test";

/// What a flat body can carry in every dialect.
const SAMPLE: &[u8] = br#"{"test":true,"message":"A test delivery from Tidings"}"#;

/// A request and what came of it.
#[derive(Debug)]
pub struct TestResult {
    /// The event's id, which belongs to no stored event.
    pub event_id: EventId,
    /// The event's type.
    pub event_type: String,
    /// What was sent, without what is secret in it.
    pub request: Exhibit,
    /// What the receiver did.
    pub outcome: Outcome,
}

/// Sends a sample event to a webhook, also to one that is paused or disabled: a person wants to see what it does.
pub async fn send_test(
    context: &Context,
    trials: &Trials,
    tenant_id: TenantId,
    id: WebhookId,
) -> Result<TestResult, ActionError> {
    let webhook = find(context, tenant_id, id).await?;
    let _trial = trials.begin(id)?;
    let profile = profile_of(context, &webhook)?;
    if !webhook.is_verified() && profile.challenge().is_some() {
        let detail = format!("its receiver has not passed the challenge yet: POST /v1/webhooks/{id}/verify first");
        return Err(ActionError::conflict("webhook_not_verified", detail));
    }
    let now = context.clock.now();
    let event = sample(context, &webhook, &profile, now).await?;
    let outgoing = Outgoing::open(context, &webhook, now).await?;
    let to = SentTo { url: &webhook.url, headers: &outgoing.own };
    let request = exhibit(&profile, &event, to, &outgoing.signing, now).map_err(no_sample)?;
    let body = profile.render_body(&event).map_err(|error| no_sample(error.into()))?;
    let signed = profile.sign(&event, body, &outgoing.keys(&profile)?, now);
    let outcome = outgoing.send(context, &webhook, &profile, signed).await;
    Ok(TestResult { event_id: event.id, event_type: event.event_type, request, outcome })
}

fn no_sample(error: NoExhibit) -> ActionError {
    match error {
        NoExhibit::Dialect(error) => unfit(&error),
        NoExhibit::Unrenderable(error) => {
            ActionError::conflict("unrenderable", format!("the dialect has no place for the sample: {error}"))
        }
    }
}

/// An event of a type that the webhook gets, with the example from the tenant's catalogue where that has one, else the dialect's.
async fn sample(
    context: &Context,
    webhook: &Webhook,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<Event, ActionError> {
    let shown = context.store.types_with_example(webhook.tenant_id).await?;
    let told: Vec<_> = profile.types_with_example().cloned().collect();
    let event_type = sample_type(&webhook.events, profile.event_types(), &shown, &told);
    let mut example = None;
    if shown.contains(&event_type) {
        example = context.store.event_type(webhook.tenant_id, &event_type).await?.and_then(|known| known.example);
    }
    Ok(Event {
        tenant_id: webhook.tenant_id,
        id: EventId::new(now, rand::random()),
        data: example.map(Bytes::from).or_else(|| profile.example(&event_type)).unwrap_or(Bytes::from_static(SAMPLE)),
        event_type,
        occurred_at: None,
    })
}

/// The first type that the webhook gets and that the tenant has `shown` an example of; else the first exact type that it names, else
/// the first of the dialect's that it matches, of both rather one that the dialect has `told` an example of; else one below its prefix.
fn sample_type(events: &[String], known: Option<&[String]>, shown: &[String], told: &[String]) -> String {
    let wanted = |known: &&String| events.iter().any(|pattern| pattern_matches(pattern, known));
    let in_dialect = |shown: &&String| known.is_none_or(|known| known.contains(shown));
    if let Some(example) = shown.iter().filter(in_dialect).find(wanted) {
        return example.clone();
    }
    let exact = events.iter().filter(|event| !event.ends_with('*'));
    let candidates = exact.chain(known.unwrap_or(told).iter().filter(wanted));
    if let Some(first) = candidates.clone().find(|known| told.contains(known)).or(candidates.clone().next()) {
        return first.clone();
    }
    match events.first().and_then(|pattern| pattern.strip_suffix(".*")) {
        Some(prefix) => format!("{prefix}.test"),
        None => ANY_TYPE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_of_a_type_that_the_webhook_gets() {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let known = texts(&["job.completed", "run.failed"]);
        for (events, known, shown, told, expected) in [
            (&["*", "a.b"][..], None, &[][..], &[][..], "a.b"),
            (&["*"], None, &[], &[], "webhook.test"),
            (&["document.*"], None, &[], &[], "document.test"),
            (&["*"], Some(&known[..]), &[], &[], "job.completed"),
            (&["run.*"], Some(&known[..]), &[], &[], "run.failed"),
            (&["a.*", "x.y"], None, &["b", "a.b"], &["x.y"], "a.b"),
            (&["*"], Some(&known[..]), &["other", "run.failed"], &["job.completed"], "run.failed"),
            (&["*"], Some(&known[..]), &[], &["run.failed"], "run.failed"),
            (&["job.*"], Some(&known[..]), &[], &["run.failed"], "job.completed"),
            (&["x.y", "a.b", "c.*"], None, &[], &["c.d", "a.b"], "a.b"),
            (&["c.*"], None, &[], &["a.b", "c.d"], "c.d"),
        ] {
            assert_eq!(sample_type(&texts(events), known, &texts(shown), &texts(told)), expected);
        }
    }
}
