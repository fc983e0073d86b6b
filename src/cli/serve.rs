//! `tidings serve` and `tidings migrate`.

use std::io::{self, Write};
use std::time::Instant;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Failure, lifeline};
use crate::app::{App, AppError, Database, Role};
use crate::config::Config;

pub(super) const EXAMPLES: &str = "\
Examples:
  tidings serve --config tidings.toml              both roles in one process
  tidings serve --role dispatch                    one more process that delivers
  tidings serve --migrate                          bring the schema up to date first";

/// What `tidings serve` is asked to do.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// What this process does; several processes share one database
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',', default_value = "api,dispatch", value_parser = role())]
    pub(super) role: Vec<Role>,
    /// Bring the database's schema to this version before starting
    #[arg(long)]
    migrate: bool,
    /// End when standard input closes: the parent that holds it open is gone then
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|text| Role::parse(&text).ok_or("no such role"))
}

/// Serves until told to stop; requests are answered in the runtime `api`.
pub(super) async fn run(
    options: Options,
    config: Config,
    api: Handle,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let begun = Instant::now();
    // Before anything is started: it is the setting that is forgotten most.
    if config.secrets.master_key.is_none() {
        return Err(AppError::NoMasterKey.into());
    }
    if options.until_stdin_closes {
        lifeline::watch(shutdown.clone());
    }
    let database = Database::open(&config.database).await?;
    let served = serve(&options, &config, &database, api, shutdown, begun).await;
    let closed = database.close().await;
    served?;
    closed?;
    tracing::info!("stopped");
    Ok(())
}

async fn serve(
    options: &Options,
    config: &Config,
    database: &Database,
    api: Handle,
    shutdown: CancellationToken,
    begun: Instant,
) -> Result<(), Failure> {
    database.prepare(options.migrate).await?;
    let app = App::build(config, &options.role, database, api).await?;
    tracing::info!(
        server.address = app.address().map(tracing::field::display),
        metrics.address = app.metrics_address().map(tracing::field::display),
        roles = options.role.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(","),
        duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "ready"
    );
    if app.address().is_some() && config.server.platform_key.is_none() && has_no_keys(database).await {
        tracing::warn!(
            "nobody has an API key yet: set `server.platform_key`, which manages tenants and keys, and start again"
        );
    }
    tokio::select! {
        () = app.run(shutdown) => Ok(()),
        // Nothing can be accepted or recorded any more, and what is under way is sent again.
        gone = database.gone() => Err(gone.into()),
    }
}

async fn has_no_keys(database: &Database) -> bool {
    database.store.api_keys(None, None, 1).await.is_ok_and(|keys| keys.is_empty())
}

/// Applies the migrations that are missing.
pub(super) async fn migrate(config: &Config) -> Result<(), Failure> {
    let database = Database::open(&config.database).await?;
    // Whatever else hinders is told by the second.
    let is_old = database.prepare(false).await.is_err();
    let migrated = database.prepare(true).await;
    let closed = database.close().await;
    migrated?;
    closed?;
    let done =
        if is_old { "was brought to this version" } else { "is already at this version: there was nothing to do" };
    Ok(writeln!(io::stdout(), "The database's schema {done}.")?)
}
