//! From a header to a principal.

use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::memory::Memory;
use crate::api::kinds;
use crate::api::problem::Problem;
use crate::domain::ids::TenantId;
use crate::domain::secret::Secret;
use crate::domain::tenant::Principal;
use crate::store::Store;

/// Longer than any key.
const MAX_KEY_BYTES: usize = 256;

type KeyDigest = [u8; 32];

/// The keys that are known: the configuration's, and those in the database. Keys are compared by their SHA-256, in
/// constant time.
#[derive(Debug)]
pub(in crate::api) struct Keyring {
    platform: Option<KeyDigest>,
    keys: Memory<KeyDigest, Arc<Principal>>,
    tenants: Memory<TenantId, ()>,
}

impl Keyring {
    pub(in crate::api) fn new(platform_key: Option<&Secret>) -> Self {
        let platform = platform_key.map(|key| Sha256::digest(key.expose_secret()).into());
        Self { platform, keys: Memory::default(), tenants: Memory::default() }
    }

    /// Who sent a request with these headers.
    pub(super) async fn identify(&self, headers: &HeaderMap, store: &Store) -> Result<Arc<Principal>, Problem> {
        let digest: KeyDigest = Sha256::digest(bearer(headers)?).into();
        let era = match self.keys.recall(&digest) {
            Ok(principal) => return Ok(principal),
            Err(era) => era,
        };
        let principal = if self.platform.is_some_and(|platform| bool::from(platform.ct_eq(&digest))) {
            Some(Principal::Platform { key: None })
        } else {
            store.principal(&digest).await?
        };
        let principal = Arc::new(principal.ok_or_else(|| refuse("the key is unknown or was revoked"))?);
        self.keys.keep(digest, Arc::clone(&principal), era);
        Ok(principal)
    }

    /// Whether there is such a tenant for a platform key to act for.
    pub(super) async fn check_tenant(&self, id: TenantId, store: &Store) -> Result<(), Problem> {
        let Err(era) = self.tenants.recall(&id) else { return Ok(()) };
        store.tenant(id).await?.ok_or_else(|| Problem::not_found("tenant"))?;
        self.tenants.keep(id, (), era);
        Ok(())
    }

    /// Forgets what it remembers, because a key or a tenant was deleted.
    pub(in crate::api) fn forget(&self) {
        self.keys.forget();
        self.tenants.forget();
    }
}

/// The key in the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| refuse("send the header `Authorization: Bearer <key>`"))?;
    if values.next().is_some() {
        return Err(refuse("send one `Authorization` header, not several"));
    }
    let text = value.to_str().map_err(|_| refuse("the key must be visible ASCII characters"))?;
    match text.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => match key.trim() {
            "" => Err(refuse("the key is missing behind `Bearer`")),
            key if key.len() > MAX_KEY_BYTES => Err(refuse("the key is longer than any key")),
            key => Ok(key.as_bytes()),
        },
        _ => Err(refuse("the scheme must be `Bearer`: send `Authorization: Bearer <key>`")),
    }
}

fn refuse(detail: &'static str) -> Problem {
    Problem::new(kinds::UNAUTHENTICATED, detail).with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).expect("a value")))
            .collect()
    }

    #[test]
    fn one_bearer_key_is_read() {
        for good in ["Bearer tk_live_1", "bearer tk_live_1", "BEARER  tk_live_1"] {
            assert_eq!(bearer(&headers(&[good])).expect(good), b"tk_live_1");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("Bearer {}", "k".repeat(10_240));
        for bad in [
            &[][..],
            &[""],
            &["Bearer"],
            &["Bearer "],
            &["Basic dXNlcjpwYXNz"],
            &["tk_live_1"],
            &["Bearer ké"],
            &["Bearer a", "Bearer a"],
            &[&long],
        ] {
            let problem = bearer(&headers(bad)).expect_err("refused");
            assert_eq!(problem.status(), 401);
        }
    }
}
