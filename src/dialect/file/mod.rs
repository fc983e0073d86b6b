//! A dialect's file: its keys, and the checks that it passes before it becomes a `Profile`.

mod headers;
mod retry;
mod tables;

use serde::Deserialize;

use self::retry::{RegistrationTable, RetryTable};
use self::tables::{BodyTable, ChallengeTable, SecretTable, SignatureTable};
use super::error::DialectError;
use super::keys::RandomText;
use super::stamp::Stamp;
use crate::domain::event::is_event_type;

pub(crate) use self::tables::check_random_text;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) event_types: Option<Vec<String>>,
    pub(crate) timeout_seconds: Option<u16>,
    pub(crate) headers: Vec<String>,
    pub(crate) timestamp: Option<Stamp>,
    pub(crate) signature: SignatureTable,
    pub(crate) secret: SecretTable,
    pub(crate) token: Option<RandomText>,
    pub(crate) body: BodyTable,
    pub(crate) challenge: Option<ChallengeTable>,
    pub(crate) retry: RetryTable,
    #[serde(default)]
    pub(crate) registration: RegistrationTable,
}

impl File {
    /// Reads the TOML; the message names the key, the line, and the keys or values that are allowed.
    pub(crate) fn read(text: &str) -> Result<Self, DialectError> {
        let file: Self = toml::from_str(text).map_err(|error| DialectError::whole(error.to_string().trim_end()))?;
        file.check_names()?;
        Ok(file)
    }

    fn check_names(&self) -> Result<(), DialectError> {
        let name_chars = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(name_chars) {
            return Err(DialectError::at("name", "must be 1 to 64 characters from a-z, 0-9, - and _"));
        }
        if let Some(types) = &self.event_types {
            if types.is_empty() {
                return Err(DialectError::at("event_types", "must name at least one; leave it out to allow any"));
            }
            if let Some(wrong) = types.iter().find(|text| !is_event_type(text)) {
                return Err(DialectError::at(
                    "event_types",
                    format!("has `{wrong}`; a type is [A-Za-z0-9_.:-]{{1,128}}"),
                ));
            }
        }
        if self.timeout_seconds.is_some_and(|seconds| !(1..=300).contains(&seconds)) {
            return Err(DialectError::at("timeout_seconds", "must be from 1 to 300"));
        }
        Ok(())
    }
}
