//! From a header to a principal.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::memory::Memory;
use super::rate::{Bucket, Buckets};
use crate::api::kinds;
use crate::api::problem::Problem;
use crate::domain::ids::TenantId;
use crate::domain::secret::{Secret, same};
use crate::domain::tenant::{Principal, Rate};
use crate::store::Store;

/// Longer than any key.
const MAX_KEY_BYTES: usize = 256;

type KeyDigest = [u8; 32];

/// The keys that are known: the configuration's, and those in the database. Keys are compared by their SHA-256, in
/// constant time.
#[derive(Debug)]
pub(in crate::api) struct Keyring {
    platform: Option<KeyDigest>,
    keys: Memory<KeyDigest, Known>,
    tenants: Memory<TenantId, ()>,
    /// The rate of tenants' keys that have none of their own.
    default_rate: Option<Rate>,
    buckets: Buckets,
}

/// A key that was looked up.
#[derive(Debug, Clone)]
struct Known {
    principal: Arc<Principal>,
    /// Where its rate is limited.
    bucket: Option<Arc<Bucket>>,
}

impl Keyring {
    pub(in crate::api) fn new(platform_key: Option<&Secret>, default_rate: Option<Rate>) -> Self {
        let platform = platform_key.map(|key| Sha256::digest(key.expose_secret()).into());
        let (keys, tenants, buckets) = (Memory::default(), Memory::default(), Buckets::default());
        Self { platform, keys, tenants, default_rate, buckets }
    }

    /// Who sent a request with these headers; refused where that key has asked too often.
    pub(super) async fn identify(&self, headers: &HeaderMap, store: &Store) -> Result<Arc<Principal>, Problem> {
        self.admit(bearer(headers)?, store).await
    }

    /// Who asks for a page with this key; refused where it has asked too often.
    pub(in crate::api) async fn principal(&self, key: &Secret, store: &Store) -> Result<Arc<Principal>, Problem> {
        self.admit(key.expose_secret().as_bytes(), store).await
    }

    async fn admit(&self, key: &[u8], store: &Store) -> Result<Arc<Principal>, Problem> {
        let known = self.recognize(key, store).await?;
        match known.bucket.as_ref().map_or(Ok(()), |bucket| bucket.take()) {
            Ok(()) => Ok(known.principal),
            Err(wait) => Err(too_often(wait)),
        }
    }

    /// Who sent a request that was let in before.
    pub(super) async fn recall(&self, headers: &HeaderMap, store: &Store) -> Result<Arc<Principal>, Problem> {
        Ok(self.recognize(bearer(headers)?, store).await?.principal)
    }

    async fn recognize(&self, key: &[u8], store: &Store) -> Result<Known, Problem> {
        let digest: KeyDigest = Sha256::digest(key).into();
        match self.keys.recall(&digest) {
            Ok(known) => Ok(known),
            Err(forgets) => {
                let known = self.look_up(&digest, store).await?;
                self.keys.keep(digest, known.clone(), forgets);
                Ok(known)
            }
        }
    }

    async fn look_up(&self, digest: &KeyDigest, store: &Store) -> Result<Known, Problem> {
        let principal = if self.platform.is_some_and(|platform| same(platform, digest)) {
            Some(Principal::Platform { key: None, rate: None })
        } else {
            store.principal(digest).await?
        };
        let principal = principal.ok_or_else(|| refuse("the key is unknown or was revoked"))?;
        let bucket = match principal {
            Principal::Platform { key, rate } => key.zip(rate),
            Principal::Tenant { key, rate, .. } => rate.or(self.default_rate).map(|rate| (key, rate)),
        };
        let bucket = bucket.map(|(key, rate)| self.buckets.of(key, rate));
        Ok(Known { principal: Arc::new(principal), bucket })
    }

    /// Whether there is such a tenant for a platform key to act for.
    pub(super) async fn check_tenant(&self, id: TenantId, store: &Store) -> Result<(), Problem> {
        let Err(forgets) = self.tenants.recall(&id) else { return Ok(()) };
        store.tenant(id).await?.ok_or_else(|| Problem::not_found("tenant"))?;
        self.tenants.keep(id, (), forgets);
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
            "" => Err(refuse("the key is missing after `Bearer`")),
            key if key.len() > MAX_KEY_BYTES => Err(refuse("the key is longer than any key")),
            key => Ok(key.as_bytes()),
        },
        _ => Err(refuse("the scheme must be `Bearer`: send `Authorization: Bearer <key>`")),
    }
}

fn too_often(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Problem::new(kinds::RATE_LIMITED, format!("this key has asked too often: ask again in {seconds} s"))
        .with_header(RETRY_AFTER, seconds.into())
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
