//! Replays: many deliveries resent, as a job that can be watched.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};

use super::filters::Filters;
use super::{dead_letters, segment};
use crate::console::form::Form;
use crate::console::nouns::{List, Replay};
use crate::console::page::{Detour, html};
use crate::console::seat::{Frame, Seat};
use crate::console::show;
use crate::domain::replay::State;

const FILTERS: &[&str] = &["state"];
const TAB: &str = "/replays";

#[derive(Template)]
#[template(path = "replays.html", config = ".askama.toml")]
struct ReplaysPage {
    frame: Frame,
    replays: List<Replay>,
    filters: Filters,
}

pub(in crate::console) async fn list(seat: Seat, Query(filters): Query<Filters>) -> Result<Response, Detour> {
    let replays = filters.list(&seat.caller, "/v1/replays", FILTERS).await?;
    let status = replays.status();
    Ok((status, html(&ReplaysPage { frame: seat.frame(TAB), replays, filters })).into_response())
}

#[derive(Template)]
#[template(path = "replay.html", config = ".askama.toml")]
struct ReplayPage {
    frame: Frame,
    replay: Replay,
    done: Option<&'static str>,
}

pub(in crate::console) async fn show(
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    Query(filters): Query<Filters>,
) -> Result<Response, Detour> {
    let replay = seat.caller.read(&format!("/v1/replays/{}", segment(&id))).await?;
    let done = filters.done();
    Ok(html(&ReplayPage { frame: seat.frame(TAB), replay, done }))
}

/// Resends the dead letters that a list shows: its form names the filters that have a value.
pub(in crate::console) async fn start(seat: Seat, Form(form): Form) -> Result<Response, Detour> {
    let named = form.set(dead_letters::FILTERS);
    let filter: Map<_, _> = named.map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let order = json!({ "source": "dead_letters", "all": filter.is_empty(), "filter": filter });
    let replay: Replay = seat.caller.send(Method::POST, "/v1/replays", &order).await?;
    Ok(Redirect::to(&format!("{}{TAB}/{}", seat.path(), replay.id)).into_response())
}
