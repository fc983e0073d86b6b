//! Dead letters: what was given up, and resending it.

use askama::Template;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};

use super::filters::Filters;
use crate::console::labels::Labels;
use crate::console::nouns::{DeadLetter, List};
use crate::console::page::{Detour, html};
use crate::console::seat::{Frame, Seat};
use crate::console::show;
use crate::domain::delivery::DeadReason;

/// As the filter of a replay names them, too.
pub(super) const FILTERS: &[&str] = &["reason", "event", "webhook_id"];

#[derive(Template)]
#[template(path = "dead-letters.html", config = ".askama.toml")]
struct DeadLettersPage {
    frame: Frame,
    labels: Labels,
    letters: List<DeadLetter>,
    filters: Filters,
    done: Option<&'static str>,
}

pub(in crate::console) async fn list(seat: Seat, Query(filters): Query<Filters>) -> Result<Response, Detour> {
    let letters = filters.list(&seat.caller, "/v1/dead-letters", FILTERS).await?;
    let done = filters.done();
    let labels = Labels::read(&seat.caller).await?;
    let (frame, status) = (seat.frame("/dead-letters"), letters.status());
    Ok((status, html(&DeadLettersPage { frame, labels, letters, filters, done })).into_response())
}
