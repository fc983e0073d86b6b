//! Keys: how a dialect's secrets are made and read, and the prepared keys that sign.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde::Deserialize;
use sha2::{Sha256, Sha512};

use crate::domain::secret::Secret;

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Encoding {
    /// Lowercase hexadecimal digits.
    Hex,
    /// The standard alphabet, with padding.
    Base64,
}

impl Encoding {
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64_STANDARD.encode(bytes),
        }
    }

    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64_STANDARD.decode(text).ok(),
        }
    }
}

/// The hash inside the HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Algorithm {
    Sha256,
    Sha512,
}

/// Which part of a secret is the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KeyForm {
    /// The whole text, prefix included, as UTF-8.
    Text,
    /// The bytes that the text after the prefix encodes.
    Decoded,
}

/// How a random text (a token, the random part of a secret) is made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RandomText {
    #[serde(default)]
    pub(super) prefix: String,
    pub(super) random_bytes: usize,
    pub(super) encoding: Encoding,
}

impl RandomText {
    /// Makes a fresh one from random bytes.
    pub(super) fn make(&self, random: &[u8; 32]) -> Secret {
        let used = &random[..self.random_bytes.min(random.len())];
        format!("{}{}", self.prefix, self.encoding.encode(used)).into()
    }

    /// What is wrong with it, and under which key.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if !self.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(("prefix", "must be visible ASCII characters".to_owned()));
        }
        if !(16..=32).contains(&self.random_bytes) {
            return Err(("random_bytes", format!("must be from 16 to 32, not {}", self.random_bytes)));
        }
        Ok(())
    }
}

/// How secrets look and which part of them signs.
#[derive(Debug, Clone)]
pub(super) struct SecretShape {
    pub(super) text: RandomText,
    pub(super) key: KeyForm,
    pub(super) min_chars: usize,
}

impl SecretShape {
    /// The bytes that sign; the error says what a secret must look like, and nothing of this one.
    fn key_bytes(&self, secret: &Secret) -> Result<Vec<u8>, String> {
        let text = secret.expose_secret();
        let RandomText { prefix, encoding, .. } = &self.text;
        let wrong = || format!("must be `{prefix}` and at least {} characters in all", self.min_chars);
        let rest = text.strip_prefix(prefix.as_str()).ok_or_else(wrong)?;
        if text.chars().count() < self.min_chars || rest.is_empty() {
            return Err(wrong());
        }
        match self.key {
            KeyForm::Text => Ok(text.as_bytes().to_vec()),
            KeyForm::Decoded => encoding.decode(rest).ok_or_else(|| {
                format!("must be {} after `{prefix}`", if *encoding == Encoding::Hex { "hex" } else { "base64" })
            }),
        }
    }

    /// Prepares the key of a secret.
    pub(super) fn prepare(&self, algorithm: Algorithm, secret: &Secret) -> Result<Key, String> {
        Key::new(algorithm, &self.key_bytes(secret)?)
    }
}

/// A keyed HMAC; a clone costs two copied hash states, keying anew two hashed blocks.
#[derive(Clone)]
pub(super) enum Key {
    Sha256(Hmac<Sha256>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, String> {
        match algorithm {
            Algorithm::Sha256 => Hmac::new_from_slice(key).map(Self::Sha256),
            Algorithm::Sha512 => Hmac::new_from_slice(key).map(Self::Sha512),
        }
        .map_err(|error| error.to_string())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    pub(super) fn finish(self, encoding: Encoding) -> String {
        match self {
            Self::Sha256(mac) => encoding.encode(&mac.finalize().into_bytes()),
            Self::Sha512(mac) => encoding.encode(&mac.finalize().into_bytes()),
        }
    }
}

/// What signs a webhook's requests, prepared by `Profile::keys`; worth keeping from attempt to attempt.
#[derive(Clone)]
pub struct Keys {
    /// Newest first; empty where the secrets were forgotten.
    pub(super) signing: Vec<Key>,
    /// The static token, where the dialect has one.
    pub(super) token: Option<Secret>,
}

impl Keys {
    /// Stands for secrets that are no longer kept, where an old request is shown: this text takes the place of the
    /// signatures.
    pub const FORGOTTEN: &str = "[forgotten]";
    /// Stands for a token where a request is shown.
    pub const REDACTED: &str = "[redacted]";

    /// What shows a request whose secrets were forgotten. Nothing that it "signs" may be sent.
    #[must_use]
    pub fn forgotten() -> Self {
        Self { signing: Vec::new(), token: Some(Self::REDACTED.into()) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("signing", &self.signing.len())
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(prefix: &str, encoding: Encoding, key: KeyForm) -> SecretShape {
        let text = RandomText { prefix: prefix.into(), random_bytes: 24, encoding };
        SecretShape { text, key, min_chars: 30 }
    }

    #[test]
    fn a_fresh_secret_has_the_shape_that_is_asked_for() {
        for encoding in [Encoding::Hex, Encoding::Base64] {
            let shape = shape("whsec_", encoding, KeyForm::Decoded);
            let secret = shape.text.make(&[7; 32]);
            assert_eq!(shape.key_bytes(&secret), Ok(vec![7; 24]));
        }
    }

    #[test]
    fn a_text_key_is_the_whole_secret() {
        let secret = format!("whsec_{}", "é".repeat(24));
        let key = shape("whsec_", Encoding::Hex, KeyForm::Text).key_bytes(&secret.clone().into());
        assert_eq!(key, Ok(secret.into_bytes()));
    }

    #[test]
    fn a_secret_of_another_shape_is_refused_without_showing_it() {
        let shape = shape("whsec_", Encoding::Base64, KeyForm::Decoded);
        for wrong in ["", "whsec_", "whsec_c2VjcmV0", &"c2VjcmV0".repeat(5), &format!("whsec_{}", "§".repeat(30))] {
            let error = shape.key_bytes(&wrong.into()).expect_err(wrong);
            assert!(error.contains("whsec_") && !error.contains("c2VjcmV0"), "{error}");
        }
    }
}
