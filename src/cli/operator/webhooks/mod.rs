//! `tidings webhooks`.

mod screens;
mod settings;

use clap::{Subcommand, ValueEnum};

use super::given::{name, word};
use super::list::Amount;
use super::{Command, Desk, each};
use crate::cli::Failure;
use crate::cli::show::confirm;
use crate::client::Call;
use crate::domain::ids::WebhookId;
pub(super) use screens::message;
use settings::Settings;

const NOUN: &str = "webhooks";

/// Members that have a default.
const CLEARABLE: [&str; 7] =
    ["description", "headers", "retry", "timeout_seconds", "rate_limit", "max_in_flight", "metadata"];

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings webhooks create https://example.com/hooks --events 'invoice.*'
  tidings webhooks list --state disabled
  tidings webhooks test wh_…                       is the receiver well?
  tidings webhooks rotate wh_… --overlap 3600";

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Webhooks {
    /// List them, newest first
    List {
        /// In this state
        #[arg(long)]
        state: Option<State>,
        /// Those that would get events of this type
        #[arg(long, value_name = "TYPE")]
        event: Option<String>,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one
    Show {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
    },
    /// Register one; its signing secret is shown once
    Create {
        /// Where its receiver is
        #[arg(value_name = "URL")]
        url: String,
        /// The event types it wants: `invoice.paid`, `invoice.*` or `*`
        #[arg(long, short, value_name = "TYPE,…", value_delimiter = ',', required = true)]
        events: Vec<String>,
        /// Register it inactive: nothing is delivered until it is activated
        #[arg(long)]
        inactive: bool,
        /// The language its receiver speaks, for good; `tidings dialects list` shows them
        #[arg(long, value_name = "NAME", value_parser = name)]
        dialect: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change one: only what is named
    Update {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
        /// Where its receiver is
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The event types it wants, in place of those before
        #[arg(long, short, value_name = "TYPE,…", value_delimiter = ',')]
        events: Vec<String>,
        #[command(flatten)]
        settings: Settings,
        /// Members to set back to their defaults
        #[arg(long, value_name = "MEMBER,…", value_delimiter = ',', value_parser = CLEARABLE)]
        clear: Vec<String>,
    },
    /// Delete webhooks: their deliveries stop, their secrets are forgotten
    Delete {
        /// Webhooks, or `-` for ids on standard input
        #[arg(value_name = "WEBHOOK_ID", required = true)]
        ids: Vec<each::IdOrInput<WebhookId>>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Run its dialect's challenge
    Verify {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
    },
    /// Give it a new signing secret, shown once
    Rotate {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
        /// Seconds in which the old secret still signs: beside the new one, or in its place where the dialect carries one signature
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u32>,
    },
    /// Deliver again, beginning with what was held
    Activate {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
        /// Drop what was held
        #[arg(long)]
        skip_backlog: bool,
        /// Do not ask whether to drop it
        #[arg(long, short, requires = "skip_backlog")]
        yes: bool,
    },
    /// Hold its deliveries until it is activated
    Deactivate {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
    },
    /// Send one signed test delivery now, and show what the receiver answers
    Test {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
    },
    /// Show how its deliveries are doing
    Health {
        #[arg(value_name = "WEBHOOK_ID")]
        id: WebhookId,
    },
}

/// States of a webhook.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(in crate::cli) enum State {
    PendingVerification,
    Active,
    Inactive,
    Disabled,
}

impl Command for Webhooks {
    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List { state, event, amount } => {
                let state = state.as_ref().and_then(word);
                let call = Call::get(&[&NOUN]).query("filter[state]", state).query("filter[event]", event);
                let empty = "No webhooks. `tidings webhooks create URL --events '*'` registers one.";
                desk.list(call, &amount, screens::table(), empty).await
            }
            Self::Show { id } => desk.show(Call::get(&[&NOUN, &id]), screens::card).await,
            Self::Create { url, events, inactive, dialect, settings } => {
                let mut body = settings.body()?;
                body.extend(dialect.map(|name| ("dialect".to_owned(), name.into())));
                body.insert("url".into(), url.into());
                body.insert("events".into(), events.into());
                if inactive {
                    body.insert("is_active".into(), false.into());
                }
                desk.show(Call::post(&[&NOUN]).json(&body.into()), screens::with_secrets).await
            }
            Self::Update { id, url, events, settings, clear } => {
                let mut body = settings.body()?;
                body.extend(url.map(|url| ("url".to_owned(), url.into())));
                if !events.is_empty() {
                    body.insert("events".into(), events.into());
                }
                if let Some(both) = clear.iter().find(|member| body.contains_key(*member)) {
                    return Err(Failure::misused(format!("`{both}` is both given a value and cleared: do only one")));
                }
                body.extend(clear.into_iter().map(|member| (member, serde_json::Value::Null)));
                if body.is_empty() {
                    return Err(Failure::misused("nothing to change was named: see `tidings webhooks update --help`"));
                }
                desk.show(Call::patch(&[&NOUN, &id]).json(&body.into()), screens::card).await
            }
            Self::Delete { ids, yes } => delete(desk, &each::ids(ids)?, yes).await,
            act => act.act(desk).await,
        }
    }
}

async fn delete(desk: &Desk, ids: &[WebhookId], yes: bool) -> Result<(), Failure> {
    confirm(&format!("Deleting {}", each::how_many(ids, "webhook", "webhooks")), yes)?;
    let deleted = |id: &WebhookId, _: &_| Ok(format!("Deleted {id}."));
    desk.each(ids, |id| Call::delete(&[&NOUN, id]), deleted).await
}

impl Webhooks {
    /// What is done with one that is there.
    async fn act(self, desk: &Desk) -> Result<(), Failure> {
        let post = |id: &WebhookId, verb: &str| Call::post(&[&NOUN, id, &verb]);
        match self {
            Self::Verify { id } => desk.show(post(&id, "verify"), screens::card).await,
            Self::Rotate { id, overlap } => {
                let mut call = post(&id, "rotate");
                if let Some(seconds) = overlap {
                    call = call.json(&serde_json::json!({ "overlap_seconds": seconds }));
                }
                desk.show(call, screens::with_secrets).await
            }
            Self::Activate { id, skip_backlog, yes } => {
                if skip_backlog {
                    confirm(&format!("Dropping what is held for webhook {id}"), yes)?;
                }
                let call = post(&id, "activate").query("skip_backlog", skip_backlog.then_some(true));
                desk.show(call, screens::card).await
            }
            Self::Deactivate { id } => desk.show(post(&id, "deactivate"), screens::card).await,
            Self::Test { id } => {
                let item = desk.item(post(&id, "test")).await?;
                desk.screen.item(&item, screens::test)?;
                if item.value()["outcome"] == "success" { Ok(()) } else { Err(screens::test_failed(&item.value())) }
            }
            Self::Health { id } => desk.show(Call::get(&[&NOUN, &id, &"health"]), screens::health).await,
            _ => Ok(()),
        }
    }
}
