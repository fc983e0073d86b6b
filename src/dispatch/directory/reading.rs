//! Reading destinations: what is asked for at the same time together, and what is about to be asked for beforehand.

use std::collections::HashMap;
use std::sync::Arc;

use super::drops::Mark;
use super::{Directory, Found, Known};
use crate::actions::ActionError;
use crate::dispatch::destination::Destination;
use crate::domain::ids::{TenantId, WebhookId};

/// Destinations kept; beyond that, any one makes room for the next.
const MOST: usize = 20_000;

/// A webhook, and whose it is.
type Key = (TenantId, WebhookId);

/// Destinations that are read in one query at most, some of them ahead.
const AHEAD: usize = 500;

impl Directory {
    /// How to reach a webhook; `None` where it was deleted.
    pub(in crate::dispatch) async fn destination(
        &self,
        tenant_id: TenantId,
        webhook_id: WebhookId,
    ) -> Result<Option<Arc<Destination>>, ActionError> {
        loop {
            let mark = {
                let known = self.known();
                if let Some(destination) = known.destinations.get(&webhook_id) {
                    return Ok(Some(Arc::clone(destination)));
                }
                known.drops.mark()
            };
            let found = self.readers.ask((tenant_id, webhook_id), |wanted| self.read(wanted)).await?.flatten();
            let Some(destination) = found else { return Ok(None) };
            if let Some(kept) = self.known().keep(mark, webhook_id, destination) {
                return Ok(Some(kept));
            }
        }
    }

    /// Which of these webhooks are not known, as far as they can be read together.
    pub(in crate::dispatch) fn unknown(&self, webhooks: &mut dyn Iterator<Item = Key>) -> Vec<Key> {
        let known = self.known();
        webhooks.filter(|(_, id)| !known.destinations.contains_key(id)).take(AHEAD).collect()
    }

    /// Adds webhooks to those that are read next. `true` where the caller has to see to that, by [`Directory::read_ahead`].
    pub(in crate::dispatch) fn read_next(&self, webhooks: Vec<Key>) -> bool {
        self.readers.add(webhooks, AHEAD)
    }

    /// Reads what is wanted next. Where that fails, whoever needs it asks again, and tells.
    pub(in crate::dispatch) async fn read_ahead(&self) {
        drop(self.readers.read_ahead(|wanted| self.read(wanted)).await);
    }

    /// Reads destinations, and keeps those that do not change meanwhile. What became known while the turn was waited for is not read
    /// again. One that cannot be opened is left out if it is among others, and an error if it is alone.
    async fn read(&self, wanted: Vec<Key>) -> Result<HashMap<Key, Found>, ActionError> {
        let is_alone = wanted.len() == 1;
        let (mut found, unknown, mark) = self.known().separate(wanted);
        if unknown.is_empty() {
            return Ok(found);
        }
        let mut rows = self.context.store.destinations(&unknown).await?;
        for (tenant_id, webhook_id) in unknown {
            let row = rows.remove(&(tenant_id, webhook_id));
            let opened = row.map(|row| Destination::open(&self.context, tenant_id, webhook_id, row)).transpose();
            let destination = match opened {
                Ok(opened) => opened.map(Arc::new),
                Err(error) if is_alone => return Err(error),
                Err(_) => continue,
            };
            if let Some(destination) = &destination {
                self.known().keep(mark, webhook_id, Arc::clone(destination));
            }
            found.insert((tenant_id, webhook_id), destination);
        }
        Ok(found)
    }
}

impl Known {
    /// Separates the webhooks that are known from the others, and says what these are to be kept under.
    fn separate(&self, wanted: Vec<Key>) -> (HashMap<Key, Found>, Vec<Key>, Mark) {
        let (known, unknown): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|(_, id)| self.destinations.contains_key(id));
        let known = known.into_iter().map(|key| (key, self.destinations.get(&key.1).cloned())).collect();
        (known, unknown, self.drops.mark())
    }

    /// Keeps what was read after a mark, and gives what is for all to use: another reading of the same may have been faster. `None` where the
    /// webhook changed since.
    fn keep(&mut self, mark: Mark, id: WebhookId, destination: Arc<Destination>) -> Option<Arc<Destination>> {
        if !self.drops.spared(id, mark) {
            return None;
        }
        if let Some(present) = self.destinations.get(&id) {
            return Some(Arc::clone(present));
        }
        if self.destinations.len() >= MOST
            && let Some(any) = self.destinations.keys().next().copied()
        {
            self.destinations.remove(&any);
        }
        self.destinations.insert(id, Arc::clone(&destination));
        Some(destination)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::actions::Context;
    use crate::dialect::Dialects;
    use crate::domain::clock::Clock;
    use crate::domain::secret::{MasterKey, MasterKeys};
    use crate::net::{self, Sender};
    use crate::store::outbox::destinations::DestinationRow;
    use crate::store::{Config, Store};
    use crate::telemetry::Telemetry;

    /// A directory whose database nobody can reach.
    fn directory() -> Directory {
        let key = MasterKey::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a key");
        Directory::new(Context {
            store: Store::connect("postgres://127.0.0.1:1/none", &Config { acquire_seconds: 1, ..Config::default() })
                .expect("a URL"),
            clock: Clock::steered(DateTime::<Utc>::UNIX_EPOCH),
            dialects: Arc::new(Dialects::builtin().expect("the built-in dialects")),
            master_keys: MasterKeys::new(key, []).expect("one key"),
            sender: Sender::new(&net::Config::default()).expect("a sender"),
            telemetry: Telemetry::default(),
        })
    }

    fn key(number: u128) -> Key {
        (TenantId::from_u128(1), WebhookId::from_u128(number))
    }

    fn destination(directory: &Directory, (tenant_id, webhook_id): Key) -> Arc<Destination> {
        let row = DestinationRow {
            revision: 1,
            url: "https://example.com/".to_owned(),
            is_sandbox: false,
            is_active: true,
            parked_until: None,
            retry: None,
            timeout_seconds: None,
            max_in_flight: None,
            headers: None,
            secrets: Vec::new(),
        };
        Arc::new(Destination::open(&directory.context, tenant_id, webhook_id, row).expect("opened"))
    }

    /// Keeps what was read just now.
    fn learn(directory: &Directory, key: Key, read: &Arc<Destination>) -> Option<Arc<Destination>> {
        let mut known = directory.known();
        let mark = known.drops.mark();
        known.keep(mark, key.1, Arc::clone(read))
    }

    #[tokio::test]
    async fn what_became_known_before_its_turn_is_not_read_again() {
        let directory = directory();
        let (tenant_id, webhook_id) = key(1);
        let held = directory.readers.hold().await;
        let (asked, learnt) = tokio::join!(directory.destination(tenant_id, webhook_id), async {
            let learnt = destination(&directory, key(1));
            learn(&directory, key(1), &learnt).expect("kept");
            drop(held);
            learnt
        });
        let asked = asked.expect("the database is not asked").expect("it is there");
        assert!(Arc::ptr_eq(&asked, &learnt));
        assert!(directory.read(vec![key(1), key(2)]).await.is_err(), "what is not known is asked for");
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept_after_it() {
        let directory = directory();
        let (first, other) = (destination(&directory, key(1)), destination(&directory, key(1)));
        let (_, unknown, mark) = directory.known().separate(vec![key(1), key(2)]);
        assert_eq!(unknown, [key(1), key(2)]);
        directory.known().drops.note(&[key(1).1]);
        assert!(directory.known().keep(mark, key(1).1, Arc::clone(&first)).is_none());
        assert!(directory.known().keep(mark, key(2).1, destination(&directory, key(2))).is_some(), "it did not change");
        directory.forget();
        assert!(directory.known().keep(mark, key(2).1, destination(&directory, key(2))).is_none(), "any may have");
        for read in [&first, &other] {
            assert!(Arc::ptr_eq(&learn(&directory, key(1), read).expect("kept"), &first), "there is one for all");
        }
        let (found, unknown, _) = directory.known().separate(vec![key(1), key(2)]);
        assert!(found[&key(1)].as_ref().is_some_and(|known| Arc::ptr_eq(known, &first)));
        assert_eq!(unknown, [key(2)]);
    }

    #[tokio::test]
    async fn only_what_is_not_known_is_read_ahead_and_not_without_end() {
        let directory = directory();
        learn(&directory, key(1), &destination(&directory, key(1)));
        assert!(!directory.read_next(directory.unknown(&mut [key(1)].into_iter())));
        assert_eq!(directory.unknown(&mut [key(1), key(2)].into_iter()), [key(2)]);
        assert_eq!(directory.unknown(&mut (0..10_000).map(key)).len(), AHEAD);
    }
}
