//! `/v1/dialects`: what each speaks.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use crate::api::auth::Anyone;
use crate::api::problem::Problem;
use crate::api::query::Query;
use crate::api::{Api, kinds};
use crate::dialect::Profile;
use crate::domain::retry::RetryPolicy;
use crate::domain::webhook::DEFAULT_TIMEOUT_SECONDS;

/// All dialects, by name: few, and the same for every tenant.
pub(in crate::api) async fn list(_: Anyone, State(api): State<Api>, query: Query) -> Result<Response, Problem> {
    let page = query.read(|reader| reader.page::<u128>(None))?;
    let start = page.after.and_then(|after| usize::try_from(after + 1).ok()).unwrap_or(0);
    let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
    let rows: Vec<_> = (0..).zip(api.dialects.iter()).skip(start).take(limit).collect();
    Ok(page.answer(rows, |(index, _)| *index, |(_, profile)| show(profile)))
}

pub(in crate::api) async fn show_one(
    _: Anyone,
    Path(name): Path<String>,
    State(api): State<Api>,
) -> Result<Json<Value>, Problem> {
    let profile = api.dialects.get(&name).ok_or_else(|| unknown(&api, &name))?;
    let mut shown = show(profile);
    shown["source"] = profile.source().into();
    Ok(Json(shown))
}

fn unknown(api: &Api, name: &str) -> Problem {
    let name: String = name.chars().take(100).collect();
    Problem::new(kinds::NOT_THERE, format!("`{name}` {}", api.unknown_dialect()))
}

fn show(profile: &Profile) -> Value {
    let timeout = profile.timeout().map_or(DEFAULT_TIMEOUT_SECONDS.into(), |timeout| timeout.as_secs());
    json!({
        "name": profile.name(),
        "title": profile.title(),
        "headers": profile.header_names().collect::<Vec<_>>(),
        "event_types": profile.event_types(),
        "signs_side_by_side": profile.signs_side_by_side(),
        "has_token": profile.has_token(),
        "has_challenge": profile.challenge().is_some(),
        "timeout_seconds": timeout,
        "retry": retry(profile.retry()),
    })
}

fn retry(policy: &RetryPolicy) -> Value {
    let statuses = policy.terminal.iter().map(|range| match (range.0, range.1) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    json!({
        "max_attempts": policy.max_attempts(),
        "waits_seconds": policy.waits.iter().map(std::time::Duration::as_secs_f64).collect::<Vec<_>>(),
        "jitter": policy.jitter,
        "terminal_statuses": statuses.collect::<Vec<_>>(),
    })
}
