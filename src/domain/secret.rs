//! Secrets: made here, sealed here, never printed.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// A secret text: a signing secret, a static token or an API key. `Debug` and logs show nothing of it.
pub type Secret = SecretString;

const NONCE_BYTES: usize = 24;

/// The key that seals every secret in the database (`secrets.master_key`).
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// Why a master key or a sealed secret cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The configured key has the wrong shape.
    #[error("a master key is 32 bytes in base64 (44 characters); `openssl rand -base64 32` makes one")]
    InvalidMasterKey,
    /// The secret was sealed with another key.
    #[error(
        "the secret was sealed with master key `{sealed_with}`, but `secrets.master_key` is `{configured}`: configure the key that this database was used with"
    )]
    OtherMasterKey {
        /// The id stored with the ciphertext.
        sealed_with: String,
        /// The id of the configured key.
        configured: String,
    },
    /// The ciphertext was changed, or belongs to another webhook.
    #[error("a sealed secret does not open: its ciphertext was altered or belongs elsewhere")]
    Corrupt,
}

/// A secret as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which master key sealed it.
    pub key_id: String,
    /// Nonce, then ciphertext and tag.
    pub ciphertext: Vec<u8>,
}

impl MasterKey {
    /// Reads a key from base64 and derives its id: the first 8 hex digits of its SHA-256.
    pub fn from_base64(text: &str) -> Result<Self, SecretError> {
        let key = BASE64_STANDARD.decode(text.trim()).map_err(|_| SecretError::InvalidMasterKey)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| SecretError::InvalidMasterKey)?;
        let mut id = hex::encode(Sha256::digest(&key));
        id.truncate(8);
        Ok(Self { id, cipher })
    }

    /// The id stored beside everything this key sealed.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Seals a secret for one place: `context` (tenant, webhook, kind) must be the same to open it.
    pub fn seal(&self, secret: &Secret, context: &[u8], nonce: [u8; NONCE_BYTES]) -> Result<Sealed, SecretError> {
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: context };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::Corrupt)?;
        Ok(Sealed { key_id: self.id.clone(), ciphertext: [&nonce[..], &sealed].concat() })
    }

    /// Opens what [`MasterKey::seal`] sealed with the same context.
    pub fn open(&self, sealed: &Sealed, context: &[u8]) -> Result<Secret, SecretError> {
        if sealed.key_id != self.id {
            return Err(SecretError::OtherMasterKey {
                sealed_with: sealed.key_id.clone(),
                configured: self.id.clone(),
            });
        }
        let (nonce, msg) = sealed.ciphertext.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Corrupt)?;
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg, aad: context });
        let text = String::from_utf8(plain.map_err(|_| SecretError::Corrupt)?).map_err(|_| SecretError::Corrupt)?;
        Ok(text.into())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> MasterKey {
        MasterKey::from_base64(&BASE64_STANDARD.encode([byte; 32])).expect("a key")
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place_and_with_its_key() {
        let sealed = key(1).seal(&"whsec_x".into(), b"here", [7; 24]).expect("sealed");
        assert!(!sealed.ciphertext.windows(7).any(|window| window == b"whsec_x"));
        assert_eq!(key(1).open(&sealed, b"here").expect("opened").expose_secret(), "whsec_x");
        assert_eq!(key(1).open(&sealed, b"there").expect_err("elsewhere"), SecretError::Corrupt);
        assert!(matches!(key(2).open(&sealed, b"here"), Err(SecretError::OtherMasterKey { .. })));
    }

    #[test]
    fn a_key_of_another_shape_is_refused_and_none_is_printed() {
        for wrong in ["", "short", &BASE64_STANDARD.encode([1; 31])] {
            assert_eq!(MasterKey::from_base64(wrong).expect_err(wrong), SecretError::InvalidMasterKey);
        }
        assert!(!format!("{:?}", key(1)).contains("AQEB"));
    }
}
