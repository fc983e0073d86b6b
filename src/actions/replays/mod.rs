//! Replays: starting them, saying beforehand what they would do, pausing, resuming and cancelling them. The resending itself is
//! the dispatchers' work.

mod forecast;
mod input;

use super::{ActionError, Context};
use crate::domain::ids::{ReplayId, TenantId};
use crate::domain::replay::{Filter, Progress, Replay, Source, State, Word};
use crate::store::replays::Started;

pub use forecast::{Forecast, WebhookForecast, forecast};
pub use input::{Input, Rates, Request};

const NOUN: &str = "replay";

/// Unfinished replays of a tenant at most: each takes its share of the dispatchers' time.
const MOST_AT_ONCE: i64 = 20;

/// Looks at a replay that keeps changing; more would mean that somebody works against this word.
const LOOKS: usize = 3;

/// Starts a replay. What few deliveries it has are counted when this returns.
pub async fn start(context: &Context, tenant_id: TenantId, request: Request) -> Result<Replay, ActionError> {
    let Request { source, filter, rate_per_second } = request;
    let now = context.clock.now();
    let replay = Replay {
        tenant_id,
        id: ReplayId::new(now, rand::random()),
        source,
        filter,
        state: State::Running,
        rate_per_second,
        progress: Progress::default(),
        created_at: now,
        updated_at: now,
        finished_at: None,
    };
    match context.store.insert_replay(&replay, MOST_AT_ONCE).await? {
        Started::Stored => {}
        Started::TooMany => {
            let detail = format!(
                "there are {MOST_AT_ONCE} replays that are running or paused: let one of them end, or cancel it with POST /v1/replays/{{id}}/cancel"
            );
            return Err(ActionError::conflict("too_many_replays", detail));
        }
        Started::NoTenant => return Err(ActionError::NotFound("tenant")),
    }
    if let Err(error) = context.store.count_replay(tenant_id, replay.id, now).await {
        // It is stored and will be counted by those who work on it: an answer that it failed would only start it twice.
        tracing::warn!(error = &error as &dyn std::error::Error, replay.id = %replay.id, "the replay is counted later");
        return Ok(replay);
    }
    find(context, tenant_id, replay.id).await
}

/// Follows a person's word; returns the replay as it is then.
pub async fn say(context: &Context, tenant_id: TenantId, id: ReplayId, word: Word) -> Result<Replay, ActionError> {
    for _ in 0..LOOKS {
        let replay = find(context, tenant_id, id).await?;
        let Some(to) = replay.state.after(word) else {
            let detail =
                format!("the replay is {} and does nothing any more; start another one", replay.state.as_str());
            return Err(ActionError::conflict("replay_finished", detail));
        };
        if to == replay.state {
            return Ok(replay);
        }
        if context.store.move_replay(tenant_id, id, replay.state, to, context.clock.now()).await? {
            return find(context, tenant_id, id).await;
        }
    }
    Err(ActionError::conflict("changing", "the replay is being changed by others; look at it and try again"))
}

/// One replay.
pub async fn find(context: &Context, tenant_id: TenantId, id: ReplayId) -> Result<Replay, ActionError> {
    context.store.replay(tenant_id, id).await?.ok_or(ActionError::NotFound(NOUN))
}

/// Whether nothing narrows it.
fn is_empty(filter: &Filter) -> bool {
    *filter == Filter::default()
}

/// The sources, for people.
fn sources() -> String {
    Source::ALL.map(|source| format!("`{}`", source.as_str())).join(" or ")
}
