//! `tidings tail`: attempts as they happen.

mod follow;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use clap::builder::PossibleValuesParser;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Desk;
use crate::app::wall_clock;
use crate::cli::Failure;
use crate::cli::reach::{As, Reach};
use crate::cli::show::cell::{Cell, at, duration, time_of_day};
use crate::client::{Call, Item};
use crate::domain::ids::WebhookId;
use crate::domain::outcome::Class;
use follow::{Follow, Look};

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings tail
  tidings tail --failed --webhook wh_…
  tidings tail --json | jq 'select(.duration_ms > 1000)'";

/// Pages of one look at most. More happens only where more is sent than anybody reads.
const PAGES: usize = 20;

/// Which attempts to show.
#[derive(Debug, Args)]
pub(in crate::cli) struct Tail {
    /// To this webhook
    #[arg(long, value_name = "WEBHOOK_ID")]
    webhook: Option<WebhookId>,
    /// With this outcome
    #[arg(long, conflicts_with = "failed", value_parser = PossibleValuesParser::new(Class::ALL.map(Class::as_str)))]
    outcome: Option<String>,
    /// With any outcome but success
    #[arg(long)]
    failed: bool,
    /// Begin with this many past attempts
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    last: u8,
    /// End after this many attempts, instead of never
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    #[command(flatten)]
    reach: Reach,
}

impl Tail {
    /// Shows attempts until told to stop.
    pub(in crate::cli) async fn run(self, stop: CancellationToken) -> Result<(), Failure> {
        let desk = Desk::at(&self.reach, As::Tenant)?;
        // Whoever ends it has seen what they wanted to see.
        stop.run_until_cancelled(self.show(&desk)).await.unwrap_or(Ok(()))
    }

    async fn show(&self, desk: &Desk) -> Result<(), Failure> {
        let mut left = self.count.unwrap_or(usize::MAX);
        let first = desk.client.page(&self.call(), 100, None).await?;
        let now = first.as_of.as_deref().and_then(time).unwrap_or_else(|| wall_clock().now());
        let mut follow = Follow::new(now);
        first.items.iter().for_each(|item| follow.meet(&item.value()));
        let past: Vec<_> = first.items.into_iter().take(self.last.into()).collect();
        show(desk, &past, &mut left)?;
        desk.screen.note("Attempts as they happen; Ctrl-C ends.");
        while left > 0 {
            tokio::time::sleep(follow::EVERY).await;
            for look in follow.next() {
                let (items, as_of) = self.look(desk, look).await?;
                let items: Vec<_> = items.into_iter().filter(|item| follow.is_new(&item.value())).collect();
                show(desk, &items, &mut left)?;
                follow.looked(look, as_of.unwrap_or_else(|| wall_clock().now()));
            }
        }
        Ok(())
    }

    fn call(&self) -> Call {
        let outcome = if self.failed { Some("failure") } else { self.outcome.as_deref() };
        Call::get(&[&"attempts"]).query("filter[webhook_id]", self.webhook).query("filter[outcome]", outcome)
    }

    /// Everything a look finds, newest first, and the API's time as it began.
    async fn look(&self, desk: &Desk, look: Look) -> Result<(Vec<Item>, Option<DateTime<Utc>>), Failure> {
        let call =
            self.call().query("filter[from]", Some(look.from.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)));
        let slower = (look.slower_than > TimeDelta::zero()).then(|| look.slower_than.num_milliseconds());
        let call = call.query("filter[slower_than_ms]", slower);
        let (mut items, mut after, mut as_of) = (Vec::new(), None::<String>, None);
        for _ in 0..PAGES {
            let page = desk.client.page(&call, 100, after.as_deref()).await?;
            as_of = as_of.or_else(|| page.as_of.as_deref().and_then(time));
            items.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok((items, as_of));
            }
        }
        desk.screen.warn(
            "there are more attempts than can be shown, so some are left out: narrow it with --webhook or --failed",
        );
        Ok((items, as_of))
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc())
}

/// Oldest first, as a log.
fn show(desk: &Desk, newest_first: &[Item], left: &mut usize) -> Result<(), Failure> {
    for item in newest_first.iter().rev().take(*left) {
        let text = if desk.screen.json { item.line() } else { line(desk, &item.value()) };
        desk.screen.say(text)?;
    }
    *left = left.saturating_sub(newest_first.len());
    Ok(())
}

/// One attempt on one line; its delivery's id is what one copies.
fn line(desk: &Desk, attempt: &Value) -> String {
    let paint = desk.screen.paint;
    let status = match &attempt["status"] {
        Value::Null => Cell::word(&attempt["outcome"]),
        status => Cell { text: Cell::of(status).text, ..Cell::word(&attempt["outcome"]) },
    };
    let took = attempt["duration_ms"].as_f64().map(duration).unwrap_or_default();
    let clock = time(attempt["started_at"].as_str().unwrap_or_default()).map(|begun| when(begun, wall_clock().now()));
    let width = 15;
    let mark = Cell { text: format!("{:width$}", status.text), ..status };
    let (delivery, event) = (Cell::of(&attempt["delivery_id"]).text, Cell::of(&attempt["event"]).text);
    let then = Cell::word(&attempt["verdict"]);
    let clock = paint.dim(clock.unwrap_or_default());
    let number = Cell::of(&attempt["number"]).text;
    // What a narrow terminal has no room for stands at the end.
    format!("{clock}  {} {took:>8}  {delivery}  #{number} {}  {event}", paint.tone(&mark), paint.tone(&then))
}

/// The time of day, with the day where that is not today's.
fn when(begun: DateTime<Utc>, now: DateTime<Utc>) -> String {
    if begun.date_naive() == now.date_naive() { time_of_day(begun) } else { at(begun) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_today_has_its_day() {
        let at = |text| time(text).expect(text);
        let begun = at("2026-03-21T23:59:59.9Z");
        assert_eq!(when(begun, at("2026-03-21T23:59:59.9Z")), "23:59:59Z");
        assert_eq!(when(begun, at("2026-03-22T00:00:00Z")), "2026-03-21 23:59:59Z");
    }
}
