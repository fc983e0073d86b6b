//! Reseal: everything in the database is sealed anew with the master key that seals now, while the service runs.
//!
//! Pages are read without a lock, sealed anew here, and exchanged in one short statement for what was read, if that is still
//! there. So it may be ended at any point and begun again, and two may run at once. What escapes a pass, because somebody was
//! changing it, is found by the next.

use std::time::Duration;

use super::ActionError;
use super::vault::{self, Kind};
use crate::domain::ids::{TenantId, WebhookId};
use crate::domain::secret::{MasterKeys, Sealed, SecretError};
use crate::store::Store;
use crate::store::webhooks::{SealedValue, SealedWith};

/// Values that are read and exchanged at once.
const PAGE: i64 = 200;
/// A pass that finds nothing left ends it sooner.
const PASSES: u32 = 20;
/// Between two passes: whoever held a row then has let it go.
const PAUSE: Duration = Duration::from_millis(100);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resealed {
    /// Values sealed anew.
    pub count: u64,
    /// Values that do not open with the key that they name, as found in the last pass: tampered with, or a row moved by hand.
    pub corrupt: Vec<(TenantId, WebhookId)>,
    /// How much each key has sealed now.
    pub after: Vec<SealedWith>,
}

/// Who is told that so many more were sealed anew.
pub type Told<'a> = &'a mut (dyn FnMut(u64) + Send);

/// What is said of a key that sealed something and is not there, if there is one.
#[must_use]
pub fn missing(keys: &MasterKeys, counts: &[SealedWith]) -> Option<SecretError> {
    let missing = counts.iter().find(|count| keys.ids().all(|id| id != count.key_id));
    missing.map(|count| keys.lacks(&count.key_id))
}

/// Seals everything with the key that seals now. Nothing is touched where a key is missing.
pub async fn reseal(store: &Store, keys: &MasterKeys, told: Told<'_>) -> Result<Resealed, ActionError> {
    if let Some(error) = missing(keys, &store.sealed_with().await?) {
        return Err(error.into());
    }
    let mut pass = Pass { store, keys, told, count: 0, corrupt: Vec::new() };
    for turn in 0..PASSES {
        if turn > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        pass.corrupt.clear();
        let seen = pass.secrets().await? + pass.headers().await?;
        if seen == pass.corrupt.len() {
            break;
        }
    }
    let Pass { count, corrupt, .. } = pass;
    Ok(Resealed { count, corrupt, after: store.sealed_with().await? })
}

struct Pass<'a> {
    store: &'a Store,
    keys: &'a MasterKeys,
    told: Told<'a>,
    count: u64,
    corrupt: Vec<(TenantId, WebhookId)>,
}

impl Pass<'_> {
    /// How many of another key were found.
    async fn secrets(&mut self) -> Result<usize, ActionError> {
        let (mut seen, mut after) = (0, None);
        loop {
            let page = self.store.secrets_not_of(self.keys.sealing(), after.as_ref(), PAGE).await?;
            let Some(last) = page.last().cloned() else { return Ok(seen) };
            seen += page.len();
            let renewals = self.sealed_anew(page, |place| Kind::parse(&place.0));
            let count = self.store.exchange_secrets(&renewals).await?;
            self.exchanged(count);
            after = Some(last);
        }
    }

    /// How many of another key were found.
    async fn headers(&mut self) -> Result<usize, ActionError> {
        let (mut seen, mut after) = (0, None);
        loop {
            let page = self.store.headers_not_of(self.keys.sealing(), after.as_ref(), PAGE).await?;
            let Some(last) = page.last().cloned() else { return Ok(seen) };
            seen += page.len();
            let renewals = self.sealed_anew(page, |_| Some(Kind::Headers));
            let count = self.store.exchange_headers(&renewals).await?;
            self.exchanged(count);
            after = Some(last);
        }
    }

    fn exchanged(&mut self, count: u64) {
        self.count += count;
        (self.told)(count);
    }

    fn sealed_anew<P>(
        &mut self,
        page: Vec<SealedValue<P>>,
        kind: impl Fn(&P) -> Option<Kind>,
    ) -> Vec<(SealedValue<P>, Sealed)> {
        let mut anew = Vec::with_capacity(page.len());
        for value in page {
            let SealedValue { tenant_id, webhook_id, place, sealed } = &value;
            let resealed = kind(place).ok_or(SecretError::Corrupt);
            match resealed.and_then(|kind| vault::reseal(self.keys, *tenant_id, *webhook_id, kind, sealed)) {
                Ok(new) => anew.push((value, new)),
                // A key that is not known now was put in between by a process that has others; it is told of at the end.
                Err(SecretError::UnknownMasterKey { .. }) => {}
                Err(_) => self.corrupt.push((*tenant_id, *webhook_id)),
            }
        }
        anew
    }
}
