//! What can be set of a webhook, and changed, beside its URL and its event types.

use clap::Args;
use serde_json::{Map, Value};

use crate::cli::Failure;
use crate::cli::operator::given::{object, pair};

/// Settings of a webhook, each with a default.
#[derive(Debug, Args)]
pub(in crate::cli) struct Settings {
    /// For people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A header of its own, `name: value`; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = |text: &str| pair(text, ':'))]
    headers: Vec<(String, String)>,
    /// Seconds to wait for an answer
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Requests a second at most
    #[arg(long, value_name = "N")]
    rate_limit: Option<u32>,
    /// Requests under way at once at most
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,
    /// Its own retry rules, in place of its dialect's
    #[arg(
        long,
        help = "Its own retry rules, of which the first two are required: '{\"max_attempts\": 5, \"initial_seconds\": 10, \"factor\": 2}'",
        value_name = "JSON",
        value_parser = object
    )]
    retry: Option<Value>,
    /// A note that Tidings keeps, `name=value`; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = |text: &str| pair(text, '='))]
    metadata: Vec<(String, String)>,
}

impl Settings {
    /// The members that were named, as the API takes them.
    pub(super) fn body(self) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        let mut set = |member: &str, value: Option<Value>| body.extend(value.map(|value| (member.to_owned(), value)));
        set("description", self.description.map(Value::from));
        set("headers", pairs("--header", self.headers)?);
        set("timeout_seconds", self.timeout.map(Value::from));
        set("rate_limit", self.rate_limit.map(Value::from));
        set("max_in_flight", self.max_in_flight.map(Value::from));
        set("retry", self.retry);
        set("metadata", pairs("--metadata", self.metadata)?);
        Ok(body)
    }
}

fn pairs(option: &str, pairs: Vec<(String, String)>) -> Result<Option<Value>, Failure> {
    let mut members = Map::new();
    for (name, value) in pairs {
        if members.insert(name.clone(), value.into()).is_some() {
            return Err(Failure::misused(format!("{option} names `{name}` twice")));
        }
    }
    Ok((!members.is_empty()).then_some(Value::Object(members)))
}
