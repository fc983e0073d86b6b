//! A profile: one dialect, read from its file and ready to use.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::body::{Body, Facts};
use super::challenge::Challenge;
use super::error::DialectError;
use super::file::{File, check_random_text};
use super::keys::{Keys, RandomText, SecretShape};
use super::sign::{Header, Signature};
use super::splice::Unrenderable;
use super::stamp::Stamp;
use crate::domain::event::Event;
use crate::domain::retry::RetryPolicy;
use crate::domain::secret::Secret;

/// One dialect: what it says of itself, how it renders, signs and verifies.
#[derive(Debug, Clone)]
pub struct Profile {
    source: Arc<str>,
    revision_source: Arc<str>,
    name: Arc<str>,
    title: String,
    event_types: Option<Vec<String>>,
    timeout: Option<Duration>,
    pub(super) headers: Vec<Header>,
    pub(super) stamp: Option<Stamp>,
    pub(super) signature: Signature,
    secret: SecretShape,
    token: Option<RandomText>,
    pub(super) body: Body,
    challenge: Option<Challenge>,
    retry: RetryPolicy,
    aliases: BTreeMap<String, String>,
    examples: BTreeMap<String, Bytes>,
}

impl Profile {
    /// Reads a dialect's file. The error names the key and what is allowed; whoever knows the file's name adds it.
    pub fn parse(toml_text: &str) -> Result<Self, DialectError> {
        let file = File::read(toml_text)?;
        file.check_offer()?;
        Self::compile(file, toml_text)
    }

    /// Reads a revision that deliveries were accepted under; checks that came later do not touch it.
    pub fn restore(toml_text: &str) -> Result<Self, DialectError> {
        Self::compile(File::read(toml_text)?, toml_text)
    }

    fn compile(file: File, toml_text: &str) -> Result<Self, DialectError> {
        let headers = file.headers()?;
        let signature = file.signature.compile(&headers)?;
        file.token.as_ref().map_or(Ok(()), |token| check_random_text("token", token))?;
        let body = file.body.compile()?;
        Ok(Self {
            source: toml_text.into(),
            revision_source: file.without_examples(toml_text)?.into(),
            secret: file.secret.compile()?,
            examples: file.checked_examples(&body)?,
            challenge: file.challenge.as_ref().map(|table| file.body.challenge(table)).transpose()?,
            retry: file.retry.compile()?,
            aliases: file.registration.checked()?,
            timeout: file.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            name: file.name.into(),
            title: file.title,
            event_types: file.event_types,
            stamp: file.timestamp,
            token: file.token,
            body,
            headers,
            signature,
        })
    }

    /// Its name in the API and in configuration, such as `numora`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The TOML text it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The part that deliveries depend on: all but the examples. What [`Profile::restore`] makes of it renders and signs the same, now and
    /// later.
    #[must_use]
    pub fn revision_source(&self) -> &str {
        &self.revision_source
    }

    /// What the data of an event of this type looks like, where the file tells.
    #[must_use]
    pub fn example(&self, event_type: &str) -> Option<Bytes> {
        self.examples.get(event_type).cloned()
    }

    /// The event types that it has an example of.
    pub fn types_with_example(&self) -> impl Iterator<Item = &String> {
        self.examples.keys()
    }

    /// The event types it knows; `None` means any.
    #[must_use]
    pub fn event_types(&self) -> Option<&[String]> {
        self.event_types.as_deref()
    }

    /// Every header it sets, as the vendor spells it; a webhook's own headers may not have these names, however they are capitalised.
    pub fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|header| &*header.name)
    }

    /// When to attempt again.
    #[must_use]
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    /// From the start of an attempt to the end of the answer, where the dialect says so.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether several secrets sign beside one another while a rotation's overlap lasts.
    #[must_use]
    pub fn signs_side_by_side(&self) -> bool {
        self.signature.separator.is_some()
    }

    /// Whether each webhook has a static token beside its secret.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// What a receiver must pass before it gets events, if anything.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_ref()
    }

    /// Further members of the answer to a registration, each with the member whose value it repeats, such as
    /// `("webhook_config_id", "id")`.
    pub fn registration_aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, member)| (alias.as_str(), member.as_str()))
    }

    /// A fresh secret, made from chance.
    #[must_use]
    pub fn new_secret(&self, random: &[u8; 32]) -> Secret {
        self.secret.text.make(random)
    }

    /// A fresh token, made from other random bytes than the secret; `None` where the dialect has none.
    #[must_use]
    pub fn new_token(&self, random: &[u8; 32]) -> Option<Secret> {
        self.token.as_ref().map(|token| token.make(random))
    }

    /// Prepares what signs: `secrets`, newest first, and the token where the dialect has one (else it is ignored).
    /// Fails on a secret that does not have the dialect's form, on no secret at all, and on a missing token.
    pub fn keys(&self, secrets: &[Secret], token: Option<&Secret>) -> Result<Keys, DialectError> {
        let wrong = |key: &str, problem: &str| {
            DialectError::at(key, problem).within(format!("a webhook of the dialect `{}`", self.name))
        };
        let prepared = secrets.iter().map(|secret| self.secret.prepare(self.signature.algorithm, secret));
        let signing = prepared.collect::<Result<Vec<_>, _>>().map_err(|problem| wrong("secret", &problem))?;
        if signing.is_empty() {
            return Err(wrong("secret", "must be there"));
        }
        let token = token.filter(|_| self.has_token()).cloned();
        if self.has_token() && token.is_none() {
            return Err(wrong("token", "must be there beside the secret"));
        }
        Ok(Keys { signing, token })
    }

    /// The body of an event's deliveries: the same bytes each time. Fails on data that a flat body cannot carry.
    pub fn render_body(&self, event: &Event) -> Result<Bytes, Unrenderable> {
        let facts = Facts {
            id: &event.id.to_string(),
            event_type: &event.event_type,
            time: event.time(),
            data: &event.data,
            challenge: "",
        };
        self.body.render(&facts).map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: &str = include_str!("../../config/dialects/standard.toml");
    const BELTIC: &str = include_str!("../../config/dialects/beltic.toml");

    #[test]
    fn keys_need_a_secret_of_the_right_form_and_the_token() {
        let beltic = Profile::parse(BELTIC).expect("beltic");
        let (secret, token) = (beltic.new_secret(&[1; 32]), beltic.new_token(&[2; 32]).expect("a token"));
        assert!(beltic.keys(std::slice::from_ref(&secret), Some(&token)).is_ok());
        for (secrets, token, told) in [(vec![], Some(&token), "`secret` must"), (vec![secret], None, "`token` must")] {
            let error = beltic.keys(&secrets, token).expect_err(told).to_string();
            assert!(error.contains("`beltic`") && error.contains(told), "{error}");
        }
        let standard = Profile::parse(STANDARD).expect("standard");
        assert!(standard.keys(&["whsec_short".into()], None).is_err());
        assert!(standard.keys(&[standard.new_secret(&[1; 32])], None).is_ok());
    }
}
