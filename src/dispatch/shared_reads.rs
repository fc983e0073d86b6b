//! Shared reads: what is asked for at the same time is read together.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Turns many reads at the same time into one. One is under way at a time; keys that are asked for meanwhile are read together by the next
/// caller that gets its turn.
pub(super) struct SharedReads<K, V> {
    waiting: Mutex<HashMap<K, Vec<oneshot::Sender<V>>>>,
    turn: tokio::sync::Mutex<()>,
}

impl<K, V> Default for SharedReads<K, V> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> SharedReads<K, V> {
    /// What `read` has for a key, called after this call began. Where another caller's reading fails, ends early or leaves the key out, the
    /// key is read once more, for this caller alone.
    pub(super) async fn ask<E, R>(&self, key: K, read: impl Fn(Vec<K>) -> R) -> Result<Option<V>, E>
    where
        R: Future<Output = Result<HashMap<K, V>, E>>,
    {
        let (sender, mut answer) = oneshot::channel();
        self.waiting().entry(key).or_default().push(sender);
        let told = tokio::select! {
            biased;
            told = &mut answer => told.ok(),
            turn = self.turn.lock() => {
                self.read_waiting(&read).await?;
                drop(turn);
                answer.try_recv().ok()
            }
        };
        match told {
            Some(value) => Ok(Some(value)),
            None => Ok(read(vec![key]).await?.remove(&key)),
        }
    }

    /// Adds keys that nobody waits for to the next reading, which has `most` at most then. `true` where the caller has to see to that
    /// reading, by [`SharedReads::read_ahead`]: nobody else is about to.
    pub(super) fn add(&self, keys: Vec<K>, most: usize) -> bool {
        let mut waiting = self.waiting();
        let is_first = waiting.is_empty();
        for key in keys {
            if waiting.len() >= most {
                break;
            }
            waiting.entry(key).or_default();
        }
        is_first && !waiting.is_empty()
    }

    /// Reads what is to be read, unless somebody else has.
    pub(super) async fn read_ahead<E, R>(&self, read: impl Fn(Vec<K>) -> R) -> Result<(), E>
    where
        R: Future<Output = Result<HashMap<K, V>, E>>,
    {
        let _turn = self.turn.lock().await;
        self.read_waiting(&read).await
    }

    /// Reads for all who wait; for who has the turn.
    async fn read_waiting<E, R>(&self, read: &impl Fn(Vec<K>) -> R) -> Result<(), E>
    where
        R: Future<Output = Result<HashMap<K, V>, E>>,
    {
        let waiting = std::mem::take(&mut *self.waiting());
        if waiting.is_empty() {
            return Ok(());
        }
        let found = read(waiting.keys().copied().collect()).await?;
        for (key, senders) in waiting {
            let Some(value) = found.get(&key) else { continue };
            for sender in senders {
                // Who gave up does not want to know.
                let _ = sender.send(value.clone());
            }
        }
        Ok(())
    }

    /// Keeps everybody else from reading.
    #[cfg(test)]
    pub(super) async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<K, Vec<oneshot::Sender<V>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;

    /// Gives each key's double; each reading waits for a permit and is noted, and those that begin with 13 fail.
    struct Reader {
        reads: SharedReads<u32, u32>,
        readings: Mutex<Vec<Vec<u32>>>,
        permits: Semaphore,
    }

    impl Reader {
        fn new() -> Arc<Self> {
            Arc::new(Self { reads: SharedReads::default(), readings: Mutex::default(), permits: Semaphore::new(0) })
        }

        async fn read(&self, mut keys: Vec<u32>) -> Result<HashMap<u32, u32>, &'static str> {
            keys.sort_unstable();
            self.readings.lock().expect("readings").push(keys.clone());
            self.permits.acquire().await.expect("open").forget();
            if keys[0] == 13 {
                return Err("unlucky");
            }
            Ok(keys.into_iter().filter(|key| *key != 404).map(|key| (key, 2 * key)).collect())
        }

        /// Asks for a key in a task of its own, which has begun to wait when this returns.
        async fn ask(self: &Arc<Self>, key: u32) -> tokio::task::JoinHandle<Result<Option<u32>, &'static str>> {
            let reader = Arc::clone(self);
            let asked = tokio::spawn(async move { reader.reads.ask(key, |keys| reader.read(keys)).await });
            yield_now().await;
            asked
        }

        fn permit(&self, readings: usize) {
            self.permits.add_permits(readings);
        }

        async fn begun(&self, readings: usize) {
            while self.readings().len() < readings {
                yield_now().await;
            }
        }

        fn readings(&self) -> Vec<Vec<u32>> {
            self.readings.lock().expect("readings").clone()
        }
    }

    #[tokio::test]
    async fn those_who_wait_share_one_reading() {
        let reader = Reader::new();
        let first = reader.ask(1).await;
        let mut others = Vec::new();
        for key in [2, 3, 2, 404, 1] {
            others.push(reader.ask(key).await);
        }
        assert_eq!(reader.readings(), [[1]]);
        reader.permit(2);
        assert_eq!(first.await.expect("ended"), Ok(Some(2)));
        reader.begun(2).await;
        assert_eq!(reader.readings()[1], [1, 2, 3, 404]);
        // What it did not find is asked for once more.
        reader.permit(1);
        let mut found = Vec::new();
        for other in others {
            found.push(other.await.expect("ended").expect("read"));
        }
        assert_eq!(found, [Some(4), Some(6), Some(4), None, Some(2)]);
        assert_eq!(reader.readings()[2..], [[404]]);
    }

    #[tokio::test]
    async fn where_another_s_reading_fails_each_reads_alone() {
        let reader = Reader::new();
        let first = reader.ask(1).await;
        let unlucky = reader.ask(13).await;
        let other = reader.ask(14).await;
        reader.permit(4);
        assert_eq!(first.await.expect("ended"), Ok(Some(2)));
        assert_eq!(unlucky.await.expect("ended"), Err("unlucky"));
        assert_eq!(other.await.expect("ended"), Ok(Some(28)));
        assert_eq!(reader.readings(), [vec![1], vec![13, 14], vec![14]]);
    }

    #[tokio::test]
    async fn who_reads_for_others_may_give_up() {
        let reader = Reader::new();
        let first = reader.ask(1).await;
        let leader = reader.ask(2).await;
        let other = reader.ask(3).await;
        reader.permit(1);
        first.await.expect("ended").expect("read");
        reader.begun(2).await;
        assert_eq!(reader.readings()[1], [2, 3]);
        leader.abort();
        reader.permit(1);
        assert_eq!(other.await.expect("ended"), Ok(Some(6)));
        assert_eq!(reader.readings()[2..], [[3]]);
    }

    #[tokio::test]
    async fn what_is_added_is_read_with_what_others_wait_for() {
        let reader = Reader::new();
        let first = reader.ask(1).await;
        assert!(!reader.reads.add(Vec::new(), 3), "nothing is to be read");
        assert!(reader.reads.add(vec![2, 3, 2], 3), "nobody else would");
        assert!(!reader.reads.add(vec![4, 5], 3), "somebody does, and three are enough");
        let ahead = {
            let reader = Arc::clone(&reader);
            tokio::spawn(async move { reader.reads.read_ahead(|keys| reader.read(keys)).await })
        };
        yield_now().await;
        let others = [reader.ask(3).await, reader.ask(6).await];
        reader.permit(2);
        assert_eq!(first.await.expect("ended"), Ok(Some(2)));
        assert_eq!(ahead.await.expect("ended"), Ok(()));
        for (other, double) in others.into_iter().zip([6, 12]) {
            assert_eq!(other.await.expect("ended"), Ok(Some(double)));
        }
        assert_eq!(reader.readings(), [vec![1], vec![2, 3, 4, 6]]);
        // What somebody else has read is not read by who came to do that.
        assert_eq!(reader.reads.read_ahead(|keys| reader.read(keys)).await, Ok(()));
        assert_eq!(reader.readings().len(), 2);
    }
}
