//! Logs: one format for people, one for machines, both on standard error.

use std::io;

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// Section `log` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How a line looks.
    pub format: Format,
    /// What is logged: a level, or directives of [`EnvFilter`].
    pub level: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A short line for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".to_owned() }
    }
}

impl Config {
    /// Checks what the types cannot say; the error names the key.
    pub fn validate(&self) -> Result<(), String> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<EnvFilter, String> {
        let parts: Vec<_> = self.level.split(',').map(str::trim).collect();
        // A bare word that is no level would silently be taken for a module's name.
        let wrong = parts.iter().find(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err());
        match (wrong, EnvFilter::builder().parse(parts.join(","))) {
            (None, Ok(filter)) => Ok(filter),
            (wrong, _) => Err(format!(
                "`log.level` has `{}`: write error, warn, info, debug, trace or off, or directives such as `info,tidings::net=debug`",
                wrong.unwrap_or(&self.level.as_str())
            )),
        }
    }
}

/// Starts logging, once in a process. `colours` are for a terminal.
///
/// A panic, which is a defect of Tidings, becomes a log line as well, so that nobody has to read a backtrace.
pub fn init(config: &Config, colours: bool) -> Result<(), String> {
    let lines = tracing_subscriber::fmt().with_env_filter(config.filter()?).with_writer(io::stderr);
    let started = match config.format {
        Format::Json => lines.json().flatten_event(true).try_init(),
        Format::Text => lines.compact().with_target(false).with_ansi(colours).try_init(),
    };
    started.map_err(|error| format!("logging cannot be started: {error}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(panic.place = place, panic.message = panic.payload_as_str(), "defect");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_pass_and_a_misspelt_level_does_not() {
        let validate = |level: &str| Config { level: level.to_owned(), ..Config::default() }.validate();
        for right in ["info", "WARN", "off", "info,tidings::net=debug", "warn, sqlx=trace"] {
            assert_eq!(validate(right), Ok(()), "{right}");
        }
        for wrong in ["infos", "info,debgu", "tidings=loud"] {
            assert!(validate(wrong).expect_err(wrong).contains("`log.level`"));
        }
    }
}
