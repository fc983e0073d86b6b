//! `tidings keys`: API keys, with a platform key. The master key is the business of [`rotate_master`](crate::cli::rotate_master).

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::given::word;
use super::list::Amount;
use super::{Command, Desk, each};
use crate::cli::Failure;
use crate::cli::reach::As;
use crate::cli::show::card::Card;
use crate::cli::show::cell::{Cell, Tone};
use crate::cli::show::confirm;
use crate::cli::show::table::{Column, Table};
use crate::client::Call;
use crate::domain::ids::KeyId;

const NOUN: &str = "api-keys";

pub(in crate::cli) const EXAMPLES: &str = "\
Examples:
  tidings keys create --tenant ten_… --roles producer --description billing
  tidings keys list --tenant ten_…
  tidings keys delete key_… --yes
  tidings keys rotate-master --check";

/// What can be done with API keys.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Keys {
    /// List them, newest first; of one tenant with --tenant
    List {
        #[command(flatten)]
        amount: Amount,
    },
    /// Make one; it is shown once
    Create {
        /// What it may do, for the tenant that --tenant names
        #[arg(long, value_name = "ROLE,…", value_delimiter = ',', required_unless_present = "platform")]
        roles: Vec<Role>,
        /// A platform key instead, which manages tenants and keys
        #[arg(long, conflicts_with_all = ["roles", "tenant"])]
        platform: bool,
        /// For people: who has it
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Delete keys: whoever uses them is refused from then on
    Delete {
        /// Keys, or `-` for ids on standard input
        #[arg(value_name = "KEY_ID", required = true)]
        ids: Vec<each::IdOrInput<KeyId>>,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// What a key may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum Role {
    /// Webhooks and event types
    Manager,
    /// Reports events
    Producer,
    /// Resends and replays
    Operator,
    /// Reads
    Viewer,
}

impl Command for Keys {
    const AS: As = As::Platform;

    async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self {
            Self::List { amount } => {
                let call = Call::get(&[&NOUN]).query("filter[tenant_id]", desk.tenant);
                desk.list(call, &amount, table(), "No keys. `tidings keys create --tenant ten_… --roles …` makes one.")
                    .await
            }
            Self::Create { roles, platform, description } => {
                let tenant_id = match (platform, desk.tenant) {
                    (true, _) => None,
                    (false, Some(id)) => Some(id),
                    (false, None) => return Err(Failure::misused("whose key? Add --tenant ten_…, or --platform")),
                };
                let roles = roles.iter().filter_map(word);
                let body =
                    json!({ "tenant_id": tenant_id, "roles": roles.collect::<Vec<_>>(), "description": description });
                desk.show(Call::post(&[&NOUN]).json(&body), card).await
            }
            Self::Delete { ids, yes } => {
                let ids = each::ids(ids)?;
                confirm(&format!("Deleting {}", each::how_many(&ids, "key", "keys")), yes)?;
                let deleted = |id: &KeyId, _: &_| Ok(format!("Deleted {id}."));
                desk.each(&ids, |id| Call::delete(&[&NOUN, id]), deleted).await
            }
        }
    }
}

fn table() -> Table {
    Table::new(vec![
        Column::text("ID", "id"),
        Column::new(
            "ROLES",
            |key| if key["kind"] == "platform" { Cell::plain("platform") } else { Cell::of(&key["roles"]) },
        )
        .cut(12),
        Column::text("DESCRIPTION", "description").cut(12).spare(1),
        Column::text("TENANT", "tenant_id").spare(2),
        Column::time("CREATED", "created_at").spare(3),
    ])
}

fn card(key: &Value) -> Card {
    Card::titled("Keep the key: it is shown only this once.", Tone::Waiting)
        .line("key", Cell::of(&key["key"]))
        .line("id", Cell::of(&key["id"]))
        .line("kind", Cell::of(&key["kind"]))
        .some("tenant", Cell::of(&key["tenant_id"]))
        .some("roles", Cell::of(&key["roles"]))
        .some("description", Cell::of(&key["description"]))
        .line("created", Cell::time(&key["created_at"]))
}
