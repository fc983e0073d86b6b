//! Deliveries, and what each attempt sent and got back.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};

use super::filters::Filters;
use super::segment;
use crate::console::labels::Labels;
use crate::console::nouns::{Attempt, Delivery, List};
use crate::console::page::{Detour, html};
use crate::console::seat::{Frame, Seat};
use crate::console::show;
use crate::domain::delivery::State;

const FILTERS: &[&str] = &["state", "event", "webhook_id", "event_id"];
/// A delivery's attempts are listed as they are.
const NO_FILTERS: &[&str] = &[];
const TAB: &str = "/deliveries";

#[derive(Template)]
#[template(path = "deliveries.html", config = ".askama.toml")]
struct DeliveriesPage {
    frame: Frame,
    labels: Labels,
    deliveries: List<Delivery>,
    filters: Filters,
}

pub(in crate::console) async fn list(seat: Seat, Query(filters): Query<Filters>) -> Result<Response, Detour> {
    let deliveries = filters.list(&seat.caller, "/v1/deliveries", FILTERS).await?;
    let labels = Labels::read(&seat.caller).await?;
    let status = deliveries.status();
    Ok((status, html(&DeliveriesPage { frame: seat.frame(TAB), labels, deliveries, filters })).into_response())
}

#[derive(Template)]
#[template(path = "delivery.html", config = ".askama.toml")]
struct DeliveryPage {
    frame: Frame,
    labels: Labels,
    delivery: Delivery,
    attempts: List<Attempt>,
    filters: Filters,
    done: Option<&'static str>,
}

pub(in crate::console) async fn show(
    seat: Seat,
    Path((_, id)): Path<(String, String)>,
    Query(filters): Query<Filters>,
) -> Result<Response, Detour> {
    let path = format!("/v1/deliveries/{}", segment(&id));
    let delivery = seat.caller.read(&path).await?;
    let attempts = seat.caller.read(&filters.path(&format!("{path}/attempts"), NO_FILTERS)).await?;
    let done = filters.done();
    let labels = Labels::read(&seat.caller).await?;
    Ok(html(&DeliveryPage { frame: seat.frame(TAB), labels, delivery, attempts, filters, done }))
}
