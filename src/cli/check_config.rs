//! `tidings check-config`.

use std::io::{self, Write};

use super::Failure;
use super::show::cell::counted;
use crate::app::AppError;
use crate::config::{Config, Loaded};
use crate::dialect::Dialects;
use crate::net::Sender;

/// Prints the values in force, then looks at what they name: dialects, certificate authorities.
pub(super) fn run(loaded: &Loaded) -> Result<(), Failure> {
    let mut out = io::stdout();
    writeln!(out, "{}", loaded.to_string().trim_end())?;
    let dialects = look(&loaded.config)?;
    let hint = if loaded.config.secrets.master_key.is_none() {
        "\n# `tidings serve` needs secrets.master_key as well: `openssl rand -base64 32` makes one."
    } else {
        ""
    };
    let differ = counted(loaded.count_set() as u64, "setting differs", "settings differ");
    writeln!(out, "\n# The configuration is good: {differ} from the defaults.")?;
    writeln!(out, "# Dialects: {}.{hint}", dialects.join(", "))?;
    if let Some(keys) = loaded.config.secrets.keys()? {
        let further: Vec<_> = keys.ids().skip(1).map(|id| format!("; `{id}` opens")).collect();
        writeln!(out, "# Master keys by their ids: `{}` seals and opens{}.", keys.sealing(), further.concat())?;
    }
    Ok(())
}

/// Opens what the configuration names; returns the names of the dialects.
fn look(config: &Config) -> Result<Vec<String>, AppError> {
    let dialects = Dialects::load(config.dialects.dir.as_deref())?;
    Sender::check(&config.egress)?;
    Ok(dialects.iter().map(|profile| profile.name().to_owned()).collect())
}
