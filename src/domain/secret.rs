//! Secrets: made here, sealed here, never printed.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A secret text: a signing secret, a static token or an API key. `Debug` and logs show nothing of it.
pub type Secret = SecretString;

const NONCE_BYTES: usize = 24;

/// A key that seals secrets in the database.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The master keys of a process: the first seals, each opens what it sealed. There is more than one while they are rotated.
#[derive(Debug, Clone)]
pub struct MasterKeys(Vec<MasterKey>);

/// Why a master key or a sealed secret cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The configured key has the wrong shape.
    #[error("a master key is 32 bytes in base64 (44 characters); `openssl rand -base64 32` makes one")]
    InvalidMasterKey,
    /// The secret was sealed with a key that this process does not have.
    #[error(
        "a secret in this database is sealed with the master key whose id is `{sealed_with}`, but {configured}: add the key that is missing to `secrets.further_master_keys`, or set it as `secrets.master_key` (`tidings check-config` shows the ids of those configured)"
    )]
    UnknownMasterKey {
        /// The id stored with the ciphertext.
        sealed_with: String,
        /// Which keys are configured, by their ids, for people.
        configured: String,
    },
    /// Two of the configured keys are the same.
    #[error("the master key whose id is `{0}` is configured twice: each must be different")]
    SameMasterKey(String),
    /// The ciphertext was changed, or belongs to another webhook.
    #[error("a sealed secret does not open: its ciphertext was altered or belongs elsewhere")]
    Corrupt,
}

/// Whether two texts, of which one is a secret or was made with one, are the same: in a time that depends on their lengths
/// alone. Nothing else compares secrets, signatures, challenges or digests of keys.
#[must_use]
pub fn same(left: impl AsRef<[u8]>, right: impl AsRef<[u8]>) -> bool {
    left.as_ref().ct_eq(right.as_ref()).into()
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

    fn seal(&self, secret: &Secret, context: &[u8], nonce: [u8; NONCE_BYTES]) -> Result<Sealed, SecretError> {
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: context };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::Corrupt)?;
        Ok(Sealed { key_id: self.id.clone(), ciphertext: [&nonce[..], &sealed].concat() })
    }

    /// Opens what [`MasterKey::seal`] of this key sealed with the same context.
    fn open(&self, sealed: &Sealed, context: &[u8]) -> Result<Secret, SecretError> {
        let (nonce, msg) = sealed.ciphertext.split_first_chunk::<NONCE_BYTES>().ok_or(SecretError::Corrupt)?;
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), Payload { msg, aad: context });
        let text = String::from_utf8(plain.map_err(|_| SecretError::Corrupt)?).map_err(|_| SecretError::Corrupt)?;
        Ok(text.into())
    }
}

impl MasterKeys {
    /// `sealing` seals; it and `further` open. No two may be the same.
    pub fn new(sealing: MasterKey, further: impl IntoIterator<Item = MasterKey>) -> Result<Self, SecretError> {
        let mut keys = vec![sealing];
        for key in further {
            if keys.iter().any(|known| known.id == key.id) {
                return Err(SecretError::SameMasterKey(key.id));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// The ids of all of them; the first is that of the key that seals.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(MasterKey::id)
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn sealing(&self) -> &str {
        self.ids().next().unwrap_or_default()
    }

    /// Seals a secret for one place: `context` (tenant, webhook, kind) must be the same to open it.
    pub fn seal(&self, secret: &Secret, context: &[u8], nonce: [u8; NONCE_BYTES]) -> Result<Sealed, SecretError> {
        self.0.first().ok_or(SecretError::InvalidMasterKey)?.seal(secret, context, nonce)
    }

    /// Opens what any of the keys sealed with the same context.
    pub fn open(&self, sealed: &Sealed, context: &[u8]) -> Result<Secret, SecretError> {
        let key = self.0.iter().find(|key| key.id == sealed.key_id);
        key.ok_or_else(|| self.lacks(&sealed.key_id))?.open(sealed, context)
    }

    /// What to tell somebody whose database holds what another key sealed.
    #[must_use]
    pub fn lacks(&self, sealed_with: &str) -> SecretError {
        let ids: Vec<_> = self.ids().map(|id| format!("`{id}`")).collect();
        let configured = match &ids[..] {
            [id] => format!("the one configured is {id}"),
            ids => format!("those configured are {}", ids.join(", ")),
        };
        SecretError::UnknownMasterKey { sealed_with: sealed_with.to_owned(), configured }
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
    fn texts_are_the_same_or_not() {
        assert!(same("abc", b"abc") && same("", ""));
        for (left, right) in [("abc", "abd"), ("abc", "ab"), ("", "a"), ("abc", "Abc")] {
            assert!(!same(left, right), "{left} {right}");
        }
    }

    fn keys(sealing: u8, further: &[u8]) -> MasterKeys {
        MasterKeys::new(key(sealing), further.iter().map(|byte| key(*byte))).expect("keys")
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place_and_with_its_key() {
        let sealed = keys(1, &[]).seal(&"whsec_x".into(), b"here", [7; 24]).expect("sealed");
        assert!(!sealed.ciphertext.windows(7).any(|window| window == b"whsec_x"));
        assert_eq!(keys(1, &[]).open(&sealed, b"here").expect("opened").expose_secret(), "whsec_x");
        assert_eq!(keys(1, &[]).open(&sealed, b"there").expect_err("elsewhere"), SecretError::Corrupt);
        let told = keys(2, &[3]).open(&sealed, b"here").expect_err("another key").to_string();
        assert!(told.contains(", but those configured are `"), "{told}");
        for id in [1, 2, 3].map(|byte| key(byte).id().to_owned()) {
            assert!(told.contains(&id), "{id}: {told}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open_and_none_is_there_twice() {
        let both = keys(2, &[1]);
        for old_or_new in [keys(1, &[2]), both.clone()] {
            let sealed = old_or_new.seal(&"whsec_x".into(), b"here", [7; 24]).expect("sealed");
            assert_eq!(sealed.key_id, old_or_new.sealing());
            assert_eq!(both.open(&sealed, b"here").expect("opened").expose_secret(), "whsec_x");
        }
        assert_eq!(both.ids().collect::<Vec<_>>(), [key(2).id(), key(1).id()]);
        let twice = MasterKeys::new(key(1), [key(2), key(1)]).expect_err("twice");
        assert_eq!(twice, SecretError::SameMasterKey(key(1).id().to_owned()));
    }

    #[test]
    fn a_key_of_another_shape_is_refused_and_none_is_printed() {
        for wrong in ["", "short", &BASE64_STANDARD.encode([1; 31])] {
            assert_eq!(MasterKey::from_base64(wrong).expect_err(wrong), SecretError::InvalidMasterKey);
        }
        assert!(!format!("{:?}", key(1)).contains("AQEB"));
    }
}
