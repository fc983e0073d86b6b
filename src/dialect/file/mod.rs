//! A dialect's file: its keys, and the checks that it passes before it becomes a `Profile`.

mod examples;
mod headers;
mod offer;
mod retry;
mod tables;

use std::collections::BTreeMap;

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
    examples: Option<BTreeMap<String, String>>,
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

#[cfg(test)]
mod tests {
    use crate::dialect::Profile;

    const STANDARD: &str = include_str!("../../../config/dialects/standard.toml");
    const BELTIC: &str = include_str!("../../../config/dialects/beltic.toml");
    const DOCINTELL: &str = include_str!("../../../config/dialects/docintell.toml");
    const LIMAI: &str = include_str!("../../../config/dialects/limai.toml");

    /// The error of a file after one replacement.
    fn error(text: &str, from: &str, to: &str) -> String {
        assert!(text.contains(from), "{from}");
        Profile::parse(&text.replace(from, to)).expect_err(to).to_string()
    }

    #[test]
    fn a_wrong_key_or_value_is_told_with_what_is_allowed() {
        for (text, from, to, told) in [
            (STANDARD, "name = \"standard\"", "name = \"Standard\"", "`name` must be 1 to 64 characters"),
            (DOCINTELL, "timeout_seconds = 10", "timeout_seconds = 0", "`timeout_seconds` must be from 1 to 300"),
            (DOCINTELL, "timeout_seconds", "timeout", "unknown field `timeout`"),
            (STANDARD, "unix-seconds", "unix", "expected one of `unix-seconds`"),
            (STANDARD, "webhook-id: {id}", "webhook-id {id}", "`headers` has `webhook-id {id}`"),
            (STANDARD, "webhook-id: {id}", "Webhook-Signature: {id}", "twice"),
            (STANDARD, "webhook-id: {id}", "webhook-id: {id}{type}", "some text between"),
            (STANDARD, "webhook-id: {id}", "webhook-id: {event}", "allowed are {id}, {type}"),
            (STANDARD, "webhook-id: {id}", "webhook-id: x", "`signature.signed` has a placeholder that no header"),
            (STANDARD, "{signatures}", "x", "`headers` must have `{signatures}`"),
            (STANDARD, ".{body}\"", "\"", "`signature.signed` must have `{body}` once"),
            (STANDARD, "separator = \" \"", "separator = \"\"", "`signature.separator` must be"),
            (STANDARD, "separator = \" \"", "separator = \"\\t\"", "`signature.separator` must be visible ASCII"),
            (STANDARD, "separator = \" \"", "separator = \"\\r\\n\"", "`signature.separator` must be visible ASCII"),
            (STANDARD, "separator = \" \"", "separator = \"\\u007f\"", "`signature.separator` must be visible ASCII"),
            (STANDARD, "separator = \" \"", "separator = \"·\"", "`signature.separator` must be visible ASCII"),
            (STANDARD, "prefix = \"v1,\"", "prefix = \"v1\\n\"", "`signature.prefix` must be visible ASCII"),
            (STANDARD, "prefix = \"v1,\"", "prefix = \" v1,\"", "`signature.prefix` must not begin with a space"),
            (STANDARD, "random_bytes = 32", "random_bytes = 33", "`secret.random_bytes` must be from 16 to 32"),
            (STANDARD, "min_chars = 38", "min_chars = 380", "`secret.min_chars` must not exceed"),
            (STANDARD, "\"data\": \"{data}\"", "\"data\": 1", "`body.template` must have the data once"),
            (
                STANDARD,
                "waits_seconds = [5",
                "max_attempts = 3\nwaits_seconds = [5",
                "`retry.waits_seconds` must stand",
            ),
            (STANDARD, "waits_seconds = [5", "waits_seconds = [-5", "`retry.waits_seconds` must be"),
            (STANDARD, "[410]", "[200]", "`retry.terminal_statuses` must be"),
            (STANDARD, "[410]", "[\"499-400\"]", "`retry.terminal_statuses` must be"),
            (STANDARD, "[410]", "[410]\njitter = 2", "`retry.jitter` must be from 0 to 1"),
            (BELTIC, "{token}", "x", "`token` must be there"),
            (BELTIC, "\"processed\"", "\"has spaces\"", "`event_types` has `has spaces`"),
            (BELTIC, "max_attempts = 5", "max_attempts = 0", "`retry.max_attempts` must be from 1 to 50"),
            (BELTIC, "max_attempts = 5", "", "`retry` must have"),
            (BELTIC, "factor = 2", "factor = 0.5", "`retry.factor` must be from 1 to 10"),
            (LIMAI, "{challenge}", "x", "`challenge.template` must have"),
            (LIMAI, "VERIFICATION", "", "`challenge.event_type` must be"),
            (LIMAI, "VERIFICATION", "DOCUMENT_REVIEWED", "`challenge.event_type` must not be one of `event_types`"),
            (
                LIMAI,
                "\"challenge\": \"{challenge}\"",
                "\"{id}\": [{\"challenge\": \"{challenge}\"}]",
                "`challenge.template` has a member named `{id}`",
            ),
            (
                STANDARD,
                "\"type\": \"{type}\"",
                "\"a\": [{\"{type}\": 1}]",
                "`body.template` has a member named `{type}`",
            ),
            (
                DOCINTELL,
                "webhook_config_id",
                "signing_secret",
                "`registration.aliases.signing_secret` must have another name",
            ),
        ] {
            let error = error(text, from, to);
            assert!(error.contains(told), "{to}: {error}");
        }
    }

    #[test]
    fn headers_that_contradict_the_request_are_refused() {
        for (header, told) in [
            ("host: {id}", "`headers` may not set `host`"),
            ("Content-Encoding: gzip", "`headers` may not set `Content-Encoding`: the body"),
            ("accept-encoding: gzip", "`headers` may not set `accept-encoding`"),
            ("Proxy-Foo: a", "`headers` may not set `Proxy-Foo`: it belongs to the connection"),
            ("Cookie: a=b", "`headers` may not set `Cookie`: cookies"),
            ("Cookie2: a", "`headers` may not set `Cookie2`"),
            ("Traceparent: {id}", "`headers` may not set `Traceparent`: Tidings"),
            ("tracestate: {id}", "`headers` may not set `tracestate`"),
            ("baggage: {id}", "`headers` may not set `baggage`"),
        ] {
            let error = error(STANDARD, "webhook-id: {id}", header);
            assert!(error.contains(told), "{header}: {error}");
        }
    }

    #[test]
    fn a_revision_that_was_accepted_once_is_read_whatever_is_refused_since() {
        for (text, from, to) in [
            (STANDARD, "webhook-id: {id}", "webhook-id: {id}\", \"Cookie: a=b"),
            (STANDARD, "\"type\": \"{type}\"", "\"{type}\": 1"),
            (LIMAI, "VERIFICATION", "DOCUMENT_REVIEWED"),
            (DOCINTELL, "webhook_config_id", "url"),
        ] {
            error(text, from, to);
            Profile::restore(&text.replace(from, to)).expect(to);
        }
    }
}
