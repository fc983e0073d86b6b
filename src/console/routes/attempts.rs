//! The overview of a tenant: what was just attempted.

use askama::Template;
use axum::response::Response;

use crate::console::labels::Labels;
use crate::console::nouns::{Glimpse, List};
use crate::console::page::{Detour, html};
use crate::console::seat::{Frame, Seat};
use crate::console::show::{self, Chart};

/// Attempts in the table; the chart has more.
const LISTED: usize = 20;

#[derive(Template)]
#[template(path = "overview.html", config = ".askama.toml")]
struct OverviewPage {
    frame: Frame,
    labels: Labels,
    chart: Chart,
    attempts: Vec<Glimpse>,
    /// Of those in the chart.
    failed: usize,
}

pub(in crate::console) async fn overview(seat: Seat) -> Result<Response, Detour> {
    let mut attempts: List<Glimpse> = seat.caller.read(&format!("/v1/attempts?page[size]={}", Chart::BARS)).await?;
    let chart = Chart::of(&attempts.data);
    let failed = chart.bars.iter().filter(|bar| !bar.is_success).count();
    attempts.data.truncate(LISTED);
    let labels = Labels::read(&seat.caller).await?;
    Ok(html(&OverviewPage { frame: seat.frame(""), labels, chart, attempts: attempts.data, failed }))
}
