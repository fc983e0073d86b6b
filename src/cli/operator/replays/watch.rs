//! A replay to its end.

use std::time::Duration;

use super::{NOUN, screens};
use crate::cli::Failure;
use crate::cli::operator::Desk;
use crate::cli::show::progress::Progress;
use crate::client::Call;
use crate::domain::ids::ReplayId;

const EVERY: Duration = Duration::from_millis(500);

/// Looks until it ends. A replay that was cancelled is a failure: not everything was resent.
pub(super) async fn to_the_end(desk: &Desk, id: ReplayId) -> Result<(), Failure> {
    let bar = Progress::of(0, "deliveries");
    let (item, state) = loop {
        let item = desk.item(Call::get(&[&NOUN, &id])).await?;
        let replay = item.value();
        let progress = &replay["progress"];
        let number = |member: &str| progress[member].as_u64().unwrap_or_default();
        let state = replay["state"].as_str().unwrap_or_default().to_owned();
        bar.grows_to(number("total"));
        bar.is_at(number("resent") + number("skipped"));
        bar.tells(if state == "running" { String::new() } else { state.clone() });
        if !replay["finished_at"].is_null() {
            break (item, state);
        }
        tokio::time::sleep(EVERY).await;
    };
    drop(bar);
    desk.screen.item(&item, screens::card)?;
    match state.as_str() {
        "completed" => Ok(()),
        other => Err(Failure::told(format!("replay {id} ended {other}, before everything was resent"))),
    }
}
