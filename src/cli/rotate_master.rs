//! `tidings keys rotate-master`: everything that is sealed in the database, sealed anew, while the service runs.

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::reach::Reach;
use super::show::Screen;
use super::show::cell::{Cell, Tone};
use super::show::progress::Progress;
use super::show::table::{Column, Table};
use crate::actions::ActionError;
use crate::actions::reseal::{Resealed, missing, reseal};
use crate::app::{self, Database};
use crate::config::Config;
use crate::domain::secret::MasterKeys;
use crate::store::webhooks::SealedWith;

pub(super) const EXAMPLES: &str = "\
To rotate the master key:
  1. Make a new key: openssl rand -base64 32
  2. Give every process the new key as the further one, and restart them one after another
       [secrets]
       master_key = \"the old key\"
       further_master_keys = [\"the new key\"]
  3. Exchange the two, so that the new key seals and the old one opens, and restart them again
  4. tidings keys rotate-master --config tidings.toml
  5. Take the old key out of further_master_keys, and restart

A process on its own needs no step 2. --check shows at any time what each key has sealed.";

/// How it is done.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Only show how much each master key has sealed
    #[arg(long)]
    check: bool,
}

/// Seals everything with the first key that is configured, or only counts.
pub(super) async fn run(options: &Options, reach: &Reach, config: &Config) -> Result<(), Failure> {
    reach.is_not_for("`rotate-master`")?;
    // Before the database is started for it.
    let keys = app::master_keys(config)?;
    let screen = Screen::new(reach.json);
    let database = Database::open(&config.database).await?;
    let done = on_database(options, &keys, &database, screen).await;
    database.close().await?;
    done
}

async fn on_database(options: &Options, keys: &MasterKeys, database: &Database, screen: Screen) -> Result<(), Failure> {
    database.prepare(false).await?;
    let before = database.store.sealed_with().await?;
    if options.check {
        show(screen, keys, &before, 0)?;
        if let Some(error) = missing(keys, &before) {
            return Err(error.into());
        }
        screen.note(what_remains(keys, &before));
        return Ok(());
    }
    let total: i64 = before.iter().filter(|count| count.key_id != keys.sealing()).map(values).sum();
    let bar = Progress::of(total.unsigned_abs(), "secrets");
    let mut done = 0;
    let resealed = reseal(&database.store, keys, &mut |count| {
        done += count;
        bar.is_at(done);
    })
    .await;
    drop(bar);
    let resealed = resealed.map_err(nothing_done)?;
    show(screen, keys, &resealed.after, resealed.count)?;
    close(screen, keys, &resealed)
}

/// The first thing that is asked is whether all keys are there.
fn nothing_done(error: ActionError) -> Failure {
    match error {
        ActionError::Secret(error) => Failure::told(format!("{error}. Nothing was changed")),
        other => other.into(),
    }
}

/// What is to be done next; a failure where something is left.
fn close(screen: Screen, keys: &MasterKeys, resealed: &Resealed) -> Result<(), Failure> {
    if let Some((tenant_id, webhook_id)) = resealed.corrupt.first() {
        let count = resealed.corrupt.len();
        return Err(Failure::told(format!(
            "{count} of the values do not open with the key that they name, since they were altered or moved, the first of webhook {webhook_id} of tenant {tenant_id}: they were left as they are. Rotate the secret of each such webhook with `--overlap 0`, and send its headers again, or delete it"
        )));
    }
    if let Some(error) = missing(keys, &resealed.after) {
        return Err(error.into());
    }
    if old(keys, &resealed.after).next().is_some() {
        return Err(Failure::told(
            "a process still seals with another master key: give every process the same `secrets.master_key`, then run this again",
        ));
    }
    screen.note(what_remains(keys, &resealed.after));
    Ok(())
}

fn what_remains(keys: &MasterKeys, counts: &[SealedWith]) -> String {
    let sealing = keys.sealing();
    let left: i64 = old(keys, counts).map(values).sum();
    if left > 0 {
        return format!("{left} are to be sealed anew with `{sealing}`; until then every key is needed.");
    }
    match keys.ids().count() {
        1 => format!("Everything is sealed with `{sealing}`, the only key there is."),
        _ => format!(
            "Everything is sealed with `{sealing}`. Once it is `secrets.master_key` of every process, the further ones can be taken out."
        ),
    }
}

fn old<'a>(keys: &'a MasterKeys, counts: &'a [SealedWith]) -> impl Iterator<Item = &'a SealedWith> {
    counts.iter().filter(|count| count.key_id != keys.sealing())
}

const fn values(count: &SealedWith) -> i64 {
    count.secrets + count.headers
}

/// A row for each key, those that sealed nothing included.
fn show(screen: Screen, keys: &MasterKeys, counts: &[SealedWith], resealed: u64) -> Result<(), Failure> {
    let rows = rows(keys, counts);
    if screen.json {
        return screen.say(json!({ "resealed": resealed, "master_keys": rows }).to_string());
    }
    screen.say(table().text(&rows, screen))?;
    if resealed > 0 {
        screen.note(format!("{resealed} were sealed anew."));
    }
    Ok(())
}

fn rows(keys: &MasterKeys, counts: &[SealedWith]) -> Vec<Value> {
    let of = |id: &str| counts.iter().find(|count| count.key_id == id);
    let row = |id: &str, usage: &str| {
        let (secrets, headers) = of(id).map_or((0, 0), |count| (count.secrets, count.headers));
        json!({ "id": id, "use": usage, "secrets": secrets, "headers": headers })
    };
    let known = keys.ids().enumerate().map(|(index, id)| row(id, if index == 0 { "seals" } else { "opens" }));
    let unknown = counts.iter().filter(|count| keys.ids().all(|id| id != count.key_id));
    known.chain(unknown.map(|count| row(&count.key_id, "missing"))).collect()
}

fn table() -> Table {
    let usage = |row: &Value| match row["use"].as_str() {
        Some("missing") => Cell::new("missing", Tone::Bad),
        _ => Cell::of(&row["use"]),
    };
    Table::new(vec![
        Column::text("MASTER KEY", "id"),
        Column::new("USE", usage),
        Column::text("SECRETS", "secrets").right(),
        Column::text("HEADERS", "headers").right(),
    ])
}
