//! `tidings tenants`: with a platform key.

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value};

use super::given::{name, word};
use super::list::Amount;
use super::{Command, Desk};
use crate::cli::Failure;
use crate::cli::reach::As;
use crate::cli::show::card::Card;
use crate::cli::show::cell::Cell;
use crate::cli::show::confirm;
use crate::cli::show::table::{Column, Table};
use crate::client::Call;
use crate::domain::ids::TenantId;

const NOUN: &str = "tenants";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings tenants create Acme --environment sandbox
  tidings keys create --tenant ten_… --roles manager,producer";

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Tenants {
    /// List them, newest first
    List {
        #[command(flatten)]
        amount: Amount,
    },
    /// Show one
    Show {
        #[arg(value_name = "TENANT_ID")]
        id: TenantId,
    },
    /// Make one
    Create {
        #[arg(value_name = "NAME")]
        name: String,
        /// `sandbox` may have webhooks at http://, `live` at https:// only
        #[arg(long)]
        environment: Environment,
        /// The dialect of webhooks that name none
        #[arg(long, value_name = "NAME", value_parser = name)]
        dialect: Option<String>,
    },
    /// Change one
    Update {
        #[arg(value_name = "TENANT_ID")]
        id: TenantId,
        #[arg(long)]
        name: Option<String>,
        /// The dialect of webhooks that name none
        #[arg(long, value_name = "NAME", value_parser = name)]
        dialect: Option<String>,
    },
    /// Delete one, with its webhooks and keys
    Delete {
        #[arg(value_name = "TENANT_ID")]
        id: TenantId,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Environments of a tenant.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Environment {
    Live,
    Sandbox,
}

impl Command for Tenants {
    const AS: As = As::Platform;

    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List { amount } => {
                let empty = "No tenants. `tidings tenants create NAME --environment sandbox` makes one.";
                desk.list(Call::get(&[&NOUN]), &amount, table(), empty).await
            }
            Self::Show { id } => desk.show(Call::get(&[&NOUN, &id]), card).await,
            Self::Create { name, environment, dialect } => {
                let mut body = body(Some(name), dialect);
                let environment = word(&environment);
                body.insert("environment".into(), environment.into());
                desk.show(Call::post(&[&NOUN]).json(&body.into()), card).await
            }
            Self::Update { id, name, dialect } => {
                let body = body(name, dialect);
                if body.is_empty() {
                    return Err(Failure::misused("nothing to change was named: add --name or --dialect"));
                }
                desk.show(Call::patch(&[&NOUN, &id]).json(&body.into()), card).await
            }
            Self::Delete { id, yes } => {
                confirm(&format!("Deleting tenant {id} with its webhooks and keys"), yes)?;
                let deleted = |id: &TenantId, _: &_| Ok(format!("Deleted {id}."));
                desk.each(&[id], |id| Call::delete(&[&NOUN, id]), deleted).await
            }
        }
    }
}

fn body(name: Option<String>, dialect: Option<String>) -> Map<String, Value> {
    let members = [("name", name), ("default_dialect", dialect)];
    members.into_iter().filter_map(|(member, text)| Some((member.to_owned(), text?.into()))).collect()
}

fn table() -> Table {
    Table::new(vec![
        Column::text("ID", "id"),
        Column::text("NAME", "name").cut(10),
        Column::text("ENVIRONMENT", "environment"),
        Column::text("DIALECT", "default_dialect").spare(1),
        Column::time("CREATED", "created_at").spare(2),
    ])
}

fn card(tenant: &Value) -> Card {
    Card::default()
        .line("id", Cell::of(&tenant["id"]))
        .line("name", Cell::of(&tenant["name"]))
        .line("environment", Cell::of(&tenant["environment"]))
        .line("dialect", Cell::of(&tenant["default_dialect"]))
        .line("created", Cell::time(&tenant["created_at"]))
        .line("updated", Cell::time(&tenant["updated_at"]))
}
