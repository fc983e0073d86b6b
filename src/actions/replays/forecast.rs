//! A dry run: what a replay would resend and skip, if it were started now. Nothing is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Request;
use crate::actions::{ActionError, Context};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::replay::{SkipReason, Skipped};
use crate::store::replays::WebhookCounts;

/// Rows that are looked at with one statement.
const PAGE: i64 = 20_000;
/// For how long it is looked; what is not seen by then is not told.
const LONGEST: Duration = Duration::from_secs(3);

/// What a replay would do.
#[derive(Debug, Default)]
pub struct Forecast {
    /// Whether all was looked at; else there is more than is told.
    pub complete: bool,
    /// Webhook by webhook.
    pub webhooks: Vec<WebhookForecast>,
}

/// What it would do with one webhook's deliveries.
#[derive(Debug)]
pub struct WebhookForecast {
    /// The webhook.
    pub webhook_id: WebhookId,
    /// Deliveries that match.
    pub total: u64,
    /// Those of them that would be passed over, by reason.
    pub skipped: Skipped,
}

/// Says what a replay would do.
pub async fn forecast(context: &Context, tenant_id: TenantId, request: &Request) -> Result<Forecast, ActionError> {
    let (now, deadline) = (context.clock.now(), Instant::now() + LONGEST);
    let mut counts: BTreeMap<WebhookId, WebhookCounts> = BTreeMap::new();
    let mut below = None;
    let complete = loop {
        let Request { source, filter, .. } = request;
        let page = context.store.forecast_replay(tenant_id, *source, filter, now, below, PAGE).await?;
        for more in page.webhooks {
            counts.entry(more.webhook_id).and_modify(|counts| add(counts, &more)).or_insert(more);
        }
        below = page.below;
        if below.is_none() || Instant::now() > deadline {
            break below.is_none();
        }
    };
    let mut webhooks = Vec::with_capacity(counts.len());
    for counts in counts.into_values() {
        let standing = context.store.standing(tenant_id, counts.webhook_id).await?;
        webhooks.push(told(&counts, SkipReason::of_webhook(standing.map(|standing| standing.state))));
    }
    Ok(Forecast { complete, webhooks })
}

fn add(counts: &mut WebhookCounts, more: &WebhookCounts) {
    counts.total += more.total;
    counts.event_gone += more.event_gone;
    counts.already_resent += more.already_resent;
}

/// A webhook that cannot receive is the first reason, as it is for the replay itself.
fn told(counts: &WebhookCounts, cannot_receive: Option<SkipReason>) -> WebhookForecast {
    let mut skipped = Skipped::new();
    if let Some(reason) = cannot_receive {
        skipped.insert(reason, counts.total);
    } else {
        let reasons = [(SkipReason::EventGone, counts.event_gone), (SkipReason::AlreadyResent, counts.already_resent)];
        skipped.extend(reasons.into_iter().filter(|(_, count)| *count > 0));
    }
    WebhookForecast { webhook_id: counts.webhook_id, total: counts.total, skipped }
}
