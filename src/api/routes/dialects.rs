//! `/v1/dialects`: what each speaks.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::path::Id;
use crate::api::auth::Anyone;
use crate::api::paging::{List, Paging};
use crate::api::problem::Problem;
use crate::api::query::{NoQuery, Query};
use crate::api::{Api, kinds};
use crate::dialect::Profile;
use crate::domain::retry::RetryPolicy;
use crate::domain::webhook::DEFAULT_TIMEOUT_SECONDS;

/// What a dialect speaks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Dialect)]
pub(in crate::api) struct DialectView {
    #[schema(example = "standard")]
    name: String,
    #[schema(example = "Standard Webhooks")]
    title: String,
    /// The headers it sets.
    headers: Vec<String>,
    /// `null`: any.
    event_types: Option<Vec<String>>,
    /// Whether old and new secret both sign while a rotation's overlap lasts.
    signs_side_by_side: bool,
    /// Whether it sends a static token.
    has_token: bool,
    /// Whether a receiver must pass a challenge first.
    has_challenge: bool,
    timeout_seconds: u64,
    retry: ScheduleView,
}

/// When a dialect attempts again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
struct ScheduleView {
    max_attempts: u16,
    /// After each attempt but the last.
    waits_seconds: Vec<f64>,
    /// Share by which a wait is stretched or shortened at random.
    jitter: f64,
    /// Statuses, or ranges of them, after which no attempt follows.
    #[schema(example = json!(["410"]))]
    terminal_statuses: Vec<String>,
}

/// A dialect with the file that describes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DialectWithSource)]
pub(in crate::api) struct WithSource {
    #[serde(flatten)]
    dialect: DialectView,
    /// TOML.
    source: String,
}

/// List dialects
///
/// By name: few, and the same for every tenant.
#[utoipa::path(get, path = "/v1/dialects", tag = "dialects", operation_id = "listDialects",
    security(("any_key" = [])), params(Paging),
    responses((status = 200, description = "A page of them", body = List<DialectView>)))]
pub(in crate::api) async fn list(_: Anyone, State(api): State<Api>, query: Query) -> Result<Response, Problem> {
    let page = query.read(|reader| reader.page::<u128>(None))?;
    let start = page.after.and_then(|after| usize::try_from(after + 1).ok()).unwrap_or(0);
    let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
    let rows: Vec<_> = (0..).zip(api.dialects.iter()).skip(start).take(limit).collect();
    Ok(page.answer(rows, |(index, _)| *index, |(_, profile)| show(profile)))
}

/// Show a dialect
///
/// With the file that describes it.
#[utoipa::path(get, path = "/v1/dialects/{name}", tag = "dialects", operation_id = "getDialect",
    security(("any_key" = [])),
    responses((status = 200, description = "The dialect", body = WithSource)))]
pub(in crate::api) async fn show_one(
    _: Anyone,
    Id(name): Id<String>,
    State(api): State<Api>,
    _: NoQuery,
) -> Result<Json<WithSource>, Problem> {
    let profile = api.dialects.get(&name).ok_or_else(|| unknown(&api, &name))?;
    Ok(Json(WithSource { dialect: show(profile), source: profile.source().to_owned() }))
}

fn unknown(api: &Api, name: &str) -> Problem {
    let name: String = name.chars().take(100).collect();
    Problem::new(kinds::NOT_THERE, format!("`{name}` {}", api.unknown_dialect()))
}

fn show(profile: &Profile) -> DialectView {
    DialectView {
        name: profile.name().to_owned(),
        title: profile.title().to_owned(),
        headers: profile.header_names().map(str::to_owned).collect(),
        event_types: profile.event_types().map(<[_]>::to_vec),
        signs_side_by_side: profile.signs_side_by_side(),
        has_token: profile.has_token(),
        has_challenge: profile.challenge().is_some(),
        timeout_seconds: profile.timeout().map_or(DEFAULT_TIMEOUT_SECONDS.into(), |timeout| timeout.as_secs()),
        retry: schedule(profile.retry()),
    }
}

fn schedule(policy: &RetryPolicy) -> ScheduleView {
    let statuses = policy.terminal.iter().map(|range| match (range.0, range.1) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    });
    ScheduleView {
        max_attempts: policy.max_attempts(),
        waits_seconds: policy.waits.iter().map(std::time::Duration::as_secs_f64).collect(),
        jitter: policy.jitter,
        terminal_statuses: statuses.collect(),
    }
}
