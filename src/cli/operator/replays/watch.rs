//! A replay to its end.

use std::time::Duration;

use serde_json::Value;

use super::{NOUN, screens};
use crate::cli::Failure;
use crate::cli::operator::Desk;
use crate::cli::show::cell::Cell;
use crate::cli::show::progress::Progress;
use crate::client::Call;
use crate::domain::ids::ReplayId;

const EVERY: Duration = Duration::from_millis(500);

/// Looks until it ends. A replay that was cancelled is a failure: not everything was resent.
pub(super) async fn to_the_end(desk: &Desk, id: ReplayId) -> Result<(), Failure> {
    let bar = Progress::elsewhere("deliveries");
    let (item, state) = loop {
        let item = desk.item(Call::get(&[&NOUN, &id])).await?;
        let replay = item.value();
        let progress = &replay["progress"];
        let number = |member: &str| progress[member].as_u64().unwrap_or_default();
        let state = replay["state"].as_str().unwrap_or_default().to_owned();
        bar.grows_to(number("total"));
        bar.is_at(number("resent") + number("skipped"));
        bar.tells(pace(&replay));
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

/// How fast it goes and until when, as the API says; the state, where it does not run.
fn pace(replay: &Value) -> String {
    let state = Cell::of(&replay["state"]).text;
    if state != "running" {
        return state;
    }
    let rate = format!("{} a second", Cell::of(&replay["rate_per_second"]).text);
    match &replay["estimated_end_at"] {
        Value::Null => rate,
        end => format!("{rate}, ends about {}", Cell::time(end).text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pace_and_end_are_the_apis() {
        let mut replay = json!({"state": "running", "rate_per_second": 100, "estimated_end_at": null});
        assert_eq!(pace(&replay), "100 a second");
        replay["estimated_end_at"] = json!("2026-03-21T14:24:11.5Z");
        assert_eq!(pace(&replay), "100 a second, ends about 2026-03-21 14:24:11Z");
        replay["state"] = json!("paused");
        assert_eq!(pace(&replay), "paused");
    }
}
