//! `tidings openapi`.

use std::io::Write;

use super::Failure;
use crate::api::openapi;
use crate::app::AppError;
use crate::config::Config;
use crate::dialect::Dialects;

/// Prints the API's description, with the dialects that the configuration has.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let dialects = Dialects::load(config.dialects.dir.as_deref()).map_err(AppError::from)?;
    Ok(writeln!(std::io::stdout(), "{:#}", openapi::document(&dialects))?)
}
