//! The tables of a dialect's file about signatures, secrets, bodies and challenges.

use serde::Deserialize;

use crate::dialect::body::{Body, BodySlot, CHALLENGE_SLOTS, EVENT_SLOTS, check_names};
use crate::dialect::challenge::Challenge;
use crate::dialect::error::DialectError;
use crate::dialect::keys::{Algorithm, Encoding, KeyForm, RandomText, SecretShape};
use crate::dialect::sign::{Header, HeaderSlot, SIGNED_SLOTS, Signature, SignedSlot};
use crate::dialect::stamp::TimeFormat;
use crate::dialect::template::Template;
use crate::domain::event::is_event_type;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignatureTable {
    algorithm: Algorithm,
    signed: String,
    encoding: Encoding,
    #[serde(default)]
    prefix: String,
    separator: Option<String>,
}

impl SignatureTable {
    /// Every part that is signed must be in a header, or nobody could verify it.
    pub(crate) fn compile(&self, headers: &[Header]) -> Result<Signature, DialectError> {
        let wrong = |problem: &str| DialectError::at("signature.signed", problem);
        let signed = Template::parse(&self.signed, SIGNED_SLOTS).map_err(|problem| wrong(&problem))?;
        if signed.count(SignedSlot::Body) != 1 {
            return Err(wrong("must have `{body}` once"));
        }
        if signed.is_ambiguous() {
            return Err(wrong("must have some text between its placeholders"));
        }
        for (part, slot) in [
            (SignedSlot::Id, HeaderSlot::Id),
            (SignedSlot::Type, HeaderSlot::Type),
            (SignedSlot::Timestamp, HeaderSlot::Timestamp),
        ] {
            if signed.uses(part) && !headers.iter().any(|header| header.value.uses(slot)) {
                return Err(wrong("has a placeholder that no header carries, so that no receiver could verify it"));
            }
        }
        let visible = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !visible(&self.prefix) {
            return Err(DialectError::at("signature.prefix", "must be visible ASCII characters"));
        }
        if self.separator.as_ref().is_some_and(|text| text.is_empty() || !visible(text)) {
            let problem = "must be visible ASCII characters or spaces; leave it out where only one secret signs";
            return Err(DialectError::at("signature.separator", problem));
        }
        Ok(Signature {
            algorithm: self.algorithm,
            signed,
            encoding: self.encoding,
            prefix: self.prefix.clone(),
            separator: self.separator.clone(),
        })
    }

    /// Where a header begins with the signature, it begins with the prefix, and no header's value may begin with a space.
    pub(super) fn check_prefix(&self) -> Result<(), DialectError> {
        if self.prefix.starts_with(' ') {
            let problem = "must not begin with a space: put that before `{signatures}` in `headers`";
            return Err(DialectError::at("signature.prefix", problem));
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretTable {
    #[serde(default)]
    prefix: String,
    random_bytes: usize,
    encoding: Encoding,
    key: KeyForm,
    #[serde(default = "one")]
    min_chars: usize,
}

const fn one() -> usize {
    1
}

impl SecretTable {
    pub(crate) fn compile(&self) -> Result<SecretShape, DialectError> {
        let text = RandomText { prefix: self.prefix.clone(), random_bytes: self.random_bytes, encoding: self.encoding };
        check_random_text("secret", &text)?;
        let shape = SecretShape { text, key: self.key, min_chars: self.min_chars };
        if shape.prepare(Algorithm::Sha256, &shape.text.make(&[0; 32])).is_err() {
            return Err(DialectError::at("secret.min_chars", "must not exceed what `random_bytes` give"));
        }
        Ok(shape)
    }
}

/// Checks a table that makes random texts.
pub(crate) fn check_random_text(table: &str, text: &RandomText) -> Result<(), DialectError> {
    text.check().map_err(|(key, problem)| DialectError::at(format!("{table}.{key}"), problem))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodyTable {
    #[serde(default)]
    time_format: TimeFormat,
    template: String,
}

impl BodyTable {
    pub(crate) fn compile(&self) -> Result<Body, DialectError> {
        let body = Body::compile(&self.template, self.time_format, EVENT_SLOTS)
            .map_err(|problem| DialectError::at("body.template", problem))?;
        if body.data_count() != 1 {
            let problem = r#"must have the data once: `"data": "{data}"` or, for its members, `"...": "{data}"`"#;
            return Err(DialectError::at("body.template", problem));
        }
        Ok(body)
    }

    pub(super) fn check_names(&self) -> Result<(), DialectError> {
        check_names(&self.template).map_err(|problem| DialectError::at("body.template", problem))
    }

    pub(crate) fn challenge(&self, table: &ChallengeTable) -> Result<Challenge, DialectError> {
        let wrong = |problem: String| DialectError::at("challenge.template", problem);
        let body = Body::compile(&table.template, self.time_format, CHALLENGE_SLOTS).map_err(wrong)?;
        if [BodySlot::Type, BodySlot::Challenge].into_iter().any(|slot| body.pointer(slot).is_none()) {
            return Err(wrong("must have `{type}` and `{challenge}`, each alone in a string".to_owned()));
        }
        if !is_event_type(&table.event_type) {
            return Err(DialectError::at("challenge.event_type", "must be [A-Za-z0-9_.:-]{1,128}"));
        }
        if table.answer_member.is_none() && !table.answer_bare {
            return Err(DialectError::at("challenge.answer_member", "or `answer_bare` must be there"));
        }
        Ok(Challenge {
            event_type: table.event_type.clone(),
            body,
            answer_member: table.answer_member.clone(),
            answer_bare: table.answer_bare,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChallengeTable {
    pub(super) event_type: String,
    template: String,
    answer_member: Option<String>,
    #[serde(default)]
    answer_bare: bool,
}

impl ChallengeTable {
    pub(super) fn check_names(&self) -> Result<(), DialectError> {
        check_names(&self.template).map_err(|problem| DialectError::at("challenge.template", problem))
    }
}
