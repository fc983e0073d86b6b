//! Asking for a name's addresses, without letting one slow name hold the others up.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::Shared;

use super::hosts;

/// Where answers come from: the system, or a test that lies.
pub(in crate::net) trait Lookup: Send + Sync + 'static {
    fn lookup(&self, name: String) -> Looking;
}

/// An answer on its way.
pub(in crate::net) type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// The hosts file, then the system's resolver.
///
/// Names are taken as complete, whatever search domains the host has: a tenant who writes `wiki` does not mean the
/// operator's `wiki.corp.example`, whose address may well be a public one. It also spares Kubernetes five questions in vain
/// for each name.
pub(in crate::net) struct System;

impl Lookup for System {
    fn lookup(&self, name: String) -> Looking {
        Box::pin(async move {
            let listed = hosts::addresses(&name).await;
            if !listed.is_empty() {
                return Ok(listed);
            }
            let complete = if name.ends_with('.') { name } else { name + "." };
            let found = tokio::net::lookup_host((complete, 0)).await?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }
}

/// One question at a time for each name; whoever asks meanwhile gets the same answer, and nothing is kept after it.
///
/// The system's resolver occupies a thread of a bounded pool until it answers, long after the attempt that asked has
/// given up. Without this, the attempts of a few webhooks whose DNS hangs would take all threads.
pub(in crate::net) struct Together<L> {
    lookup: L,
    under_way: Arc<Mutex<UnderWay>>,
}

type UnderWay = HashMap<String, Shared<Pin<Box<dyn Future<Output = Answer> + Send>>>>;
type Answer = Result<Vec<IpAddr>, Arc<io::Error>>;

impl<L: Lookup> Together<L> {
    pub(in crate::net) fn new(lookup: L) -> Self {
        Self { lookup, under_way: Arc::default() }
    }

    /// A task of its own, so that the entry goes when the answer comes, whether or not someone still waits for it.
    fn ask(&self, name: String) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let (looking, under_way) = (self.lookup.lookup(name.clone()), Arc::clone(&self.under_way));
        let task = tokio::spawn(async move {
            let answer = looking.await.map_err(Arc::new);
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            answer
        });
        task.map(|ended| ended.unwrap_or_else(|gone| Err(Arc::new(gone.into())))).boxed()
    }
}

impl<L: Lookup> Lookup for Together<L> {
    fn lookup(&self, name: String) -> Looking {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let asking = under_way.entry(name.clone()).or_insert_with(|| self.ask(name).shared());
        asking.clone().map(|answer| answer.map_err(io::Error::other)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// Answers after a while with the number of questions so far, or fails for names that begin with `no`.
    #[derive(Clone, Default)]
    struct Slow(Arc<AtomicUsize>);

    impl Lookup for Slow {
        fn lookup(&self, name: String) -> Looking {
            let asked = u8::try_from(self.0.fetch_add(1, Ordering::Relaxed)).expect("few");
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if name.starts_with("no") { Err(io::Error::other("none")) } else { Ok(vec![[8, 8, 8, asked].into()]) }
            })
        }
    }

    #[tokio::test]
    async fn who_asks_for_the_same_name_meanwhile_shares_the_answer() {
        let slow = Slow::default();
        let together = Together::new(slow.clone());
        let askers: Vec<_> = (0..32).map(|_| together.lookup("a.example".into())).collect();
        let other = together.lookup("b.example".into());
        for answer in futures_util::future::join_all(askers).await {
            assert_eq!(answer.expect("an answer"), [IpAddr::from([8, 8, 8, 0])]);
        }
        assert_eq!(other.await.expect("an answer"), [IpAddr::from([8, 8, 8, 1])]);
        assert_eq!(together.lookup("a.example".into()).await.expect("asked anew"), [IpAddr::from([8, 8, 8, 2])]);
    }

    #[tokio::test]
    async fn an_answer_that_no_one_waits_for_leaves_nothing_behind() {
        let together = Together::new(Slow::default());
        drop(together.lookup("a.example".into()));
        assert_eq!(together.lookup("nowhere".into()).await.expect_err("none").to_string(), "none");
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert!(together.under_way.lock().expect("unpoisoned").is_empty());
    }
}
