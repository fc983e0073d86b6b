//! Events: what happened, and what became of it.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Serialize;
use serde_json::value::RawValue;

use super::filters::Filters;
use crate::console::caller::Refusal;
use crate::console::form::Form;
use crate::console::labels::Labels;
use crate::console::nouns::{Event, List, Receipt};
use crate::console::page::{Detour, html};
use crate::console::seat::{Frame, Seat};
use crate::console::show;

const FILTERS: &[&str] = &["type"];
const TAB: &str = "/events";

#[derive(Template)]
#[template(path = "events.html", config = ".askama.toml")]
struct EventsPage {
    frame: Frame,
    events: List<Event>,
    filters: Filters,
}

pub(in crate::console) async fn list(seat: Seat, Query(filters): Query<Filters>) -> Result<Response, Detour> {
    let events = filters.list(&seat.caller, "/v1/events", FILTERS).await?;
    let status = events.status();
    Ok((status, html(&EventsPage { frame: seat.frame(TAB), events, filters })).into_response())
}

#[derive(Template)]
#[template(path = "event.html", config = ".askama.toml")]
struct EventPage {
    frame: Frame,
    labels: Labels,
    event: Event,
}

pub(in crate::console) async fn show(seat: Seat, Path((_, id)): Path<(String, String)>) -> Result<Response, Detour> {
    let event = seat.caller.read(&format!("/v1/events/{}", super::segment(&id))).await?;
    let labels = Labels::read(&seat.caller).await?;
    Ok(html(&EventPage { frame: seat.frame(TAB), labels, event }))
}

/// An event that somebody types.
struct Entry {
    event_type: String,
    data: String,
}

#[derive(Template)]
#[template(path = "new-event.html", config = ".askama.toml")]
struct NewEventPage {
    frame: Frame,
    entry: Entry,
    refusal: Option<Refusal>,
    /// The event that was just accepted, where whoever sent it may not look at it.
    accepted: Option<String>,
}

pub(in crate::console) async fn form(seat: Seat) -> Response {
    let entry = Entry { event_type: String::new(), data: "{}".to_owned() };
    html(&NewEventPage { frame: seat.frame(TAB), entry, refusal: None, accepted: None })
}

#[derive(Serialize)]
struct NewEvent<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    data: &'a RawValue,
}

pub(in crate::console) async fn send(seat: Seat, Form(form): Form) -> Result<Response, Detour> {
    let entry = Entry { event_type: form.of("type").to_owned(), data: form.of("data").to_owned() };
    let frame = seat.frame(TAB);
    let receipt = match serde_json::from_str::<&RawValue>(&entry.data) {
        Ok(data) => {
            let event = NewEvent { event_type: &entry.event_type, data };
            seat.caller.send::<Receipt>(Method::POST, "/v1/events", &event).await
        }
        Err(error) => Err(no_json(&error)),
    };
    match receipt {
        Ok(receipt) if !frame.looks() => {
            Ok(html(&NewEventPage { frame, entry, refusal: None, accepted: Some(receipt.id) }))
        }
        Ok(receipt) => Ok(Redirect::to(&format!("{}/events/{}", seat.path(), receipt.id)).into_response()),
        Err(refusal) if refusal.leaves_form() => {
            let status = refusal.status();
            let page = NewEventPage { frame, entry, refusal: Some(refusal), accepted: None };
            Ok((status, html(&page)).into_response())
        }
        Err(refusal) => Err(refusal.into()),
    }
}

fn no_json(error: &serde_json::Error) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid input", format!("the data is not JSON: {error}"))
}
